#include "io/toml.h"

#include <search.h>
#include <stdlib.h>
#include <string.h>

#include "io/text.h"
#include "io/toml_scalar.h"
#include "src/base/mem.h"

static const char bare[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-";

typedef struct reader {
    const char *where, *at, *end; /* the text is followed by a zero, and has none within */
    size_t line;
    ent_toml *root, *table; /* where keys go */
    void *index;            /* all members by table and key: a hostile file may have very many */
} reader;

void ent_toml_free(ent_toml *root)
{
    while (root) {
        ent_toml *next = root->next;
        ent_toml_free(root->first); /* three deep at most */
        free(root->key);
        free(root->text);
        free(root);
        root = next;
    }
}

const ent_toml *ent_toml_member(const ent_toml *table, const char *key)
{
    const ent_toml *member = table->kind == ENT_TOML_TABLE ? table->first : NULL;
    while (member && strcmp(member->key, key) != 0)
        member = member->next;
    return member;
}

static ent_status unsupported(const reader *r, const char *what)
{
    return ent_fail(ENT_EUNSUPPORTED, "%s:%zu: %s not supported", r->where, r->line, what);
}

static void skip_blanks(reader *r)
{
    r->at += strspn(r->at, " \t");
}

/* Fails with what stands where something else was expected. */
static ent_status unexpected(const reader *r, const char *expected)
{
    size_t n = strcspn(r->at, "\r\n");
    if (n == 0)
        return ent_fail(ENT_EFORMAT, "%s:%zu: expected %s, found the end of the line", r->where, r->line, expected);
    if (n > 40)
        for (n = 40; ((unsigned char)r->at[n] & 0xc0) == 0x80;) /* not within a character */
            n--;
    return ent_fail(ENT_EFORMAT, "%s:%zu: expected %s, found %.*s", r->where, r->line, expected, (int)n, r->at);
}

/* The whole text is UTF-8 without control characters: said here once, for comments, keys and strings. */
static ent_status check_characters(const reader *r)
{
    size_t line = 1;
    for (const char *s = r->at; s < r->end;) {
        const unsigned char c = (unsigned char)*s;
        const size_t length = ent_utf8_length(s, (size_t)(r->end - s));
        const bool crlf = c == '\r' && s[1] == '\n';
        if (length == 0)
            return ent_fail(ENT_EFORMAT, "%s:%zu: not UTF-8", r->where, line);
        if ((c < ' ' && c != '\t' && c != '\n' && !crlf) || c == 0x7f)
            return ent_fail(ENT_EFORMAT, "%s:%zu: a control character (0x%02x)", r->where, line, c);
        line += c == '\n';
        s += length;
    }
    return ENT_OK;
}

static int by_place(const void *a, const void *b)
{
    const ent_toml *x = a, *y = b;
    const uintptr_t p = (uintptr_t)x->parent, q = (uintptr_t)y->parent;
    return p != q ? (p > q) - (p < q) : strcmp(x->key, y->key);
}

static void append(ent_toml *parent, ent_toml *node)
{
    node->parent = parent;
    *(parent->last ? &parent->last->next : &parent->first) = node;
    parent->last = node;
}

/* *out = a new member of a table, which takes `key`, or the one that is there already. */
static ent_status enter(ent_toml **out, reader *r, ent_toml *table, ent_toml_kind kind, char *key)
{
    ent_toml *node = NULL;
    const ent_status st = ent_calloc(&node, 1, sizeof *node, r->where);
    *out = NULL;
    if (st != ENT_OK) {
        free(key);
        return st;
    }
    *node = (ent_toml){.kind = kind, .line = r->line, .key = key, .parent = table};
    ent_toml **found = tsearch(node, &r->index, by_place);
    if (found && *found == node) {
        append(table, node);
    } else {
        free(key);
        free(node);
    }
    if (found == NULL)
        return ent_fail(ENT_ENOMEM, "out of memory: %s", r->where);
    *out = *found;
    return ENT_OK;
}

/* The four or eight hexadecimal digits of \u and \U, as UTF-8. */
static ent_status read_code_point(ent_text *to, reader *r, size_t n)
{
    unsigned point = 0;
    if (strspn(r->at, "0123456789abcdefABCDEF") < n)
        return ent_fail(ENT_EFORMAT, "%s:%zu: expected %zu hexadecimal digits after \\%c", r->where, r->line, n,
                        n == 4 ? 'u' : 'U');
    for (size_t i = 0; i < n; i++) {
        const unsigned c = (unsigned char)*r->at++;
        point = point << 4 | (c <= '9' ? c - '0' : (c | 0x20) - 'a' + 10);
    }
    if (point == 0)
        return unsupported(r, "U+0000 in a string is");
    if (point > 0x10ffff || (point >= 0xd800 && point < 0xe000))
        return ent_fail(ENT_EFORMAT, "%s:%zu: U+%X is not a character", r->where, r->line, point);
    char utf8[4];
    size_t length = 0;
    if (point >= 0x80) {
        const unsigned rest = point < 0x800 ? 1 : point < 0x10000 ? 2 : 3;
        utf8[length++] = (char)(0xff00u >> (rest + 1) | point >> 6 * rest);
        for (unsigned i = rest; i-- > 0;)
            utf8[length++] = (char)(0x80 | (point >> 6 * i & 0x3f));
    } else {
        utf8[length++] = (char)point;
    }
    ent_text_put_n(to, utf8, length);
    return ENT_OK;
}

static ent_status read_escape(ent_text *to, reader *r)
{
    static const char names[] = "btnfr\"\\", means[] = "\b\t\n\f\r\"\\";
    const char c = *r->at;
    const char *name = c ? strchr(names, c) : NULL;
    if (c == 'u' || c == 'U') {
        r->at++;
        return read_code_point(to, r, c == 'u' ? 4 : 8);
    }
    if (name == NULL)
        return ent_fail(ENT_EFORMAT, "%s:%zu: unknown escape \\%.*s in a string", r->where, r->line,
                        c && (unsigned char)c < 0x80 ? 1 : 0, r->at);
    r->at++;
    ent_text_put_n(to, &means[name - names], 1);
    return ENT_OK;
}

/* A string in quotes, basic or literal; the first quote is at r->at. */
static ent_status read_string(char **out, reader *r)
{
    ent_text text = {0};
    ent_status st = ENT_OK;
    const char quote = *r->at;
    *out = NULL;
    if (r->at[1] == quote && r->at[2] == quote)
        return unsupported(r, "multi-line strings are");
    r->at++;
    while (*r->at != quote && st == ENT_OK) {
        const size_t n = strcspn(r->at, quote == '"' ? "\"\\\r\n" : "'\r\n");
        ent_text_put_n(&text, r->at, n);
        r->at += n;
        if (*r->at == '\\') {
            r->at++;
            st = read_escape(&text, r);
        } else if (*r->at != quote) {
            st = ent_fail(ENT_EFORMAT, "%s:%zu: a string that is not closed: no %c follows on the line", r->where,
                          r->line, quote);
        }
    }
    if (st == ENT_OK) {
        r->at++;
        return ent_text_finish(out, &text);
    }
    free(text.data);
    return st;
}

static ent_status read_key(char **out, reader *r)
{
    const size_t n = strspn(r->at, bare);
    *out = NULL;
    if (*r->at == '"' || *r->at == '\'') {
        ENT_TRY(read_string(out, r));
    } else if (n > 0) {
        ENT_TRY(ent_strndup(out, r->at, n));
        r->at += n;
    } else {
        return unexpected(r, "a key");
    }
    skip_blanks(r);
    if (*r->at != '.')
        return ENT_OK;
    free(*out);
    *out = NULL;
    return unsupported(r, "dotted keys are");
}

static ent_status repeated(const reader *r, const ent_toml *first)
{
    return ent_fail(ENT_EFORMAT, "%s:%zu: %s stands here for the second time, first in line %zu", r->where, r->line,
                    first->key, first->line);
}

/* [table] or [[array of tables]] */
static ent_status read_header(reader *r)
{
    char *key;
    ent_toml *node;
    const bool array = r->at[1] == '[';
    r->at += array ? 2 : 1;
    skip_blanks(r);
    ENT_TRY(read_key(&key, r));
    if (r->at[0] != ']' || (array && r->at[1] != ']')) {
        free(key);
        return unexpected(r, array ? "]]" : "]");
    }
    r->at += array ? 2 : 1;
    ENT_TRY(enter(&node, r, r->root, array ? ENT_TOML_TABLES : ENT_TOML_TABLE, key));
    const bool is_new = node == r->root->last && node->line == r->line;
    if (!is_new && !(array && node->kind == ENT_TOML_TABLES))
        return repeated(r, node);
    r->table = node;
    if (array) {
        ENT_TRY(ent_calloc(&r->table, 1, sizeof *r->table, r->where));
        *r->table = (ent_toml){.kind = ENT_TOML_TABLE, .line = r->line};
        append(node, r->table);
    }
    return ENT_OK;
}

static ent_status read_value(ent_toml *node, reader *r)
{
    if (*r->at == '"' || *r->at == '\'') {
        node->kind = ENT_TOML_STRING;
        return read_string(&node->text, r);
    }
    if (*r->at == '[')
        return unsupported(r, "arrays are");
    if (*r->at == '{')
        return unsupported(r, "inline tables are");
    const size_t n = strcspn(r->at, " \t\r\n#,[]{}=\"'");
    char *word;
    if (n == 0)
        return unexpected(r, "a value");
    ENT_TRY(ent_strndup(&word, r->at, n));
    const ent_status st = ent_toml_read_scalar(node, word, r->where, r->line);
    free(word);
    r->at += n;
    return st;
}

/* key = value */
static ent_status read_pair(reader *r)
{
    char *key;
    ent_toml *node;
    ENT_TRY(read_key(&key, r));
    if (*r->at != '=') {
        free(key);
        return unexpected(r, "=");
    }
    r->at++;
    skip_blanks(r);
    ENT_TRY(enter(&node, r, r->table, ENT_TOML_STRING, key));
    if (node != r->table->last || node->line != r->line)
        return repeated(r, node);
    return read_value(node, r);
}

static ent_status read_line(reader *r)
{
    skip_blanks(r);
    if (*r->at == '[')
        ENT_TRY(read_header(r));
    else if (r->at < r->end && strchr("#\r\n", *r->at) == NULL)
        ENT_TRY(read_pair(r));
    skip_blanks(r);
    if (*r->at == '#')
        r->at += strcspn(r->at, "\r\n");
    if (r->at < r->end && *r->at != '\r' && *r->at != '\n')
        return unexpected(r, "the end of the line");
    if (r->at < r->end)
        r->at += *r->at == '\r' ? 2 : 1; /* no \r without \n: the characters are checked */
    r->line++;
    return ENT_OK;
}

static void keep_node(void *node)
{
    (void)node; /* the tree of the document owns it */
}

ent_status ent_toml_parse(ent_toml **out, const char *text, size_t n, const char *where)
{
    ent_status st;
    char *copy = NULL; /* with the zero that ends it */
    reader r = {.where = where, .line = 1};
    *out = NULL;
    ENT_GO(ent_strndup(&copy, text, n));
    r.at = copy;
    r.end = copy + n;
    ENT_GO(check_characters(&r));
    ENT_GO(ent_calloc(&r.root, 1, sizeof *r.root, where));
    *r.root = (ent_toml){.kind = ENT_TOML_TABLE, .line = 1};
    r.table = r.root;
    while (r.at < r.end)
        ENT_GO(read_line(&r));
    *out = r.root;
    r.root = NULL;
done:
    tdestroy(r.index, keep_node);
    ent_toml_free(r.root);
    free(copy);
    return st;
}

ent_status ent_toml_read_file(ent_toml **out, const char *path)
{
    char *text;
    size_t n;
    *out = NULL;
    ENT_TRY(ent_text_read_file(&text, &n, path));
    const ent_status st = ent_toml_parse(out, text, n, path);
    free(text);
    return st;
}
