/* Writes a trained model for other programs, and proves that it is the same model: what was written is read back, and
 * its logits on fixed tokens are compared with those of the model and adapter it was made of.
 */
#ifndef ENT_LAUNCH_EXPORT_H
#define ENT_LAUNCH_EXPORT_H

#include "io/text.h"
#include "launch/export_proof.h"
#include "src/quant/blocks.h"

typedef enum ent_export_format {
    ENT_EXPORT_PEFT,        /* a PEFT folder */
    ENT_EXPORT_SAFETENSORS, /* the merged model as a Hugging Face folder */
    ENT_EXPORT_GGUF,        /* the merged model as a GGUF file */
    ENT_EXPORT_GGUF_ADAPTER /* the adapter as a GGUF file */
} ent_export_format;

typedef struct ent_export_options {
    const char *model;   /* a model folder */
    const char *adapter; /* a PEFT folder or a checkpoint; NULL, of GGUF alone: the model as it is */
    const char *out;     /* must not be there yet */
    ent_export_format format;
    const char
        *type; /* "F32" or a name of src/quant/blocks.h; NULL: as the model is stored, adapters F32. Not of PEFT */
} ent_export_options;

/* *report = lines for people: what was written, what is otherwise there, the proof. ENT_ECONFIG and others before
 * anything is written; ENT_ENUMERIC if the proof fails, or a number doesn't fit the type: then nothing is there. */
ent_status ent_export_run(ent_text *report, const ent_export_options *options);

/* ENT_ECONFIG if something is there; ENT_EIO where nothing can be. */
ent_status ent_export_check_out(const char *out);

/* For ent_export_run: the GGUF formats; and what reads the file back, `type` being its. */
ent_status ent_export_gguf(ent_text *report, ent_proof *proof, const ent_export_options *options);
ent_status ent_export_gguf_prove(ent_proof *proof, const ent_export_options *options, const char *type,
                                 const char *temporary);

#endif
