/* tokenizer_config.json with its chat template, and the same bytes as chat_template.jinja and generation_config.json.
 */
#include <stdio.h>
#include <unistd.h>

#include "io/chat.h"
#include "io/tokenizer_config.h"
#include "io/tokenizer_json.h"
#include "tests/fuzz/fuzz.h"

static const ent_chat_message CHAT[] = {
    {"system", "Be brief."}, {"user", " Hello "}, {"assistant", "Hi."}, {"user", ""}, {"assistant", "<s>"}};

static void read_folder(const ent_tokenizer *tokenizer)
{
    ent_tokenizer_config config = {0};
    ent_chat chat = {0};
    int32_t eos = -1;
    fuzz_ok(ent_tokenizer_config_read(&config, fuzz_folder()));
    ent_tokenizer_config_free(&config);
    fuzz_ok(ent_model_eos(&eos, fuzz_folder(), tokenizer));
    fuzz_ok(ent_model_eos(&eos, fuzz_folder(), NULL));
    if (fuzz_ok(ent_chat_load(&chat, fuzz_folder(), NULL))) {
        for (size_t begin = 0; begin < 3; begin++) {
            ent_masked_text text = {0};
            fuzz_ok(ent_chat_render(&text, &chat, CHAT + begin, 5 - begin, "chat"));
            ent_masked_text_free(&text);
        }
    }
    ent_chat_free(&chat);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    static ent_tokenizer *tokenizer;
    if (tokenizer == NULL)
        FUZZ_CHECK(ent_tokenizer_load(&tokenizer, fuzz_source("tests/data/tokenizers/spm-512")) == ENT_OK);
    static const char *const names[] = {"tokenizer_config.json", "chat_template.jinja", "generation_config.json"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        static const char tokens[] = "{\"bos_token\": \"<s>\", \"eos_token\": \"</s>\"}";
        fuzz_file(names[0], tokens, sizeof tokens - 1);
        const char *path = fuzz_file(names[i], data, n);
        read_folder(tokenizer);
        unlink(path);
    }
    return 0;
}
