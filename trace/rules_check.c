/* Checks rules. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "io/number.h"
#include "io/path.h"
#include "trace/rules_parts.h"

typedef enum { HOLDS, BROKEN, NOT_FOR } outcome;

typedef struct check {
    const ent_trace *trace;
    ent_measure measure;
} check;

/* Appends what was found to `line`. Other errors than ENT_ENOMEM say why the rule can't be decided. */
typedef ent_status check_type(outcome *out, ent_text *line, const ent_rule *rule, const check *c);

static outcome at_most(double found, double limit)
{
    return found <= limit ? HOLDS : BROKEN;
}

static void put_ms(ent_text *line, int64_t us)
{
    ent_number_text number;
    if (us == ENT_UNKNOWN)
        ent_text_put(line, "not known");
    else
        ent_text_printf(line, "%s ms", ent_number_format(&number, (double)us / 1e3));
}

static ent_status check_critical_path(outcome *out, ent_text *line, const ent_rule *rule, const check *c)
{
    static const char *const names[] = {"wall time", "time within calls"};
    const int64_t times[] = {c->measure.wall_us, c->measure.syscall_us};
    const int which = rule->choice, other = 1 - which;
    ent_number_text number;
    if (rule->pattern) {
        const char *program = ent_trace_program(c->trace);
        if (program == NULL)
            return ent_fail(ENT_EFORMAT, "the trace doesn't say which program ran, the rule is for %s",
                            ent_pattern_text(rule->pattern));
        if (!ent_pattern_matches(rule->pattern, program)) {
            ent_text_printf(line, "for %s, not for %s", ent_pattern_text(rule->pattern), program);
            *out = NOT_FOR;
            return ENT_OK;
        }
    }
    ent_text_printf(line, "%s ", names[which]);
    put_ms(line, times[which]);
    ent_text_printf(line, ", at most %s ms (%s: ", ent_number_format(&number, rule->limit), names[other]);
    put_ms(line, times[other]);
    ent_text_put(line, ")");
    *out = times[which] == ENT_UNKNOWN ? BROKEN : at_most((double)times[which] / 1e3, rule->limit);
    return ENT_OK;
}

static ent_status check_span_count(outcome *out, ent_text *line, const ent_rule *rule, const check *c)
{
    const int64_t calls = ent_measure_matching(&c->measure, rule->pattern).calls;
    ent_text_printf(line, "%lld calls%s%s, at most %lld", (long long)calls, rule->pattern ? " of " : "",
                    rule->pattern ? ent_pattern_text(rule->pattern) : "", (long long)rule->count);
    *out = calls <= rule->count ? HOLDS : BROKEN;
    return ENT_OK;
}

static ent_status check_memory_usage(outcome *out, ent_text *line, const ent_rule *rule, const check *c)
{
    const bool rss = rule->choice == 1;
    const int64_t bytes = rss ? c->measure.max_rss : c->measure.allocated;
    if (bytes == ENT_UNKNOWN)
        return ent_fail(ENT_EFORMAT, "the trace doesn't say %s",
                        rss ? "how large a process was" : "how much memory the calls asked for");
    ent_text_printf(line, "%lld bytes %s, at most %lld", (long long)bytes, rss ? "resident" : "allocated",
                    (long long)rule->count);
    *out = bytes <= rule->count ? HOLDS : BROKEN;
    return ENT_OK;
}

static void put_share(ent_text *line, double share, double limit)
{
    ent_number_text a, b;
    const double rounded = round(share * 1e4) / 1e4;
    const bool misleads = (rounded <= limit) != (share <= limit);
    ent_text_printf(line, ": a share of %s, at most %s", ent_number_format(&a, misleads ? share : rounded),
                    ent_number_format(&b, limit));
}

static ent_status check_god_process(outcome *out, ent_text *line, const ent_rule *rule, const check *c)
{
    const ent_process_share most = ent_measure_busiest(c->trace, rule->pattern);
    if (c->trace->n_processes == 1) {
        ent_text_put(line, "one process, nothing to share");
        return ENT_OK;
    }
    const char *program = most.process->program ? ent_path_name(most.process->program) : "?";
    const double share = most.total > 0 ? (double)most.work / (double)most.total : 0;
    ent_text_printf(line, "process %d (%s) has %lld of %lld %s", most.process->pid, program, (long long)most.work,
                    (long long)most.total, most.by_calls ? "calls" : "us of cpu time");
    put_share(line, share, rule->limit);
    *out = at_most(share, rule->limit);
    return ENT_OK;
}

