#include "io/model_write.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "io/atomic_file.h"
#include "io/json.h"
#include "io/safetensors_header.h"
#include "io/streamed_file.h"
#include "io/text.h"
#include "src/base/mem.h"
#include "src/base/tiles.h"
#include "src/kernel/kernels.h"
#include "src/quant/blocks.h"

enum { TILE = 1 << 14 };

typedef struct writer {
    const char *folder; /* its name in messages */
    const ent_st_tensor *tensors;
    size_t count;
    const ent_model_write_options *options;
    ent_model_source *source;
    void *context;
    size_t *file_of, n_files; /* of each tensor */
    float *numbers;           /* a piece as it is computed, and as it is stored */
    uint16_t *stored;
} writer;

/* --- a file --- */

/* One piece on its way from fp32 to its type. */
typedef struct rounding {
    const float *from;
    uint16_t *to;
    ent_dtype dtype;
    float low, high; /* of I8: the whole numbers that it has */
    bool fails;      /* a number has no finite one of the type, or none */
} rounding;

static bool is_finite(const rounding *r, size_t i)
{
    uint32_t bits;
    memcpy(&bits, &r->from[i], sizeof bits);
    if (r->dtype == ENT_DTYPE_I8)
        return r->from[i] >= r->low && r->from[i] <= r->high && r->from[i] == rintf(r->from[i]);
    if (r->dtype == ENT_DTYPE_F32)
        return (bits & 0x7f800000u) != 0x7f800000u;
    const unsigned exponent = r->dtype == ENT_DTYPE_BF16 ? 0x7f80u : 0x7c00u;
    return (r->to[i] & exponent) != exponent;
}

static void round_some(void *context, size_t begin, size_t end)
{
    rounding *r = context;
    bool finite = true;
    if (r->dtype == ENT_DTYPE_BF16)
        ent_kernels_get()->to_bf16(r->to + begin, r->from + begin, end - begin);
    else if (r->dtype == ENT_DTYPE_F16)
        for (size_t i = begin; i < end; i++)
            r->to[i] = ent_f32_to_f16(r->from[i]);
    else if (r->dtype == ENT_DTYPE_I8)
        for (size_t i = begin; i < end; i++)
            ((uint8_t *)r->to)[i] = is_finite(r, i) ? (uint8_t)(int)r->from[i] : 0;
    for (size_t i = begin; i < end; i++)
        finite &= is_finite(r, i);
    if (!finite)
        __atomic_store_n(&r->fails, true, __ATOMIC_RELAXED);
}

static ent_status put_piece(ent_streamed_file *to, const writer *w, const ent_st_tensor *t, size_t first, size_t n)
{
    const bool positive = t->type == ENT_ST_U8;
    rounding r = {w->numbers, w->stored, t->dtype, positive ? 0 : INT8_MIN, positive ? UINT8_MAX : INT8_MAX, false};
    ent_tiles(n, TILE, round_some, &r);
    if (r.fails) {
        size_t i = 0;
        while (is_finite(&r, i))
            i++;
        return ent_fail(ENT_ENUMERIC, "%s: %s: number %zu is %g: expected one that is finite as %s", w->folder, t->name,
                        first + i, (double)w->numbers[i], ent_st_written_type(t));
    }
    return ent_streamed_put(to, t->dtype == ENT_DTYPE_F32 ? (const void *)w->numbers : w->stored,
                            n * ent_dtype_size(t->dtype));
}

static ent_status put_tensor(ent_streamed_file *to, const writer *w, const ent_st_tensor *t)
{
    const size_t count = ent_st_data_bytes(t) / ent_dtype_size(t->dtype);
    for (size_t first = 0; first < count; first += ENT_MODEL_PIECE) {
        const size_t n = count - first < ENT_MODEL_PIECE ? count - first : ENT_MODEL_PIECE;
        ENT_TRY(w->source(w->numbers, w->context, (size_t)(t - w->tensors), first, n));
        ENT_TRY(put_piece(to, w, t, first, n));
    }
    return ENT_OK;
}

/* The tensors of file `number`. */
static ent_status put_file(ent_streamed_file *to, const writer *w, size_t number)
{
    const ent_st_tensor **sorted = NULL;
    char *start = NULL;
    size_t n = 0, count = 0;
    ent_status st;
    ENT_GO(ent_calloc(&sorted, w->count, sizeof *sorted, "tensors"));
    for (size_t i = 0; i < w->count; i++)
        if (w->file_of[i] == number)
            sorted[count++] = &w->tensors[i];
    ENT_GO(ent_st_make_start(&start, &n, sorted, count, NULL, 0));
    ENT_GO(ent_streamed_put(to, start, n));
    for (size_t i = 0; i < count; i++)
        ENT_GO(put_tensor(to, w, sorted[i]));
done:
    free(start);
    free(sorted);
    return st;
}

