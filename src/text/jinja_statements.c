/* Statements of a template: what stands between {% and %}, and the whole. */
#include <stdlib.h>
#include <string.h>

#include "src/base/mem.h"
#include "src/text/jinja_parts.h"

enum { MAX_BLOCKS = 60, MAX_TEMPLATE = 1 << 17 };

static ent_status parse_body(ent_jparser *p, ent_jnode **out, const char *ends);

static ent_status close_tag(ent_jparser *p)
{
    return p->token.kind == ENT_J_CLOSE ? ENT_OK : ent_jparser_fail(p, "expected the end of the tag");
}

/* After the word `if` or `elif`: condition, body, and what follows up to endif. */
static ent_status parse_if(ent_jparser *p, ent_jnode *node)
{
    node->kind = ENT_J_IF;
    ENT_TRY(ent_jparse_expression(p, &node->a));
    ENT_TRY(close_tag(p));
    ENT_TRY(parse_body(p, &node->body, "elif else endif"));
    while (ent_jlex_is(p, "elif")) {
        ENT_TRY(ent_jparse_new(p, &node->orelse, ENT_J_IF));
        node = node->orelse;
        ENT_TRY(ent_jlex_next(p));
        ENT_TRY(ent_jparse_expression(p, &node->a));
        ENT_TRY(close_tag(p));
        ENT_TRY(parse_body(p, &node->body, "elif else endif"));
    }
    if (ent_jlex_is(p, "else")) {
        ENT_TRY(ent_jlex_next(p));
        ENT_TRY(close_tag(p));
        ENT_TRY(parse_body(p, &node->orelse, "endif"));
    }
    ENT_TRY(ent_jlex_next(p));
    return close_tag(p);
}

/* Names separated by commas. */
static ent_status parse_names(ent_jparser *p, ent_jnode **out)
{
    for (ent_jnode **tail = out;; tail = &(*tail)->next) {
        ENT_TRY(ent_jparse_new(p, tail, ENT_J_NAME));
        if (p->token.kind != ENT_J_WORD)
            return ent_jparser_fail(p, "expected a name");
        (*tail)->value = p->token.value;
        ENT_TRY(ent_jlex_next(p));
        if (!ent_jlex_is(p, ","))
            return ENT_OK;
        ENT_TRY(ent_jlex_next(p));
    }
}

static ent_status parse_for(ent_jparser *p, ent_jnode *node)
{
    node->kind = ENT_J_FOR;
    ENT_TRY(parse_names(p, &node->names));
    ENT_TRY(ent_jparse_expect(p, "in"));
    /* "if" after the list is the loop's filter, not a choice */
    ENT_TRY(ent_jparse_without_choice(p, &node->a));
    if (ent_jlex_is(p, "recursive"))
        return ent_jparser_fail(p, "a recursive loop is not supported");
    if (ent_jlex_is(p, "if")) {
        ENT_TRY(ent_jlex_next(p));
        ENT_TRY(ent_jparse_expression(p, &node->b));
    }
    ENT_TRY(close_tag(p));
    ENT_TRY(parse_body(p, &node->body, "else endfor"));
    if (ent_jlex_is(p, "else")) {
        ENT_TRY(ent_jlex_next(p));
        ENT_TRY(close_tag(p));
        ENT_TRY(parse_body(p, &node->orelse, "endfor"));
    }
    ENT_TRY(ent_jlex_next(p));
    return close_tag(p);
}

static ent_status parse_set(ent_jparser *p, ent_jnode *node)
{
    node->kind = ENT_J_SET;
    ENT_TRY(parse_names(p, &node->names));
    if (ent_jlex_is(p, ".") && node->names->next == NULL) {
        ENT_TRY(ent_jlex_next(p));
        if (p->token.kind != ENT_J_WORD)
            return ent_jparser_fail(p, "expected a name");
        node->name = p->token.value.s;
        ENT_TRY(ent_jlex_next(p));
    }
    if (!ent_jlex_is(p, "="))
        return ent_jparser_fail(p, "only {%% set NAME = VALUE %%} is supported");
    ENT_TRY(ent_jlex_next(p));
    ENT_TRY(ent_jparse_expression(p, &node->a));
    return close_tag(p);
}

