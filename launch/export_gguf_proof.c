/* Reads a GGUF file back into a decoder: see launch/export.h. */
#include <stdlib.h>
#include <string.h>

#include "io/gguf_model.h"
#include "io/model_weights.h"
#include "io/path.h"
#include "io/peft.h"
#include "launch/export.h"

/* The shares of the largest logit that types may change: rounding, and what a layer makes of it. */
static double allowed(const char *type)
{
    static const struct {
        const char *type;
        double share;
    } shares[] = {{"F32", 1e-3}, {"F16", 0.05}, {"BF16", 0.25}, {"Q8_0", 0.25}};
    for (size_t i = 0; i < sizeof shares / sizeof *shares; i++)
        if (strcmp(type, shares[i].type) == 0)
            return shares[i].share;
    return 1; /* of 4 and 5 bits: it may be wrong, not wild */
}

static ent_status prove_model(const ent_gguf *file, ent_proof *proof, const ent_export_options *o, const char *folder)
{
    ent_model_config config;
    ent_gguf_weights weights = {0};
    ent_decoder *decoder = NULL;
    ent_status st;
    ENT_GO(ent_gguf_read_model(&config, file));
    ENT_GO(ent_gguf_weights_new(&weights, file, &config, folder));
    ENT_GO(ent_decoder_new(&decoder, &config, NULL, false, ENT_PROBE_TOKENS));
    ENT_GO(ent_bind_tensors(ent_decoder_params(decoder), weights.tensors, weights.count, false, o->out));
    ENT_GO(ent_proof_compare(proof, decoder, o->out));
done:
    ent_decoder_free(decoder);
    ent_gguf_weights_free(&weights);
    return st;
}

/* The model, with the adapter from the file. */
static ent_status prove_adapter(const ent_gguf *file, ent_proof *proof, const ent_export_options *o, const char *folder)
{
    ent_model model = {0};
    ent_lora_config lora = {0};
    ent_model_options options = {.path = o->model, .lora = &lora, .train = true, .numbers = true};
    ent_gguf_weights weights = {0};
    ent_status st;
    options.max_positions = ENT_PROBE_TOKENS;
    ENT_GO(ent_gguf_weights_new(&weights, file, &proof->model.config, folder));
    ENT_GO(ent_adapter_describe(&lora, weights.tensors, weights.count, o->out));
    ENT_GO(ent_gguf_read_adapter(&lora.alpha, file, &proof->model.config));
    ENT_GO(ent_model_open(&model, &options));
    ENT_GO(ent_bind_tensors(ent_decoder_params(model.decoder), weights.tensors, weights.count, true, o->out));
    ENT_GO(ent_proof_compare(proof, model.decoder, o->out));
done:
    ent_model_close(&model);
    ent_lora_config_clear(&lora);
    ent_gguf_weights_free(&weights);
    return st;
}

ent_status ent_export_gguf_prove(ent_proof *proof, const ent_export_options *o, const char *type, const char *temporary)
{
    ent_gguf *file = NULL;
    char *folder = NULL;
    ent_status st;
    proof->allowed = allowed(type);
    ENT_GO(ent_path_folder(&folder, temporary));
    ENT_GO(ent_gguf_open(&file, temporary));
    ENT_GO(o->format == ENT_EXPORT_GGUF ? prove_model(file, proof, o, folder) : prove_adapter(file, proof, o, folder));
done:
    ent_gguf_close(file);
    free(folder);
    return st;
}