static ent_status write_weights(const writer *w, size_t number, const char *path)
{
    ent_streamed_file to;
    ENT_TRY(ent_streamed_begin(&to, path));
    const ent_status st = put_file(&to, w, number);
    if (st == ENT_OK)
        return ent_streamed_commit(&to, NULL, NULL);
    ent_streamed_discard(&to);
    return st;
}

/* --- the folder --- */

/* Which tensor goes into which file. */
static ent_status share_out(writer *w)
{
    const size_t most = w->options->file_bytes ? w->options->file_bytes : ENT_MODEL_FILE_BYTES;
    size_t used = 0;
    ENT_TRY(ent_calloc(&w->file_of, w->count, sizeof *w->file_of, "files"));
    w->n_files = 1;
    for (size_t i = 0; i < w->count; i++) {
        const size_t bytes = ent_st_data_bytes(&w->tensors[i]);
        if (used > 0 && (bytes > most || used > most - bytes)) {
            w->n_files++;
            used = 0;
        }
        used += bytes;
        w->file_of[i] = w->n_files - 1;
    }
    return ENT_OK;
}

typedef struct file_name {
    char text[64];
} file_name;

static const char *name_of(file_name *buffer, const writer *w, size_t number)
{
    if (w->n_files == 1)
        return "model.safetensors";
    snprintf(buffer->text, sizeof buffer->text, "model-%05zu-of-%05zu.safetensors", number + 1, w->n_files);
    return buffer->text;
}

static ent_status write_index(const writer *w, const char *folder)
{
    char *text = NULL, *path = NULL;
    size_t total = 0;
    ent_json *root = ent_json_new_object(), *metadata = ent_json_add_object(root, "metadata");
    ent_status st;
    for (size_t i = 0; i < w->count; i++)
        total += ent_st_data_bytes(&w->tensors[i]);
    ent_json_add_int(metadata, "total_size", (int64_t)total);
    ent_json *map = ent_json_add_object(root, "weight_map");
    for (size_t i = 0; i < w->count; i++)
        ent_json_add_string(map, w->tensors[i].name, name_of(&(file_name){0}, w, w->file_of[i]));
    ENT_GO(ent_json_print(&text, root, true));
    ENT_GO(ent_format(&path, "%s/model.safetensors.index.json", folder));
    ENT_GO(ent_atomic_write(path, text, strlen(text)));
done:
    free(path);
    free(text);
    ent_json_free(root);
    return st;
}

static ent_status copy_file(const char *folder, const char *from, const char *name)
{
    ent_status st;
    char *source = NULL, *to = NULL, *text = NULL;
    size_t n;
    ENT_GO(ent_format(&source, "%s/%s", from, name));
    if (access(source, F_OK) != 0)
        goto done;
    ENT_GO(ent_format(&to, "%s/%s", folder, name));
    ENT_GO(ent_text_read_file(&text, &n, source));
    ENT_GO(ent_atomic_write(to, text, n));
done:
    free(source);
    free(to);
    free(text);
    return st;
}

ent_status ent_model_copy_files(const char *folder, const char *from)
{
    static const char *const names[] = {"config.json",
                                        "generation_config.json",
                                        "tokenizer.json",
                                        "tokenizer_config.json",
                                        "special_tokens_map.json",
                                        "chat_template.jinja",
                                        "tokenizer.model",
                                        "vocab.json",
                                        "merges.txt",
                                        "added_tokens.json"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        ENT_TRY(copy_file(folder, from, names[i]));
    return ENT_OK;
}

/* Under the key that config.json has for it: "torch_dtype", or "dtype" since transformers 4.56. */
static void name_dtype(ent_json *config, ent_dtype dtype)
{
    static const char *const keys[] = {"torch_dtype", "dtype"};
    static const char *const names[] = {
        [ENT_DTYPE_F32] = "float32", [ENT_DTYPE_BF16] = "bfloat16", [ENT_DTYPE_F16] = "float16"};
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        if (ent_json_member(config, keys[i]) == NULL)
            continue;
        ent_json_remove(config, keys[i]);
        ent_json_add_string(config, keys[i], names[dtype]);
    }
}

/* What the copied config.json says otherwise. */
static ent_status configure(const char *folder, const ent_model_write_options *o)
{
    static const char quantized[] = "quantization_config";
    char *path, *text = NULL;
    ent_json *config = NULL;
    ent_status st;
    ENT_TRY(ent_format(&path, "%s/config.json", folder));
    ENT_GO(ent_json_read_file(&config, path));
    if (o->dtype == NULL && o->configure == NULL && ent_json_member(config, quantized) == NULL)
        goto done;
    ent_json_remove(config, quantized);
    if (o->dtype)
        name_dtype(config, *o->dtype);
    if (o->configure)
        o->configure(config, o->configure_context);
    ENT_GO(ent_json_print(&text, config, true));
    ENT_GO(ent_atomic_write(path, text, strlen(text)));
done:
    free(text);
    ent_json_free(config);
    free(path);
    return st;
}