static ent_status parse_statement(ent_jparser *p, ent_jnode *node)
{
    const char *word = p->token.kind == ENT_J_WORD ? p->token.value.s : "";
    ENT_TRY(ent_jlex_next(p));
    if (strcmp(word, "if") == 0)
        return parse_if(p, node);
    if (strcmp(word, "for") == 0)
        return parse_for(p, node);
    if (strcmp(word, "set") == 0)
        return parse_set(p, node);
    if (strcmp(word, "break") == 0 || strcmp(word, "continue") == 0) {
        node->kind = *word == 'b' ? ENT_J_BREAK : ENT_J_CONTINUE;
        return close_tag(p);
    }
    if (strcmp(word, "generation") == 0) {
        node->kind = ENT_J_GENERATION;
        p->jinja->has_generation = true;
        ENT_TRY(close_tag(p));
        ENT_TRY(parse_body(p, &node->body, "endgeneration"));
        ENT_TRY(ent_jlex_next(p));
        return close_tag(p);
    }
    return ent_jparser_fail(p, "{%% %.40s %%} is not supported", word);
}

/* Whether the next word is one of `ends`. */
static bool at_end(const ent_jparser *p, const char *ends)
{
    for (const char *s = ends; *s && p->token.kind == ENT_J_WORD;) {
        const size_t n = strcspn(s, " ");
        if (n == p->token.value.n && memcmp(s, p->token.value.s, n) == 0)
            return true;
        s += n + (s[n] == ' ');
    }
    return false;
}

/* Up to a tag that begins with one of the words of `ends`, which is then the next token; "": to the end. */
static ent_status parse_body(ent_jparser *p, ent_jnode **out, const char *ends)
{
    ent_jnode **tail = out;
    if (++p->depth > MAX_BLOCKS)
        return ent_jparser_fail(p, "it is nested too deeply");
    for (;;) {
        ent_jvalue text;
        char tag;
        ENT_TRY(ent_jlex_text(p, &text, &tag));
        if (text.n) {
            ENT_TRY(ent_jparse_new(p, tail, ENT_J_TEXT));
            (*tail)->value = text;
            tail = &(*tail)->next;
        }
        if (tag == '#')
            continue;
        if (tag == 0 && *ends)
            return ent_jparser_fail(p, "expected %s, found the end", ends);
        if (tag == 0 || (tag == '%' && at_end(p, ends)))
            break;
        ENT_TRY(ent_jparse_new(p, tail, ENT_J_OUTPUT));
        if (tag == '{') {
            ENT_TRY(ent_jparse_expression(p, &(*tail)->a));
            ENT_TRY(close_tag(p));
        } else {
            ENT_TRY(parse_statement(p, *tail));
        }
        tail = &(*tail)->next;
    }
    p->depth--;
    return ENT_OK;
}

/* *out = the text as Jinja takes it: lines end with \n, and the last newline is gone. */
static ent_status copy_text(char **out, size_t *n, ent_arena *arena, const char *text)
{
    const size_t length = strlen(text);
    ENT_TRY(ent_arena_alloc(out, arena, length + 1));
    *n = 0;
    for (size_t i = 0; i < length; i++) {
        const bool cr = text[i] == '\r';
        (*out)[(*n)++] = cr ? '\n' : text[i];
        i += cr && text[i + 1] == '\n';
    }
    *n -= *n && (*out)[*n - 1] == '\n';
    (*out)[*n] = 0;
    return ENT_OK;
}

ent_status ent_jinja_parse(ent_jinja **out, const char *text, const char *where)
{
    ent_status st;
    ent_jinja *jinja = NULL;
    ent_jparser p = {.where = where, .line = 1};
    char *copy;
    *out = NULL;
    if (strlen(text) > MAX_TEMPLATE)
        return ent_fail(ENT_EUNSUPPORTED, "%s: chat_template: expected at most %d bytes, found %zu", where,
                        MAX_TEMPLATE, strlen(text));
    ENT_GO(ent_calloc(&jinja, 1, sizeof *jinja, "a chat template"));
    ENT_GO(ent_arena_new(&jinja->arena, "a chat template", false));
    ENT_GO(copy_text(&copy, &p.n, jinja->arena, text));
    p.jinja = jinja;
    p.text = copy;
    ENT_GO(parse_body(&p, &jinja->body, ""));
    *out = jinja;
    jinja = NULL;
done:
    ent_jinja_free(jinja);
    return st;
}

void ent_jinja_free(ent_jinja *jinja)
{
    if (jinja == NULL)
        return;
    ent_arena_free(jinja->arena);
    free(jinja);
}

int ent_jinja_marks_answers(const ent_jinja *jinja)
{
    return jinja->has_generation;
}
