/* entrenar trace: records the system calls of programs, and compares, measures and judges what was recorded. */
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "io/path.h"
#include "io/text.h"
#include "launch/cmd.h"
#include "src/base/mem.h"
#include "trace/compare.h"
#include "trace/expression.h"
#include "trace/numeric.h"
#include "trace/patterns.h"
#include "trace/record.h"
#include "trace/rules.h"
#include "trace/summary.h"

static const char help_text[] =
    "usage: entrenar trace record [-o FILE] [--format v1|v1-raw] [--source] [--timing] [--summary] [-f] -- PROGRAM...\n"
    "       entrenar trace summary FILE\n"
    "       entrenar trace compare [--strict] GOLDEN NEW\n"
    "       entrenar trace assert FILE --rules RULES.toml\n"
    "       entrenar trace patterns [--steps N] FILE...\n"
    "\n"
    "record    runs a program, and writes its system calls to FILE (trace.json); exits as the program does, or with\n"
    "          128 + signal. Under MPI, rank R writes FILE with .R before its ending.\n"
    "  -f         follow threads and child processes\n"
    "  --format   v1: each argument by name, decoded (default); v1-raw: as renacer 0.6.2 writes, three numbers\n"
    "  --source   file, line and function that asked for each call, from the program's debug information\n"
    "  --timing   also with duration_us, renacer's field; v1 always has time_ns and duration_ns\n"
    "  --summary  print the table of `summary` when the program has ended, on stderr\n"
    "summary   prints time, number and errors of each call, as strace -c does\n"
    "compare   exits 0 if the program's own input and output are the same calls, in the same order, with the same\n"
    "          sizes and contents; 1 with a diff if not. Names of descriptors and files are compared, numbers of\n"
    "          descriptors, addresses, process ids, times and temporary names are not; the loader's part isn't "
    "either.\n"
    "          Numeric traces (entrenar-train --trace): bit for bit, or between kinds of CPU within a tolerance.\n"
    "  --strict   every call\n"
    "assert    exits 1 if a rule of RULES.toml is broken (as in golden_traces/rules/); `assert --help` tells what\n"
    "          can stand there\n"
    "patterns  tells of habits that cost time, in the traces of one run, one a rank; --steps: how many it made\n";

static int failed(void)
{
    fprintf(stderr, "entrenar: %s\n", ent_message());
    return ENT_EXIT_FAILED;
}

static int wrong_usage(const char *what, const char *found)
{
    fprintf(stderr, "entrenar: trace %s%s\n`entrenar trace --help` shows the usage\n", what, found);
    return ENT_EXIT_USAGE;
}

/* Prints what was reported, if all went well. */
static ent_status print(ent_text *report, FILE *to, ent_status st)
{
    char *text = NULL;
    if (st == ENT_OK)
        st = ent_text_finish(&text, report);
    if (st == ENT_OK && (fputs(text, to) < 0 || fflush(to) != 0))
        st = ent_fail(ENT_EIO, "the report could not be written: %s", strerror(errno));
    free(text);
    free(report->data);
    return st;
}

typedef struct record_arguments {
    const char *out;
    ent_trace_format format;
    bool timing, summary;
    ent_record_options options;
} record_arguments;

/* "trace.json" of rank 2: "trace.2.json". */
static ent_status place_of_rank(char **out, const char *path, int rank)
{
    const char *name = ent_path_name(path), *dot = strrchr(name, '.');
    const int stem = (int)(dot && dot != name ? dot - path : (ptrdiff_t)strlen(path));
    return rank < 0 ? ent_strdup(out, path) : ent_format(out, "%.*s.%d%s", stem, path, rank, path + stem);
}

static int record(const record_arguments *a, char **program)
{
    ent_trace trace = {0};
    ent_text report = {0};
    char *path = NULL;
    ent_status st;
    ENT_GO(place_of_rank(&path, a->out, ent_trace_mpi_rank()));
    ENT_GO(ent_path_check_place(path)); /* before the program does its work */
    ENT_GO(ent_trace_record(&trace, program, &a->options));
    ENT_GO(ent_trace_write(path, &trace, a->format, a->timing));
    if (a->summary)
        ENT_GO(print(&report, stderr, ent_trace_summary(&report, &trace)));
done:
    free(path);
    const int code = st == ENT_OK ? trace.exit_code : failed();
    ent_trace_clear(&trace);
    return code;
}