static ent_status write_files(const char *folder, const void *context)
{
    const writer *w = context;
    for (size_t k = 0; k < w->n_files; k++) {
        char *path;
        ENT_TRY(ent_format(&path, "%s/%s", folder, name_of(&(file_name){0}, w, k)));
        const ent_status st = write_weights(w, k, path);
        free(path);
        ENT_TRY(st);
    }
    if (w->n_files > 1)
        ENT_TRY(write_index(w, folder));
    ENT_TRY(ent_model_copy_files(folder, w->options->from));
    ENT_TRY(configure(folder, w->options));
    return w->options->verify ? w->options->verify(folder, w->options->verify_context) : ENT_OK;
}

/* --- its place --- */

ent_status ent_model_write_check(const char *folder, bool overwrite)
{
    struct stat status;
    char *config;
    if (lstat(folder, &status) != 0)
        return errno == ENOENT ? ENT_OK : ent_fail(ENT_EIO, "%s: %s", folder, strerror(errno));
    if (!overwrite)
        return ent_fail(ENT_ECONFIG, "%s: is there already, and is not to be overwritten", folder);
    ENT_TRY(ent_format(&config, "%s/config.json", folder));
    const bool model = ent_path_is_file(config);
    free(config);
    if (!model)
        return ent_fail(ENT_ECONFIG, "%s: is no model (it has no config.json), and is not overwritten", folder);
    return ENT_OK;
}

/* `folder` is what stood at `beside`; the old one is removed. Where the file system can't exchange two names (NFS),
 * there is an instant at which the old one stands under a temporary name and the new one isn't in its place yet. */
static ent_status replace(const char *folder, const char *beside)
{
    ent_status st;
    char *parent = NULL, *old = NULL;
    ENT_GO(ent_path_folder(&parent, folder));
    if (renameat2(AT_FDCWD, beside, AT_FDCWD, folder, RENAME_EXCHANGE) == 0) {
        ENT_GO(ent_strdup(&old, beside));
    } else if (errno == EINVAL || errno == ENOSYS) {
        ENT_GO(ent_path_temporary(&old, folder));
        if (rename(folder, old) != 0)
            ENT_GO(ent_fail(ENT_EIO, "%s: %s", folder, strerror(errno)));
        if (rename(beside, folder) != 0) {
            st = ent_fail(ENT_EIO, "%s: %s", folder, strerror(errno));
            rename(old, folder);
            goto done;
        }
    } else {
        ENT_GO(ent_fail(ENT_EIO, "%s: %s", folder, strerror(errno)));
    }
    ENT_GO(ent_sync_folder(parent));
    if (!ent_remove_tree(old))
        ENT_GO(ent_fail(ENT_EIO, "%s: %s", old, strerror(errno)));
done:
    free(parent);
    free(old);
    return st;
}

static ent_status write_to(const char *folder, const writer *w)
{
    char *beside;
    if (!ent_path_is_folder(folder))
        return ent_atomic_folder(folder, write_files, w);
    ENT_TRY(ent_path_temporary(&beside, folder));
    ent_status st = ent_make_dir(beside);
    if (st == ENT_OK)
        st = write_files(beside, w);
    if (st == ENT_OK)
        st = replace(folder, beside);
    if (st != ENT_OK)
        ent_remove_tree(beside);
    free(beside);
    return st;
}

ent_status ent_model_write(const char *folder, const ent_st_tensor *tensors, size_t count,
                           const ent_model_write_options *options, ent_model_source *source, void *context)
{
    writer w = {.tensors = tensors, .count = count, .options = options, .source = source, .context = context};
    ent_status st;
    char *place = NULL;
    ENT_GO(ent_strdup(&place, folder)); /* without slashes at its end */
    for (size_t n = strlen(place); n > 1 && place[n - 1] == '/'; n--)
        place[n - 1] = '\0';
    w.folder = place;
    ENT_GO(ent_model_write_check(place, options->overwrite));
    ENT_GO(share_out(&w));
    ENT_GO(ent_calloc(&w.numbers, ENT_MODEL_PIECE, sizeof *w.numbers, "a piece of a tensor"));
    ENT_GO(ent_calloc(&w.stored, ENT_MODEL_PIECE, sizeof *w.stored, "a piece of a tensor"));
    ENT_GO(write_to(place, &w));
done:
    free(w.stored);
    free(w.numbers);
    free(w.file_of);
    free(place);
    return st;
}
