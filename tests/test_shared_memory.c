/* Base weights are mapped, not copied: ranks of a machine that train the same model share one copy of it. Run under
 * mpirun; the kernel's own accounts (/proc/self/smaps) tell, after two steps, what each rank holds. With the argument
 * "converted" the model is stored as f32 and computed in bf16: the file of converted weights is what they share; with
 * "nf4" that of the quantised ones.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>
#include <glob.h>

#include "launch/comm_open.h"
#include "launch/model.h"
#include "src/base/mem.h"
#include "src/train/trainer.h"

/* About 60 MB in bf16, of which embed_tokens, whose rows aren't all used, is less than 2 %. */
enum { V = 1024, C = 512, M = 1408, KV = 256, N_LAYERS = 10, T = 16, UNITS = 3, STEPS = 2 };
enum { N_TENSORS = 3 + 9 * N_LAYERS, TMPFS = 0x01021994 };

/* Pages of a mapping, or of a process, in bytes; as in proc_pid_smaps(5). */
typedef struct usage {
    int64_t pss, private_clean, private_dirty, anonymous;
    int64_t mappings; /* how many were added up */
} usage;

static uint16_t values[M * C]; /* of every tensor: sharing is a matter of pages, not of numbers */
static float wide_values[M * C];
static bool converted, quantized; /* quantised is converted too */
static char names[N_TENSORS][80];

static void tensor(ent_st_tensor *tensors, size_t *n, const char *name, size_t rows, size_t columns)
{
    ent_st_tensor *t = &tensors[*n];
    *t = (ent_st_tensor){.name = names[*n],
                         .dtype = converted ? ENT_DTYPE_F32 : ENT_DTYPE_BF16,
                         .n_dims = columns ? 2 : 1,
                         .shape = {rows, columns},
                         .data = converted ? (void *)wide_values : values};
    snprintf(names[(*n)++], sizeof names[0], "%s", name);
}

static void layer(ent_st_tensor *tensors, size_t *n, int l)
{
    static const struct {
        const char *name;
        size_t rows, columns;
    } parts[] = {
        {"input_layernorm", C, 0},   {"post_attention_layernorm", C, 0},
        {"self_attn.q_proj", C, C},  {"self_attn.k_proj", KV, C},
        {"self_attn.v_proj", KV, C}, {"self_attn.o_proj", C, C},
        {"mlp.gate_proj", M, C},     {"mlp.up_proj", M, C},
        {"mlp.down_proj", C, M},
    };
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        char name[80];
        snprintf(name, sizeof name, "model.layers.%d.%s.weight", l, parts[i].name);
        tensor(tensors, n, name, parts[i].rows, parts[i].columns);
    }
}

static ent_status write_model(const char *folder)
{
    ent_st_tensor tensors[N_TENSORS];
    size_t n = 0;
    char path[300];
    const ent_rng rng = {.seed = 7};
    for (size_t i = 0; i < M * C; i++) { /* sign and mantissa at random: 2^-6 <= |x| < 2^-5 */
        const uint32_t u = ent_random_u32(&rng, i);
        values[i] = (uint16_t)((u & 0x8000U) | 0x3c80U | (u & 0x7fU));
        wide_values[i] = ent_bf16_to_f32(values[i]);
    }
    tensor(tensors, &n, "model.embed_tokens.weight", V, C);
    tensor(tensors, &n, "lm_head.weight", V, C);
    tensor(tensors, &n, "model.norm.weight", C, 0);
    for (int l = 0; l < N_LAYERS; l++)
        layer(tensors, &n, l);
    snprintf(path, sizeof path, "%s/model.safetensors", folder);
    ENT_TRY(ent_safetensors_write(path, tensors, n));
    snprintf(path, sizeof path, "%s/config.json", folder);
    FILE *f = fopen(path, "w");
    if (f == NULL)
        return ent_fail(ENT_EIO, "%s: can't be written", path);
    fprintf(
        f,
        "{\"model_type\": \"llama\", \"vocab_size\": %d, \"hidden_size\": %d, \"intermediate_size\": %d,"
        " \"num_hidden_layers\": %d, \"num_attention_heads\": 8, \"num_key_value_heads\": 4, \"hidden_act\": \"silu\","
        " \"rms_norm_eps\": 1e-5, \"rope_theta\": 10000.0, \"max_position_embeddings\": 256,"
        " \"tie_word_embeddings\": false}\n",
        V, C, M, N_LAYERS);
    return fclose(f) == 0 ? ENT_OK : ent_fail(ENT_EIO, "%s: can't be written", path);
}

static ent_status unit(ent_unit *out, void *context, size_t i)
{
    static int32_t ids[T + 1], targets[T], doc_start[T];
    (void)context;
    for (size_t t = 0; t <= T; t++)
        ids[t] = (int32_t)((t * 37 + i * 11) % V);
    memcpy(targets, ids + 1, sizeof targets);
    *out = (ent_unit){.n = T, .ids = ids, .targets = targets, .doc_start = doc_start};
    return ENT_OK;
}

