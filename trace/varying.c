#include "trace/varying.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "src/base/mem.h"
#include "trace/show.h"

enum { TEMPORARY = 6 }; /* letters and digits that mkstemp makes */

/* What ends a name within a path or a text with paths. */
static const char delimiters[] = "/\" ,:=[](){}<>'";

/* A path that is created anew or renamed, and may be a temporary one. */
typedef struct created {
    char *path;  /* folder and processes replaced */
    char *key;   /* the same without the name that may be random, and its length */
    char *token; /* the end of the path, from the last delimiter on, as the trace has it */
    size_t run;  /* letters and digits at its end */
    bool random; /* they look it */
    bool shared; /* the other trace creates this path too */
} created;

typedef struct creations {
    created *items;
    size_t count, capacity;
} creations;

struct ent_trace_varying {
    char *cwd;
    size_t cwd_n;
    int *pids; /* sorted */
    size_t n_pids, pids_capacity;
    creations temporary; /* sorted by token */
};

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_upper(char c)
{
    return c >= 'A' && c <= 'Z';
}

static bool is_lower(char c)
{
    return c >= 'a' && c <= 'z';
}

static int by_value(const void *a, const void *b)
{
    const int x = *(const int *)a, y = *(const int *)b;
    return (x > y) - (x < y);
}

static int by_token(const void *a, const void *b)
{
    return strcmp(((const created *)a)->token, ((const created *)b)->token);
}

static int by_path(const void *a, const void *b)
{
    return strcmp(((const created *)a)->path, ((const created *)b)->path);
}

static int by_key(const void *a, const void *b)
{
    return strcmp(((const created *)a)->key, ((const created *)b)->key);
}

/* The run of digits is the number of a process: of one as it is printed, without leading zeros. */
static bool is_pid(const ent_trace_varying *varying, const char *digits, size_t n)
{
    long value = 0;
    if (n > 9 || digits[0] == '0')
        return false;
    for (size_t i = 0; i < n; i++)
        value = value * 10 + (digits[i] - '0');
    const int key = (int)value;
    return varying->n_pids && bsearch(&key, varying->pids, varying->n_pids, sizeof key, by_value) != NULL;
}

static void put_without_pids(ent_text *out, const ent_trace_varying *varying, const char *s, size_t n)
{
    for (size_t i = 0, end; i < n; i = end) {
        const bool digits = is_digit(s[i]);
        for (end = i + 1; end < n && is_digit(s[end]) == digits; end++)
            ;
        if (digits && is_pid(varying, s + i, end - i))
            ent_text_put(out, "PID");
        else
            ent_text_put_n(out, s + i, end - i);
    }
}

static const created *find_temporary(const ent_trace_varying *varying, const char *token, size_t n)
{
    size_t low = 0, high = varying->temporary.count;
    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        const created *item = &varying->temporary.items[middle];
        int order = strncmp(item->token, token, n);
        if (order == 0 && item->token[n] != '\0')
            order = 1;
        if (order == 0)
            return item;
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return NULL;
}

static bool starts_with_cwd(const ent_trace_varying *varying, const char *text, size_t at)
{
    if (varying->cwd_n == 0 || (at > 0 && (text[at - 1] == '/' || strchr(delimiters, text[at - 1]) == NULL)))
        return false;
    const char *s = text + at;
    return strncmp(s, varying->cwd, varying->cwd_n) == 0 &&
           strchr(delimiters, s[varying->cwd_n]) != NULL; /* or at its end */
}

void ent_trace_varying_put(ent_text *out, const ent_trace_varying *varying, const char *text)
{
    for (size_t i = 0; text[i];) {
        const size_t n = strcspn(text + i, delimiters);
        if (starts_with_cwd(varying, text, i)) {
            ent_text_put(out, ".");
            i += varying->cwd_n;
        } else if (n == 0) {
            ent_text_put_n(out, text + i++, 1);
        } else {
            const created *temporary = find_temporary(varying, text + i, n);
            put_without_pids(out, varying, text + i, n - (temporary ? temporary->run : 0));
            if (temporary)
                ent_text_put(out, "XXXXXX");
            i += n;
        }
    }
}

