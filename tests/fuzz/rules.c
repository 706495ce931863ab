/* Rules for traces: TOML, with patterns and expressions in it, checked against a trace. */
#include <stdlib.h>

#include "io/toml.h"
#include "tests/fuzz/fuzz.h"
#include "trace/rules.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    static ent_trace trace;
    ent_toml *toml;
    ent_rules *rules;
    ent_text report = {0};
    size_t failures = 0;
    if (trace.count == 0)
        FUZZ_CHECK(ent_trace_read(&trace, fuzz_source("golden_traces/training_loop.json")) == ENT_OK);
    if (fuzz_ok(ent_toml_parse(&toml, (const char *)data, n, "rules.toml")))
        ent_toml_free(toml);
    if (!fuzz_ok(ent_rules_read(&rules, fuzz_file("rules.toml", data, n))))
        return 0;
    fuzz_ok(ent_rules_check(&report, &failures, rules, &trace));
    free(report.data);
    ent_rules_free(rules);
    return 0;
}