static ent_status train(ent_trainer **trainer, ent_model *model, ent_comm *comm, const char *folder)
{
    const ent_lora_config lora = {.r = 4, .alpha = 8, .targets = 1U << ENT_Q_PROJ | 1U << ENT_V_PROJ};
    const ent_trainer_options options = {
        .optimizer = {.kind = ENT_OPTIMIZER_ADAMW, .beta1 = 0.9, .beta2 = 0.999, .eps = 1e-8},
        .schedule = {.kind = ENT_SCHEDULE_CONSTANT, .lr = 1e-3, .steps = STEPS},
        .batch_size = UNITS,
        .seq_len = T,
    };
    const ent_model_options open = {.path = folder,
                                    .lora = &lora,
                                    .train = true,
                                    .base = quantized ? ENT_BASE_NF4 : ENT_BASE_NONE,
                                    .compute = converted ? ENT_COMPUTE_BF16 : ENT_COMPUTE_FP32,
                                    .max_positions = T};
    ENT_TRY(ent_comm_agree(comm, ent_model_open(model, &open)));
    ENT_TRY(ent_comm_agree(comm, comm->rank == 0 ? ent_model_convert(model, folder, true, NULL) : ENT_OK));
    ENT_TRY(ent_comm_agree(comm, comm->rank != 0 ? ent_model_convert(model, folder, false, NULL) : ENT_OK));
    ENT_TRY(ent_comm_agree(comm, ent_trainer_new(trainer, model->decoder, comm, &options)));
    for (int step = 0; step < STEPS; step++) {
        ent_step_result result;
        ENT_TRY(ent_trainer_step(&result, *trainer, step, UNITS, unit, NULL));
        if (result.targets != UNITS * T || !(result.grad_norm > 0))
            return ent_fail(ENT_EINVAL, "step %d: %lld targets, a gradient of norm %g", step, (long long)result.targets,
                            result.grad_norm);
    }
    return ENT_OK;
}

/* Adds up the mappings of `file` in /proc/self/`name`; NULL: all. Lines "key: n kB" are of the mapping named above. */
static ent_status read_usage(usage *sum, const char *name, const char *file)
{
    char line[4400], path[40];
    bool counts = false;
    snprintf(path, sizeof path, "/proc/self/%s", name);
    FILE *f = fopen(path, "r");
    if (f == NULL)
        return ent_fail(ENT_EIO, "%s: can't be read", path);
    *sum = (usage){0};
    while (fgets(line, sizeof line, f)) {
        char key[32];
        long long kb;
        if (sscanf(line, "%31[A-Za-z_]: %lld kB", key, &kb) != 2) {
            if (strchr(line, '-') && strchr(line, '-') < strchr(line, ' ')) { /* begin-end permissions ... path */
                line[strcspn(line, "\n")] = 0;
                counts = file == NULL || strstr(line, file);
                sum->mappings += counts;
            }
            continue;
        }
        int64_t *to = strcmp(key, "Pss") == 0             ? &sum->pss
                      : strcmp(key, "Private_Clean") == 0 ? &sum->private_clean
                      : strcmp(key, "Private_Dirty") == 0 ? &sum->private_dirty
                      : strcmp(key, "Anonymous") == 0     ? &sum->anonymous
                                                          : NULL;
        if (counts && to)
            *to += kb * 1024;
    }
    fclose(f);
    return ENT_OK;
}

static int expect(bool good, const char *what, int64_t found, int64_t bound)
{
    printf("[ %s ] %s: found %.2f MB, bound %.2f MB\n", good ? "      OK" : "FAILED", what, (double)found / 1e6,
           (double)bound / 1e6);
    return !good;
}

/* Pages that no other process has: what this rank takes from the machine. Pages of mapped files of the model that no
 * other rank happens to have count as private too, but they are the machine's cache. */
static ent_status read_own(int64_t *own, usage *weights, const char *file)
{
    usage all, model;
    char folder[300];
    snprintf(folder, sizeof folder, "%.*s", (int)(strrchr(file, '/') - file), file);
    ENT_TRY(read_usage(weights, "smaps", file));
    ENT_TRY(read_usage(&model, "smaps", folder));
    ENT_TRY(read_usage(&all, "smaps_rollup", NULL));
    *own = all.private_clean + all.private_dirty - model.private_clean - model.private_dirty;
    return ENT_OK;
}

/* Sums over the ranks against the size of the file; the number of those that are wrong. `before`: this rank's own
 * memory when it had no model yet. */
