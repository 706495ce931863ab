/* Traces of system calls, and all that is said of them. A trace is equal to itself. */
#include <stdlib.h>

#include "tests/fuzz/fuzz.h"
#include "trace/compare.h"
#include "trace/patterns.h"
#include "trace/rules.h"
#include "trace/summary.h"

static void report_on(const ent_trace *trace)
{
    static ent_rules *rules;
    ent_text report = {0};
    bool equal = false;
    size_t failures;
    if (rules == NULL)
        FUZZ_CHECK(ent_rules_read(&rules, fuzz_source("golden_traces/rules/training_loop.toml")) == ENT_OK);
    for (int strict = 0; strict < 2; strict++)
        FUZZ_CHECK(fuzz_ok(ent_trace_compare(&report, &equal, trace, trace, strict)) && equal);
    fuzz_ok(ent_trace_summary(&report, trace));
    fuzz_ok(ent_trace_patterns(&report, (const ent_trace *[]){trace, trace}, 2, 3));
    fuzz_ok(ent_rules_check(&report, &failures, rules, trace));
    free(report.data);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    ent_trace trace, again;
    if (fuzz_ok(ent_trace_read(&trace, fuzz_file("trace.json", data, n)))) {
        report_on(&trace);
        const ent_trace_format format = trace.raw ? ENT_TRACE_V1_RAW : ENT_TRACE_V1;
        const char *path = fuzz_file("again.json", "", 0);
        FUZZ_CHECK(fuzz_ok(ent_trace_write(path, &trace, format, false)));
        FUZZ_CHECK(fuzz_ok(ent_trace_read(&again, path)));
        FUZZ_CHECK(again.count == trace.count);
        ent_trace_clear(&again);
    }
    ent_trace_clear(&trace);
    return 0;
}
