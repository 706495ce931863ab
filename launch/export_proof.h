/* That what was written computes what it was made of: logits on fixed tokens, and SHA-256 of all files. */
#ifndef ENT_LAUNCH_EXPORT_PROOF_H
#define ENT_LAUNCH_EXPORT_PROOF_H

#include "io/json.h"
#include "io/text.h"
#include "launch/model.h"

enum { ENT_PROBE_TOKENS = 32 };

typedef struct ent_proof {
    ent_model model; /* with its adapter: what is written from */
    size_t n;        /* tokens of the probe: fewer where the model is made for fewer, or sees fewer */
    int32_t ids[ENT_PROBE_TOKENS], doc_start[ENT_PROBE_TOKENS];
    float *expected; /* its logits (n, V) */
    double allowed;  /* the difference that is, as a share of the largest logit */

    /* Measured by ent_proof_compare. */
    double difference, largest; /* of logits: the largest one, and the largest expected one */
    size_t same;                /* positions at which the likeliest token is the same */
} ent_proof;

/* Opens model and adapter (NULL: none) and computes the logits. ent_proof_end also after a failure. */
ent_status ent_proof_begin(ent_proof *proof, const char *model, const char *adapter);
void ent_proof_end(ent_proof *proof);

/* Compares the logits of a decoder that was read back from `out`. ENT_ENUMERIC if they differ by more than allowed. */
ent_status ent_proof_compare(ent_proof *proof, ent_decoder *decoder, const char *out);

/* A line for people; what a file of the proof holds, {format, type, model, adapter, probe, logits}, with the digests of
 * all that was read. `type` NULL: it has none. The caller adds what was written, and frees. */
void ent_proof_report(ent_text *to, const ent_proof *proof);
ent_status ent_proof_json(ent_json **out, const ent_proof *proof, const char *format, const char *type,
                          const char *model, const char *adapter);

/* Adds {file, sha256} of a file, or of the files of a model's or an adapter's folder. */
ent_status ent_proof_add_file(ent_json *list, const char *path);
ent_status ent_proof_add_model(ent_json *list, const char *folder, const ent_safetensors *weights);
ent_status ent_proof_add_adapter(ent_json *list, const char *path);

/* Prints `json`, frees it, and writes it. */
ent_status ent_proof_write(const char *path, ent_json *json);

#endif
