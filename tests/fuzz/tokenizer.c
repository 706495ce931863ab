/* Tokenizers. One that loads turns texts into ids of its vocabulary, and those into texts. */
#include <stdlib.h>
#include <string.h>

#include "io/tokenizer_json.h"
#include "tests/fuzz/fuzz.h"

static const char *const TEXTS[] = {"",
                                    "Hello, world",
                                    "  a b\n\nab  abab 12345 It's\t",
                                    "\xc3\xa9t\xc3\xa9 \xe2\x82\xac \xf0\x9f\x99\x82 e\xcc\x81",
                                    "<s> x</s><|end|> aaaaaaaaaaaaaaaaaa",
                                    "not UTF-8: \xff"};

static void use(const ent_tokenizer *tokenizer, const char *text)
{
    ent_ids ids = {0};
    const size_t vocab = ent_tokenizer_vocab_size(tokenizer);
    for (int special = 0; special < 2; special++) {
        char *decoded = NULL;
        size_t n;
        ids.count = 0;
        if (!fuzz_ok(ent_tokenizer_encode(&ids, tokenizer, text, strlen(text), special)))
            continue;
        for (size_t i = 0; i < ids.count; i++)
            FUZZ_CHECK(ids.ids[i] >= 0 && (size_t)ids.ids[i] < vocab);
        if (fuzz_ok(ent_tokenizer_decode(&decoded, &n, tokenizer, ids.ids, ids.count, special)))
            FUZZ_CHECK(decoded[n] == 0);
        free(decoded);
    }
    ent_ids_free(&ids);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    ent_tokenizer *tokenizer;
    if (!fuzz_ok(ent_tokenizer_load(&tokenizer, fuzz_file("tokenizer.json", data, n))))
        return 0;
    for (size_t i = 0; i < sizeof TEXTS / sizeof *TEXTS; i++)
        use(tokenizer, TEXTS[i]);
    for (int32_t id = -1; id < 300; id++) {
        char *decoded = NULL;
        size_t length;
        fuzz_ok(ent_tokenizer_decode(&decoded, &length, tokenizer, &id, 1, false));
        free(decoded);
    }
    ent_tokenizer_free(tokenizer);
    return 0;
}