static ent_status check_tight_loop(outcome *out, ent_text *line, const ent_rule *rule, const check *c)
{
    ent_call_run run;
    ENT_TRY(ent_measure_longest_run(&run, c->trace, rule->pattern));
    if (run.length == 0) {
        ent_text_put(line, "no calls");
        return ENT_OK;
    }
    const double share = (double)run.length / (double)c->measure.calls;
    ent_text_printf(line, "%lld of %lld calls are %s in a row", (long long)run.length, (long long)c->measure.calls,
                    run.name);
    if (run.tid > 0)
        ent_text_printf(line, " by thread %d", run.tid);
    else
        ent_text_put(line, " (threads are not known)");
    put_share(line, share, rule->limit);
    *out = at_most(share, rule->limit);
    return ENT_OK;
}

static ent_status check_anti_pattern(outcome *out, ent_text *line, const ent_rule *rule, const check *c)
{
    const bool god_process = rule->choice == 0;
    if (c->trace->n_processes == 0 && (god_process || rule->pattern))
        return ent_fail(ENT_EFORMAT, "the trace doesn't list its processes");
    if (rule->pattern && ent_measure_busiest(c->trace, rule->pattern).process == NULL) {
        ent_text_printf(line, "for processes %s, there are none", ent_pattern_text(rule->pattern));
        *out = NOT_FOR;
        return ENT_OK;
    }
    return (god_process ? check_god_process : check_tight_loop)(out, line, rule, c);
}

static ent_status check_custom(outcome *out, ent_text *line, const ent_rule *rule, const check *c)
{
    bool holds;
    ent_text values = {0};
    const ent_status st = ent_expression_evaluate(&holds, &values, rule->expression, &c->measure);
    ent_text_put(line, ent_expression_text(rule->expression));
    if (st == ENT_OK && values.n > 0)
        ent_text_printf(line, ": %s", values.data);
    line->failed |= values.failed;
    free(values.data);
    *out = holds ? HOLDS : BROKEN;
    return st;
}

/* Appends a line that stays one, whatever a trace or a program may be named. */
static void put_line(ent_text *report, const char *status, const char *name, const char *line)
{
    const size_t start = report->n;
    ent_text_printf(report, "%-6s%s%s%s", status, name, *line ? ": " : "", line);
    for (size_t i = start; i < report->n; i++)
        if ((unsigned char)report->data[i] < ' ' || report->data[i] == 0x7f)
            report->data[i] = ' ';
    ent_text_put(report, "\n");
}

typedef struct tally {
    size_t ok, failed, warned, off;
} tally;

static ent_status check_rule(ent_text *report, tally *t, const ent_rule *rule, const check *c)
{
    static check_type *const checks[ENT_RULE_TYPES] = {check_critical_path, check_span_count, check_memory_usage,
                                                       check_anti_pattern, check_custom};
    outcome found = HOLDS;
    ent_text line = {0};
    char *text;
    if (rule->disabled) {
        t->off++;
        put_line(report, "off", rule->name, "");
        return ENT_OK;
    }
    const ent_status st = checks[rule->type](&found, &line, rule, c);
    if (st != ENT_OK && st != ENT_ENOMEM) {
        found = BROKEN;
        ent_text_printf(&line, "%s%s", line.n > 0 ? ": " : "", ent_message());
    }
    ENT_TRY(ent_text_finish(&text, &line));
    const bool fails = found == BROKEN && !rule->warns;
    t->ok += found == HOLDS;
    t->off += found == NOT_FOR;
    t->failed += fails;
    t->warned += found == BROKEN && rule->warns;
    put_line(report, found == HOLDS ? "ok" : found == NOT_FOR ? "off" : fails ? "FAIL" : "warn", rule->name, text);
    free(text);
    return st == ENT_ENOMEM ? st : ENT_OK;
}

ent_status ent_rules_check(ent_text *report, size_t *failures, const ent_rules *rules, const ent_trace *trace)
{
    check c = {.trace = trace};
    tally t = {0};
    ent_status st;
    *failures = 0;
    ENT_GO(ent_measure_trace(&c.measure, trace));
    for (size_t i = 0; i < rules->n_rules; i++)
        ENT_GO(check_rule(report, &t, &rules->rules[i], &c));
    ent_text_printf(report, "%zu ok, %zu failed", t.ok, t.failed);
    if (t.warned)
        ent_text_printf(report, ", %zu warned", t.warned);
    if (t.off)
        ent_text_printf(report, ", %zu off", t.off);
    ent_text_put(report, "\n");
    *failures = t.failed;
done:
    ent_measure_clear(&c.measure);
    return st;
}
