/* Training data of every kind, through a small tokenizer. Every unit that comes of it is one that may be trained on. */
#include "io/dataset.h"
#include "io/tokenizer_json.h"
#include "tests/fuzz/fuzz.h"

enum { SEQ_LEN = 160, VOCAB = 512 };

static void check_units(const ent_dataset *dataset)
{
    const ent_dataset_counts *counts = ent_dataset_counts_of(dataset);
    uint64_t tokens = 0, targets = 0;
    for (size_t i = 0; i < ent_dataset_units(dataset); i++) {
        ent_unit unit;
        ent_dataset_unit(&unit, dataset, i);
        FUZZ_CHECK(unit.n >= 1 && unit.n <= SEQ_LEN);
        for (size_t t = 0; t < unit.n; t++) {
            FUZZ_CHECK(unit.ids[t] >= 0 && unit.ids[t] < VOCAB);
            FUZZ_CHECK(unit.targets[t] == ENT_NO_TARGET || (unit.targets[t] >= 0 && unit.targets[t] < VOCAB));
            FUZZ_CHECK(unit.doc_start[t] >= 0 && (size_t)unit.doc_start[t] <= t);
            targets += unit.targets[t] != ENT_NO_TARGET;
        }
        tokens += unit.n;
    }
    FUZZ_CHECK(tokens == counts->tokens && targets == counts->targets && targets > 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    static ent_tokenizer *tokenizer;
    ent_dataset *dataset;
    if (tokenizer == NULL)
        FUZZ_CHECK(ent_tokenizer_load(&tokenizer, fuzz_source("tests/data/tokenizers/spm-512")) == ENT_OK);
    const ent_dataset_options options = {.seq_len = SEQ_LEN,
                                         .vocab_size = VOCAB,
                                         .mask_prompt = n & 1,
                                         .packing = n & 2,
                                         .tokenizer = n % 8 == 4 ? NULL : tokenizer};
    if (!fuzz_ok(ent_dataset_open(&dataset, fuzz_file("train.jsonl", data, n), &options)))
        return 0;
    check_units(dataset);
    ent_dataset_close(dataset);
    return 0;
}