static ent_status judge(int *wrong, ent_comm *comm, const char *path, int64_t before)
{
    struct stat file;
    struct statfs system;
    usage weights, source;
    char model[300];
    int64_t own;
    snprintf(model, sizeof model, "%.*s/model.safetensors", (int)(strrchr(path, '/') - path), path);
    if (stat(path, &file) != 0 || statfs(path, &system) != 0)
        return ent_fail(ENT_EIO, "%s: can't be read", path);
    ENT_TRY(comm->barrier(comm)); /* everyone has the pages it needs ... */
    ENT_TRY(read_own(&own, &weights, path + 1 /* without the . */));
    ENT_TRY(read_usage(&source, "smaps", model + 1));
    ENT_TRY(comm->barrier(comm)); /* ... and keeps them while others count */
    own -= before;
    /* A file of tmpfs is dirty in itself, for it has no disk. */
    const int64_t dirty = system.f_type == TMPFS ? 0 : weights.private_dirty;
    int64_t sums[] = {weights.mappings > 0, weights.anonymous, dirty, weights.pss, converted ? source.pss : 0};
    ENT_TRY(comm->sum_i64(comm, sums, sizeof sums / sizeof *sums));
    ENT_TRY(comm->max_i64(comm, &own, 1));
    *wrong = sums[0] != comm->world_size;
    if (comm->rank != 0)
        return ENT_OK;
    const int64_t size = file.st_size;
    printf("%d ranks, %d map the file of %.2f MB\n", comm->world_size, (int)sums[0], (double)size / 1e6);
    *wrong += expect(sums[1] == 0, "copied pages of the mapping", sums[1], 0);
    *wrong += expect(sums[2] == 0, "dirty pages of the mapping", sums[2], 0);
    *wrong += expect(sums[3] <= size * 105 / 100, "the mapping, all ranks, at most", sums[3], size * 105 / 100);
    *wrong += expect(sums[3] >= size * 9 / 10, "the mapping, all ranks, at least", sums[3], size * 9 / 10);
    /* The kernel may map 2 MiB around each norm, which are used where they are; all is 120 MB. */
    const int64_t norms = (2 * N_LAYERS + 2) * 2 << 20;
    *wrong += expect(sums[4] <= norms, "what it was converted from, all ranks, at most", sums[4], norms);
    /* Activations, the adapter, buffers of products and MPI: about 7 MB, elsewhere more; a copy is all of `size`. */
#ifndef ENT_SANITIZED /* the address sanitizer keeps a shadow of all memory, and freed blocks for a while */
    const int64_t bound = size * (quantized ? 9 : 4) / 10;
    *wrong += expect(own <= bound, "a rank's own memory for model and training, at most", own, bound);
#endif
    return ENT_OK;
}

static bool find_converted(char *path, size_t size, const char *folder)
{
    char pattern[300];
    glob_t found;
    snprintf(pattern, sizeof pattern, "%s/weights-*", folder);
    const bool one = glob(pattern, 0, NULL, &found) == 0 && found.gl_pathc == 1;
    if (one)
        snprintf(path, size, "%s", found.gl_pathv[0]);
    globfree(&found);
    return one;
}

static void remove_model(const char *folder)
{
    char path[300];
    snprintf(path, sizeof path, "%s/model.safetensors", folder);
    unlink(path);
    snprintf(path, sizeof path, "%s/config.json", folder);
    unlink(path);
    if (find_converted(path, sizeof path, folder))
        unlink(path);
    rmdir(folder);
}

int main(int argc, char **argv)
{
    ent_comm *comm = NULL;
    ent_model model = {0};
    ent_trainer *trainer = NULL;
    char folder[] = "./shared_memory_XXXXXX"; /* where the build is: a disk, as a rule */
    char path[300];
    int64_t before;
    int wrong = 0;
    ent_status st;
    quantized = argc > 1 && strcmp(argv[1], "nf4") == 0;
    converted = quantized || (argc > 1 && strcmp(argv[1], "converted") == 0);
    if (ent_comm_open(&comm, "auto", 60) != ENT_OK) {
        fprintf(stderr, "open: %s\n", ent_message());
        return 1;
    }
    const bool made = comm->rank == 0 && mkdtemp(folder) != NULL;
    st = comm->rank != 0 ? ENT_OK : made ? write_model(folder) : ent_fail(ENT_EIO, "%s: can't be made", folder);
    ENT_GO(ent_comm_agree(comm, st));
    ENT_GO(comm->bcast(comm, folder, sizeof folder, 0));
    snprintf(path, sizeof path, "%s/model.safetensors", folder);
    ENT_GO(read_own(&before, &(usage){0}, path + 1));
    ENT_GO(train(&trainer, &model, comm, folder));
    if (converted && !find_converted(path, sizeof path, folder))
        ENT_GO(ent_fail(ENT_EINVAL, "%s: no converted weights", folder));
    ENT_GO(judge(&wrong, comm, path, before));
done:
    if (made)
        remove_model(folder);
    if (st != ENT_OK) {
        fprintf(stderr, "rank %d: %s\n", comm->rank, ent_message());
        comm->abort(comm, 1);
    }
    ent_trainer_free(trainer);
    ent_model_close(&model);
    ent_comm_free(comm);
    return wrong != 0;
}
