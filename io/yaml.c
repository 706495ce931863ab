#include "io/yaml.h"

#include <stdlib.h>
#include <string.h>
#include <yaml.h>

#include "src/base/mem.h"

enum { MAX_DEPTH = 64 };

/* A tree under construction: the containers that are open, and the key that waits for its value. */
typedef struct builder {
    const char *where;
    ent_yaml *root;
    ent_yaml *open[MAX_DEPTH];
    ent_yaml *last[MAX_DEPTH]; /* the newest child of each */
    size_t depth;
    char *key;
    size_t key_line;
} builder;

void ent_yaml_free(ent_yaml *root)
{
    while (root) {
        ent_yaml *next = root->next;
        ent_yaml_free(root->first); /* as deep as the nesting, which is limited */
        free(root->key);
        free(root->text);
        free(root);
        root = next;
    }
}

const ent_yaml *ent_yaml_member(const ent_yaml *mapping, const char *key)
{
    if (mapping == NULL || mapping->kind != ENT_YAML_MAPPING)
        return NULL;
    const ent_yaml *member = mapping->first;
    while (member && strcmp(member->key, key) != 0)
        member = member->next;
    return member;
}

static size_t line_of(const yaml_event_t *event)
{
    return event->start_mark.line + 1;
}

/* Hangs `node` into the innermost open container, with the key that waits. It is the tree's from then on. */
static void attach(builder *b, ent_yaml *node)
{
    if (b->depth == 0) {
        b->root = node;
        return;
    }
    ent_yaml *parent = b->open[b->depth - 1], **last = &b->last[b->depth - 1];
    if (parent->kind == ENT_YAML_MAPPING) {
        node->key = b->key;
        node->line = b->key_line;
        b->key = NULL;
    }
    *(*last ? &(*last)->next : &parent->first) = node;
    *last = node;
}

static bool expects_key(const builder *b)
{
    return b->depth > 0 && b->open[b->depth - 1]->kind == ENT_YAML_MAPPING && b->key == NULL;
}

static ent_status take_scalar(builder *b, const yaml_event_t *event)
{
    const char *text = (const char *)event->data.scalar.value;
    const size_t n = event->data.scalar.length;
    if (memchr(text, 0, n))
        return ent_fail(ENT_EUNSUPPORTED, "%s:%zu: \\0 in a string is not supported", b->where, line_of(event));
    if (expects_key(b)) {
        b->key_line = line_of(event);
        return ent_strndup(&b->key, text, n);
    }
    ent_yaml *node;
    ENT_TRY(ent_calloc(&node, 1, sizeof *node, b->where));
    *node = (ent_yaml){
        .kind = ENT_YAML_SCALAR, .line = line_of(event), .quoted = event->data.scalar.style != YAML_PLAIN_SCALAR_STYLE};
    attach(b, node);
    return ent_strndup(&node->text, text, n);
}

static ent_status open_container(builder *b, const yaml_event_t *event, ent_yaml_kind kind)
{
    if (expects_key(b))
        return ent_fail(ENT_EUNSUPPORTED, "%s:%zu: expected a key, found a sequence or mapping", b->where,
                        line_of(event));
    if (b->depth == MAX_DEPTH)
        return ent_fail(ENT_EFORMAT, "%s:%zu: nested more than %d deep", b->where, line_of(event), MAX_DEPTH);
    ent_yaml *node;
    ENT_TRY(ent_calloc(&node, 1, sizeof *node, b->where));
    *node = (ent_yaml){.kind = kind, .line = line_of(event)};
    attach(b, node);
    b->open[b->depth] = node;
    b->last[b->depth++] = NULL;
    return ENT_OK;
}

static int by_key(const void *a, const void *b)
{
    const ent_yaml *x = *(ent_yaml *const *)a, *y = *(ent_yaml *const *)b;
    const int order = strcmp(x->key, y->key);
    return order ? order : (x->line > y->line) - (x->line < y->line);
}

/* Closes the innermost container. Keys are compared in sorted order: a hostile file may have very many. */
static ent_status close_container(builder *b)
{
    const ent_yaml *node = b->open[--b->depth];
    size_t n = 0, i = 0;
    if (node->kind != ENT_YAML_MAPPING)
        return ENT_OK;
    for (const ent_yaml *child = node->first; child; child = child->next)
        n++;
    const ent_yaml **sorted;
    ENT_TRY(ent_calloc(&sorted, n, sizeof *sorted, b->where));
    for (const ent_yaml *child = node->first; child; child = child->next)
        sorted[i++] = child;
    qsort(sorted, n, sizeof *sorted, by_key);
    ent_status st = ENT_OK;
    for (i = 1; i < n && st == ENT_OK; i++)
        if (strcmp(sorted[i - 1]->key, sorted[i]->key) == 0)
            st = ent_fail(ENT_EFORMAT, "%s:%zu: key %s stands here for the second time, first in line %zu", b->where,
                          sorted[i]->line, sorted[i]->key, sorted[i - 1]->line);
    free(sorted);
    return st;
}