static ent_status collect_pids(ent_trace_varying *varying, const ent_trace *trace)
{
    for (size_t i = 0; trace && i < trace->count; i++) {
        const int both[2] = {trace->calls[i].pid, trace->calls[i].tid};
        for (size_t k = 0; k < 2; k++) {
            if (both[k] <= 0 || (varying->n_pids && varying->pids[varying->n_pids - 1] == both[k]))
                continue;
            ENT_TRY(
                ent_grow(&varying->pids, &varying->pids_capacity, varying->n_pids + 1, sizeof(int), "the processes"));
            varying->pids[varying->n_pids++] = both[k];
        }
    }
    return ENT_OK;
}

static ent_status new_varying(ent_trace_varying **out, const ent_trace *trace, const ent_trace *other)
{
    ENT_TRY(ent_calloc(out, 1, sizeof **out, "what varies in a trace"));
    ent_trace_varying *varying = *out;
    if (trace->cwd && trace->cwd[0] == '/') { /* paths in a trace have escapes */
        ent_text text = {0};
        ent_show_bytes(&text, trace->cwd, strlen(trace->cwd));
        ENT_TRY(ent_text_finish(&varying->cwd, &text));
        varying->cwd_n = strlen(varying->cwd);
        while (varying->cwd_n && varying->cwd[varying->cwd_n - 1] == '/')
            varying->cwd_n--;
    }
    ENT_TRY(collect_pids(varying, trace));
    ENT_TRY(collect_pids(varying, other));
    if (varying->n_pids)
        qsort(varying->pids, varying->n_pids, sizeof(int), by_value);
    return ENT_OK;
}

/* Opened so that it fails if the path is there already. Of v1-raw, the flags are a number without a name. */
static bool opens_anew(const ent_trace_call *call)
{
    const char *flags = ent_trace_value(call, "flags");
    if (strncmp(call->name, "open", 4) != 0)
        return false;
    if (flags)
        return strstr(flags, "O_CREAT") && strstr(flags, "O_EXCL");
    const bool raw = strcmp(call->name, "openat") == 0 && call->n_args == 3 && call->args[2].name[0] == '\0';
    return raw && (~strtoull(call->args[2].value, NULL, 0) & (O_CREAT | O_EXCL)) == 0;
}

/* A call that made something that was not there before, or gave it its name; *path is what it was before that. */
static bool creates(const ent_trace_call *call, const char **path)
{
    const bool renames = strncmp(call->name, "rename", 6) == 0;
    *path = ent_trace_value(call, renames ? "oldpath" : "pathname");
    if (*path == NULL || !call->returned || call->result < 0)
        return false;
    return renames || strcmp(call->name, "mkdir") == 0 || strcmp(call->name, "mkdirat") == 0 || opens_anew(call);
}

/* More than a word and then a number: [A-Z]?[a-z]*[0-9]* or [A-Z]*[0-9]*. */
static bool looks_random(const char *s, size_t n)
{
    size_t words = is_upper(s[0]), capitals = 0;
    while (words < n && is_lower(s[words]))
        words++;
    while (words < n && is_digit(s[words]))
        words++;
    while (capitals < n && is_upper(s[capitals]))
        capitals++;
    while (capitals < n && is_digit(s[capitals]))
        capitals++;
    return words < n && capitals < n;
}

static ent_status add_creation(creations *list, const ent_trace_varying *varying, const char *path)
{
    const size_t length = strlen(path);
    size_t run = 0, digits = 0, token = length;
    while (run < length &&
           (is_digit(path[length - 1 - run]) || is_lower(path[length - 1 - run]) || is_upper(path[length - 1 - run])))
        run++;
    while (digits < length && is_digit(path[length - 1 - digits]))
        digits++;
    if (run < TEMPORARY || (digits && is_pid(varying, path + length - digits, digits)))
        return ENT_OK;
    while (token > 0 && strchr(delimiters, path[token - 1]) == NULL)
        token--;
    ENT_TRY(ent_grow(&list->items, &list->capacity, list->count + 1, sizeof *list->items, "the created paths"));
    created *item = &list->items[list->count++];
    *item = (created){.run = run, .random = looks_random(path + length - TEMPORARY, TEMPORARY)};
    ENT_TRY(ent_strdup(&item->token, path + token));
    ent_text text = {0};
    ent_trace_varying_put(&text, varying, path);
    ENT_TRY(ent_text_finish(&item->path, &text));
    return ent_format(&item->key, "%.*s %zu", (int)(strlen(item->path) - run), item->path, run);
}

