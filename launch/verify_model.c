/* A model's folder: see launch/verify.h. */
#include <inttypes.h>
#include <stdlib.h>

#include "io/model_config.h"
#include "io/model_weights.h"
#include "io/path.h"
#include "io/quantized_read.h"
#include "io/tokenizer_config.h"
#include "io/tokenizer_json.h"
#include "launch/verify_parts.h"
#include "src/base/mem.h"
#include "src/nn/decoder.h"

static ent_status check_types(const ent_contents *c)
{
    ent_dtype dtype;
    for (size_t i = 0; i < c->count; i++)
        if (!ent_st_type_dtype(&dtype, c->tensors[i].type))
            return ent_fail(ENT_EUNSUPPORTED, "%s: %s: expected dtype F32, BF16, F16 or F64, found %s",
                            c->tensors[i].file, c->tensors[i].name, ent_st_type_name(c->tensors[i].type));
    return ENT_OK;
}

/* The tensors are those of the model that the config describes, in types it can be loaded from; quantised ones with all
 * their parts. */
static ent_status check_tensors(const ent_contents *c, const ent_model_config *config)
{
    const bool tied = config->tie_word_embeddings;
    ent_decoder *decoder = NULL;
    ent_quantized *quantized = NULL;
    ent_quantized_scheme scheme;
    ent_status st;
    ENT_GO(ent_quantized_scheme_load(&scheme, c->path));
    if (scheme.kind == ENT_QUANTIZED_NOT)
        ENT_GO(check_types(c));
    ENT_GO(ent_decoder_new(&decoder, config, NULL, false, 1));
    ent_params *params = ent_decoder_params(decoder);
    ENT_GO(scheme.kind == ENT_QUANTIZED_NOT
               ? ent_model_bind(params, c->files, tied, c->path)
               : ent_quantized_bind(&quantized, params, c->files, &scheme, ENT_QUANTIZED_UNREAD, tied, c->path));
done:
    ent_decoder_free(decoder);
    ent_quantized_free(quantized);
    return st;
}

static ent_status check_ids(const char *folder, const ent_tokenizer *tokenizer, const ent_model_config *config)
{
    int32_t eos;
    const size_t vocab = ent_tokenizer_vocab_size(tokenizer);
    if (vocab > config->vocab_size)
        return ent_fail(ENT_EFORMAT, "%s/tokenizer.json: has ids up to %zu, vocab_size in config.json is %zu", folder,
                        vocab - 1, config->vocab_size);
    ENT_TRY(ent_model_eos(&eos, folder, tokenizer));
    if (eos >= 0 && (size_t)eos >= config->vocab_size)
        return ent_fail(ENT_EFORMAT, "%s: the EOS token is %" PRId32 ", vocab_size in config.json is %zu", folder, eos,
                        config->vocab_size);
    return ENT_OK;
}

static void check_tokenizer(ent_verification *v, const char *folder, const ent_model_config *config)
{
    ent_tokenizer *tokenizer = NULL;
    ent_tokenizer_config beside = {0};
    char *path;
    if (!ent_verify_take(v, ent_format(&path, "%s/tokenizer.json", folder)))
        return;
    if (!ent_path_is_file(path)) {
        int32_t eos;
        if (ent_verify_take(v, ent_model_eos(&eos, folder, NULL)))
            ent_verify_good(v, "%s: has no tokenizer.json: only data of token ids can be used with it", folder);
    } else if (ent_verify_take(v, ent_tokenizer_load(&tokenizer, path)) &&
               ent_verify_take(v, ent_tokenizer_config_read(&beside, folder)) &&
               ent_verify_take(v, check_ids(folder, tokenizer, config))) {
        ent_verify_good(v, "%s: loads; %zu ids", path, ent_tokenizer_vocab_size(tokenizer));
    }
    ent_tokenizer_config_free(&beside);
    ent_tokenizer_free(tokenizer);
    free(path);
}

void ent_verify_model(ent_verification *v, const char *folder)
{
    ent_model_config config;
    ent_contents *c;
    if (!ent_verify_take(v, ent_model_config_load(&config, folder)))
        return;
    ent_verify_good(v, "%s/config.json: %s, %zu layers", folder, config.model_type, config.n_layers);
    check_tokenizer(v, folder, &config);
    if (!ent_verify_take(v, ent_contents_open(&c, folder)))
        return;
    ent_verify_good(v, "%s: headers, types and offsets of its files, and their index", folder);
    if (ent_verify_take(v, check_tensors(c, &config)))
        ent_verify_good(v, "%s: names and shapes as config.json asks", folder);
    ent_verify_numbers(v, c);
    ent_contents_close(c);
}
