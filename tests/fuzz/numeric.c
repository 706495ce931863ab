/* Numeric traces, compared with one that is as it should be and with themselves. */
#include <stdlib.h>

#include "tests/fuzz/fuzz.h"
#include "trace/numeric.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    ent_text report = {0};
    bool equal = false, yes = false;
    const char *path = fuzz_file("run.jsonl", data, n);
    FUZZ_CHECK(ent_numeric_is_trace(&yes, path) == ENT_OK);
    fuzz_ok(ent_numeric_compare(&report, &equal, fuzz_source("golden_traces/numeric/lora-adamw-fp32.jsonl"), path));
    if (fuzz_ok(ent_numeric_compare(&report, &equal, path, path)))
        FUZZ_CHECK(equal);
    free(report.data);
    return 0;
}