static ent_status collect_creations(creations *list, const ent_trace_varying *varying, const ent_trace *trace)
{
    const char *path;
    for (size_t i = 0; i < trace->count; i++)
        if (creates(&trace->calls[i], &path))
            ENT_TRY(add_creation(list, varying, path));
    return ENT_OK;
}

static void free_creation(created *item)
{
    free(item->path);
    free(item->key);
    free(item->token);
}

static void free_creations(creations *list)
{
    for (size_t i = 0; i < list->count; i++)
        free_creation(&list->items[i]);
    free(list->items);
    *list = (creations){0};
}

static bool under_temporary_folder(const char *path)
{
    static const char *const folders[] = {"/tmp/", "/var/tmp/", "/dev/shm/"};
    for (size_t i = 0; i < sizeof folders / sizeof *folders; i++)
        if (strncmp(path, folders[i], strlen(folders[i])) == 0)
            return true;
    return false;
}

/* Marks what both lists have. */
static void mark_shared(creations *list, creations *others)
{
    if (list->count == 0 || others->count == 0)
        return;
    qsort(list->items, list->count, sizeof *list->items, by_path);
    qsort(others->items, others->count, sizeof *others->items, by_path);
    for (size_t i = 0; i < list->count; i++)
        list->items[i].shared =
            bsearch(&list->items[i], others->items, others->count, sizeof(created), by_path) != NULL;
    for (size_t i = 0; i < others->count; i++)
        others->items[i].shared =
            bsearch(&others->items[i], list->items, list->count, sizeof(created), by_path) != NULL;
}

/* Keeps what looks random and isn't shared, sorted by key. */
static void keep_random(creations *list)
{
    size_t kept = 0;
    for (size_t i = 0; i < list->count; i++) {
        if (list->items[i].random && !list->items[i].shared)
            list->items[kept++] = list->items[i];
        else
            free_creation(&list->items[i]);
    }
    list->count = kept;
    if (kept)
        qsort(list->items, kept, sizeof *list->items, by_key);
}

/* Keeps what is temporary, sorted by token; `random` are those of the other trace that look so. */
static void keep_temporary(creations *list, const creations *random)
{
    size_t kept = 0;
    for (size_t i = 0; i < list->count; i++) {
        created *item = &list->items[i];
        const bool temporary =
            !item->shared &&
            (item->random || under_temporary_folder(item->path) ||
             (random->count && bsearch(item, random->items, random->count, sizeof *item, by_key) != NULL));
        if (temporary)
            list->items[kept++] = *item;
        else
            free_creation(item);
    }
    list->count = kept;
    if (kept)
        qsort(list->items, kept, sizeof *list->items, by_token);
}

void ent_trace_varying_free(ent_trace_varying *varying)
{
    if (varying == NULL)
        return;
    free_creations(&varying->temporary);
    free(varying->pids);
    free(varying->cwd);
    free(varying);
}

ent_status ent_trace_varying_new(ent_trace_varying **out, const ent_trace *trace, const ent_trace *other)
{
    ent_trace_varying *varying = NULL, *others_varying = NULL;
    creations mine = {0}, others = {0}; /* varying->temporary is empty while these are collected */
    ent_status st;
    *out = NULL;
    ENT_GO(new_varying(&varying, trace, other));
    ENT_GO(collect_creations(&mine, varying, trace));
    if (other) {
        ENT_GO(new_varying(&others_varying, other, trace));
        ENT_GO(collect_creations(&others, others_varying, other));
    }
    mark_shared(&mine, &others);
    keep_random(&others);
    keep_temporary(&mine, &others);
    varying->temporary = mine;
    mine = (creations){0};
    *out = varying;
    varying = NULL;
done:
    free_creations(&mine);
    free_creations(&others);
    ent_trace_varying_free(others_varying);
    ent_trace_varying_free(varying);
    return st;
}