static int cmd_record(int argc, char **argv)
{
    record_arguments a = {.out = "trace.json"};
    int i = 1;
    for (; i < argc && argv[i][0] == '-'; i++) {
        const char *arg = argv[i], *value = i + 1 < argc ? argv[i + 1] : "";
        if (strcmp(arg, "--") == 0) {
            i++;
            break;
        }
        if (strcmp(arg, "-f") == 0)
            a.options.follow = true;
        else if (strcmp(arg, "--source") == 0)
            a.options.source = true;
        else if (strcmp(arg, "--timing") == 0)
            a.timing = true;
        else if (strcmp(arg, "--summary") == 0)
            a.summary = true;
        else if (strcmp(arg, "-o") == 0 && *value)
            a.out = argv[++i];
        else if (strcmp(arg, "--format") == 0 && (strcmp(value, "v1") == 0 || strcmp(value, "v1-raw") == 0))
            a.format = strcmp(argv[++i], "v1") == 0 ? ENT_TRACE_V1 : ENT_TRACE_V1_RAW;
        else if (strcmp(arg, "--format") == 0)
            return wrong_usage("record: --format: expected v1 or v1-raw, found ", *value ? value : "nothing");
        else
            return wrong_usage("record: unknown option, or one without its value: ", arg);
    }
    if (i == argc)
        return wrong_usage("record: expected a program", "");
    return record(&a, argv + i);
}

/* Something that can be read once only: a pipe, a device. */
static bool is_stream(const char *path)
{
    struct stat status;
    return stat(path, &status) == 0 && !S_ISREG(status.st_mode) && !S_ISDIR(status.st_mode);
}

/* Reads a trace of calls, *trace as ent_trace_read has it. */
static ent_status read_calls(ent_trace *trace, const char *path)
{
    bool numeric;
    const ent_status st = ent_trace_read(trace, path);
    if (st == ENT_EFORMAT && !is_stream(path) && ent_numeric_is_trace(&numeric, path) == ENT_OK && numeric)
        return ent_fail(ENT_EFORMAT, "%s: expected a trace of calls, found a numeric one, for `compare` alone", path);
    return st;
}

static int cmd_summary(int argc, char **argv)
{
    ent_trace trace;
    ent_text report = {0};
    if (argc != 2)
        return wrong_usage("summary: expected one file", "");
    ent_status st = read_calls(&trace, argv[1]);
    if (st == ENT_OK)
        st = print(&report, stdout, ent_trace_summary(&report, &trace));
    ent_trace_clear(&trace);
    return st == ENT_OK ? ENT_EXIT_DONE : failed();
}

static ent_status compare_calls(ent_text *report, bool *equal, char *const files[2], bool strict)
{
    ent_trace traces[2];
    ent_status st = ent_trace_read(&traces[0], files[0]);
    const ent_status second = st == ENT_OK ? ent_trace_read(&traces[1], files[1]) : ENT_OK;
    if (st == ENT_OK) {
        st = second == ENT_OK ? ent_trace_compare(report, equal, &traces[0], &traces[1], strict) : second;
        ent_trace_clear(&traces[1]);
    }
    ent_trace_clear(&traces[0]);
    return st;
}

static ent_status compare(ent_text *report, bool *equal, char *const files[2], bool strict)
{
    bool numeric[2];
    for (int i = 0; i < 2; i++) {
        if (is_stream(files[i]))
            return ent_fail(ENT_EIO, "%s: expected a file, which is looked at twice, found a pipe or device", files[i]);
        ENT_TRY(ent_numeric_is_trace(&numeric[i], files[i]));
    }
    if (numeric[0] != numeric[1])
        return ent_fail(ENT_EFORMAT, "%s is a numeric trace, %s is not", files[numeric[1]], files[numeric[0]]);
    if (numeric[0] && strict)
        return ent_fail(ENT_EINVAL, "--strict is for traces of calls, %s is a numeric one", files[0]);
    return numeric[0] ? ent_numeric_compare(report, equal, files[0], files[1])
                      : compare_calls(report, equal, files, strict);
}