/* ENT_EUNSUPPORTED if a node has an anchor or a tag. */
static ent_status is_plain_node(const builder *b, const yaml_event_t *event, const void *anchor, const void *tag)
{
    if (anchor || tag)
        return ent_fail(ENT_EUNSUPPORTED, "%s:%zu: YAML %s are not supported", b->where, line_of(event),
                        anchor ? "anchors" : "tags");
    return ENT_OK;
}

static ent_status take_event(builder *b, const yaml_event_t *event, size_t *documents)
{
    switch (event->type) {
    case YAML_ALIAS_EVENT:
        return ent_fail(ENT_EUNSUPPORTED, "%s:%zu: YAML aliases are not supported", b->where, line_of(event));
    case YAML_DOCUMENT_START_EVENT:
        if (++*documents > 1)
            return ent_fail(ENT_EUNSUPPORTED, "%s:%zu: a second document; expected one", b->where, line_of(event));
        return ENT_OK;
    case YAML_SCALAR_EVENT:
        ENT_TRY(is_plain_node(b, event, event->data.scalar.anchor, event->data.scalar.tag));
        return take_scalar(b, event);
    case YAML_SEQUENCE_START_EVENT:
        ENT_TRY(is_plain_node(b, event, event->data.sequence_start.anchor, event->data.sequence_start.tag));
        return open_container(b, event, ENT_YAML_SEQUENCE);
    case YAML_MAPPING_START_EVENT:
        ENT_TRY(is_plain_node(b, event, event->data.mapping_start.anchor, event->data.mapping_start.tag));
        return open_container(b, event, ENT_YAML_MAPPING);
    case YAML_SEQUENCE_END_EVENT:
    case YAML_MAPPING_END_EVENT:
        return close_container(b);
    default:
        return ENT_OK;
    }
}

/* What libyaml says of text that it cannot read. */
static ent_status syntax_fault(const yaml_parser_t *parser, const char *text, size_t n, const char *where)
{
    size_t line = parser->problem_mark.line + 1;
    if (parser->error == YAML_MEMORY_ERROR)
        return ent_fail(ENT_ENOMEM, "%s: out of memory", where);
    if (parser->error == YAML_READER_ERROR) { /* it knows only the byte */
        line = 1;
        for (size_t i = 0; i < parser->problem_offset && i < n; i++)
            line += text[i] == '\n';
    }
    if (parser->context)
        return ent_fail(ENT_EFORMAT, "%s:%zu: %s (%s from line %zu)", where, line,
                        parser->problem ? parser->problem : "malformed YAML", parser->context,
                        parser->context_mark.line + 1);
    return ent_fail(ENT_EFORMAT, "%s:%zu: %s", where, line, parser->problem ? parser->problem : "malformed YAML");
}

ent_status ent_yaml_parse(ent_yaml **out, const char *text, size_t n, const char *where)
{
    yaml_parser_t parser;
    builder b = {.where = where};
    size_t documents = 0;
    ent_status st = ENT_OK;
    *out = NULL;
    if (!yaml_parser_initialize(&parser))
        return ent_fail(ENT_ENOMEM, "%s: out of memory", where);
    yaml_parser_set_input_string(&parser, (const unsigned char *)text, n);
    for (bool more = true; more && st == ENT_OK;) {
        yaml_event_t event;
        if (!yaml_parser_parse(&parser, &event)) {
            st = syntax_fault(&parser, text, n, where);
            break;
        }
        more = event.type != YAML_STREAM_END_EVENT;
        st = take_event(&b, &event, &documents);
        yaml_event_delete(&event);
    }
    yaml_parser_delete(&parser);
    if (st == ENT_OK && b.root == NULL) {
        st = ent_calloc(&b.root, 1, sizeof *b.root, where);
        if (st == ENT_OK) {
            b.root->line = 1;
            st = ent_strdup(&b.root->text, "");
        }
    }
    free(b.key);
    if (st == ENT_OK)
        *out = b.root;
    else
        ent_yaml_free(b.root);
    return st;
}

ent_status ent_yaml_read_file(ent_yaml **out, const char *path)
{
    char *text;
    size_t n;
    *out = NULL;
    ENT_TRY(ent_text_read_file(&text, &n, path));
    const ent_status st = ent_yaml_parse(out, text, n, path);
    free(text);
    return st;
}
