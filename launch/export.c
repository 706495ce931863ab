#include "launch/export.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "io/model_weights.h"
#include "io/peft.h"
#include "launch/merge.h"
#include "src/base/mem.h"

/* A folder that is written, and what proves it. */
typedef struct work {
    const ent_export_options *options;
    ent_proof *proof;
} work;

/* FOLDER/proof.json, under the folder's temporary name. */
static ent_status write_proof(const char *folder, const work *w, const char *format, const ent_safetensors *weights)
{
    ent_status st;
    ent_json *json = NULL;
    char *path = NULL;
    ENT_GO(ent_proof_json(&json, w->proof, format, w->options->type, w->options->model, w->options->adapter));
    ent_json *list = ent_json_add_array(json, "written");
    ENT_GO(weights ? ent_proof_add_model(list, folder, weights) : ent_proof_add_adapter(list, folder));
    ENT_GO(ent_format(&path, "%s/proof.json", folder));
    st = ent_proof_write(path, json);
    json = NULL;
done:
    ent_json_free(json);
    free(path);
    return st;
}

/* --- PEFT --- */

static ent_status put_peft(const char *folder, const void *context)
{
    const work *w = context;
    const ent_model *m = &w->proof->model;
    const ent_model_options again = {.path = w->options->model, .adapter = folder, .max_positions = ENT_PROBE_TOKENS};
    ent_model read = {0};
    ent_st_tensor *tensors = NULL;
    size_t count;
    ent_status st;
    ENT_GO(ent_adapter_tensors(&tensors, &count, ent_decoder_params(m->decoder)));
    ENT_GO(ent_peft_write(folder, &m->lora, w->options->model, tensors, count));
    ENT_GO(ent_model_open(&read, &again));
    ENT_GO(ent_proof_compare(w->proof, read.decoder, w->options->out));
    ENT_GO(write_proof(folder, w, "peft", NULL));
done:
    ent_model_close(&read);
    free(tensors);
    return st;
}

static ent_status export_peft(ent_text *report, ent_proof *proof, const ent_export_options *o)
{
    proof->allowed = 0; /* the same numbers */
    ENT_TRY(ent_atomic_folder(o->out, put_peft, &(work){.options = o, .proof = proof}));
    ent_text_printf(report, "%s: a PEFT adapter of rank %zu\n", o->out, proof->model.lora.r);
    return ENT_OK;
}

/* --- safetensors --- */

static ent_status prove_model(const char *folder, const void *context)
{
    const work *w = context;
    const ent_model_options again = {.path = folder, .max_positions = ENT_PROBE_TOKENS};
    ent_model read = {0};
    ent_status st;
    ENT_GO(ent_model_open(&read, &again));
    ENT_GO(ent_proof_compare(w->proof, read.decoder, w->options->out));
    ENT_GO(write_proof(folder, w, "safetensors", read.weights));
done:
    ent_model_close(&read);
    return st;
}

static ent_status export_safetensors(ent_text *report, ent_proof *proof, const ent_export_options *o)
{
    static const struct {
        const char *name;
        ent_dtype dtype;
        double allowed;
    } types[] = {{"F32", ENT_DTYPE_F32, 1e-3}, {"F16", ENT_DTYPE_F16, 0.05}, {"BF16", ENT_DTYPE_BF16, 0.25}};
    const work w = {.options = o, .proof = proof};
    const char *models[] = {o->model};
    ent_merge_options merge = {.adapter = o->adapter,
                               .how = {.models = 1},
                               .models = models,
                               .out = o->out,
                               .verify = prove_model,
                               .verify_context = &w};
    ent_merge_job *job = NULL;
    size_t tensors, numbers, bytes, i = 0;
    ent_status st;
    const char *type = o->type ? o->type : ent_dtype_name(ent_safetensors_at(proof->model.weights, 0)->dtype);
    while (i < 3 && strcmp(type, types[i].name) != 0)
        i++;
    if (i == 3)
        return ent_fail(ENT_ECONFIG, "--type %s: safetensors has f32, f16 and bf16", o->type);
    proof->allowed = types[i].allowed;
    merge.has_dtype = o->type != NULL;
    merge.dtype = types[i].dtype;
    ENT_GO(ent_merge_job_open(&job, &merge));
    ENT_GO(ent_merge_job_run(job));
    ent_merge_job_size(&tensors, &numbers, &bytes, job);
    ent_text_printf(report, "%s: %zu tensors, %zu numbers, %zu bytes\n", o->out, tensors, numbers, bytes);
done:
    ent_merge_job_free(job);
    return st;
}

/* --- */

ent_status ent_export_check_out(const char *out)
{
    struct stat status;
    if (lstat(out, &status) == 0)
        return ent_fail(ENT_ECONFIG, "--out: %s: is there already, and is not overwritten", out);
    return errno == ENOENT ? ENT_OK : ent_fail(ENT_EIO, "--out: %s: %s", out, strerror(errno));
}

/* What an export that was killed has left. */
static ent_status sweep(const char *out)
{
    char *proof;
    ENT_TRY(ent_format(&proof, "%s.proof.json", out));
    ent_sweep_temporaries_of(out);
    ent_sweep_temporaries_of(proof);
    free(proof);
    return ENT_OK;
}

ent_status ent_export_run(ent_text *report, const ent_export_options *o)
{
    ent_proof proof = {0};
    ent_status st;
    ENT_TRY(ent_export_check_out(o->out));
    ENT_TRY(sweep(o->out));
    ENT_GO(ent_proof_begin(&proof, o->model, o->adapter));
    if (o->format == ENT_EXPORT_PEFT)
        ENT_GO(export_peft(report, &proof, o));
    else if (o->format == ENT_EXPORT_SAFETENSORS)
        ENT_GO(export_safetensors(report, &proof, o));
    else
        ENT_GO(ent_export_gguf(report, &proof, o));
    ent_proof_report(report, &proof);
done:
    ent_proof_end(&proof);
    return st;
}