static int cmd_compare(int argc, char **argv)
{
    char *files[2];
    int n = 0;
    bool strict = false, equal = false;
    ent_text report = {0};
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--strict") == 0)
            strict = true;
        else if (argv[i][0] == '-')
            return wrong_usage("compare: unknown option ", argv[i]);
        else if (n == 2)
            return wrong_usage("compare: expected two files, found one more: ", argv[i]);
        else
            files[n++] = argv[i];
    }
    if (n != 2)
        return wrong_usage("compare: expected two files", "");
    const ent_status st = print(&report, stdout, compare(&report, &equal, files, strict));
    if (st != ENT_OK)
        return failed();
    return equal ? ENT_EXIT_DONE : ENT_EXIT_FAILED;
}

static int cmd_assert(int argc, char **argv)
{
    const char *file = NULL, *rules_file = NULL;
    ent_trace trace = {0};
    ent_rules *rules = NULL;
    ent_text report = {0};
    size_t failures = 0;
    ent_status st;
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--rules") == 0 && i + 1 < argc && rules_file == NULL)
            rules_file = argv[++i];
        else if (argv[i][0] == '-' || file)
            return wrong_usage("assert: expected FILE --rules RULES.toml, found ", argv[i]);
        else
            file = argv[i];
    }
    if (file == NULL || rules_file == NULL)
        return wrong_usage("assert: expected FILE --rules RULES.toml", "");
    ENT_GO(ent_rules_read(&rules, rules_file));
    ENT_GO(read_calls(&trace, file));
    ENT_GO(print(&report, stdout, ent_rules_check(&report, &failures, rules, &trace)));
done:
    ent_rules_free(rules);
    ent_trace_clear(&trace);
    if (st != ENT_OK)
        return failed();
    return failures ? ENT_EXIT_FAILED : ENT_EXIT_DONE;
}

static ent_status patterns(char *const *files, size_t n, int64_t steps)
{
    ent_trace *traces = NULL;
    const ent_trace **list = NULL;
    ent_text report = {0};
    ent_status st;
    size_t read = 0;
    ENT_GO(ent_calloc(&traces, n, sizeof *traces, "traces"));
    ENT_GO(ent_calloc(&list, n, sizeof *list, "traces"));
    for (; read < n; read++) {
        list[read] = &traces[read];
        ENT_GO(read_calls(&traces[read], files[read]));
    }
    ENT_GO(print(&report, stdout, ent_trace_patterns(&report, list, n, steps)));
done:
    for (size_t i = 0; traces && i < n; i++)
        ent_trace_clear(&traces[i]);
    free(list);
    free(traces);
    return st;
}

static int cmd_patterns(int argc, char **argv)
{
    int64_t steps = 0;
    int i = 1;
    if (i + 1 < argc && strcmp(argv[i], "--steps") == 0) {
        char *end;
        steps = strtoll(argv[i + 1], &end, 10);
        if (*end || steps < 1)
            return wrong_usage("patterns: --steps: expected a number of at least 1, found ", argv[i + 1]);
        i += 2;
    }
    if (i == argc || argv[i][0] == '-')
        return wrong_usage("patterns: expected a file, found ", i == argc ? "none" : argv[i]);
    return patterns(argv + i, (size_t)(argc - i), steps) == ENT_OK ? ENT_EXIT_DONE : failed();
}

static int help(const char *command)
{
    ent_text rules = {0};
    if (strcmp(command, "assert") == 0)
        ent_rules_help(&rules);
    else
        ent_text_put(&rules, help_text);
    return print(&rules, stdout, ENT_OK) == ENT_OK ? ENT_EXIT_DONE : failed();
}

int ent_cmd_trace(int argc, char **argv)
{
    static const struct {
        const char *name;
        int (*run)(int argc, char **argv);
    } commands[] = {{"record", cmd_record},
                    {"summary", cmd_summary},
                    {"compare", cmd_compare},
                    {"assert", cmd_assert},
                    {"patterns", cmd_patterns}};
    if (argc > 1 && (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0 ||
                     (argc > 2 && (strcmp(argv[2], "--help") == 0 || strcmp(argv[2], "-h") == 0))))
        return help(argv[1]);
    for (size_t i = 0; argc > 1 && i < sizeof commands / sizeof *commands; i++)
        if (strcmp(argv[1], commands[i].name) == 0)
            return commands[i].run(argc - 1, argv + 1);
    return argc > 1 ? wrong_usage(": unknown command ", argv[1])
                    : wrong_usage(": expected record, summary, compare, assert or patterns", "");
}
