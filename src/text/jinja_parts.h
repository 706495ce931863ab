/* What the parts of the Jinja interpreter share: nodes, values, the state of parsing and of rendering. */
#ifndef ENT_TEXT_JINJA_PARTS_H
#define ENT_TEXT_JINJA_PARTS_H

#include <stdbool.h>
#include <stdint.h>

#include "src/base/arena.h"
#include "src/text/jinja.h"

typedef enum { ENT_J_UNDEFINED, ENT_J_NONE, ENT_J_BOOL, ENT_J_INT, ENT_J_STRING, ENT_J_LIST, ENT_J_DICT } ent_jkind;

typedef struct ent_jvalue {
    ent_jkind kind;
    int64_t i;                   /* of a bool or an integer */
    const char *s;               /* n bytes of a string, not terminated; of what is undefined: its name, terminated */
    const unsigned char *origin; /* of each byte (src/text/jinja.h); NULL: all 0 */
    size_t n;                    /* bytes; items of a list */
    struct ent_jvalue *items;
    struct ent_jdict *dict; /* shared by all copies of the value: a namespace can be written to */
} ent_jvalue;

typedef struct ent_jentry { /* of a dict or of a scope */
    ent_jvalue key, value;
    struct ent_jentry *next;
} ent_jentry;

typedef struct ent_jdict {
    ent_jentry *first, *last;
    size_t n;
    bool is_namespace; /* equal only to itself */
} ent_jdict;

typedef enum {
    ENT_J_LITERAL,   /* value */
    ENT_J_NAME,      /* value.s */
    ENT_J_MAKE_LIST, /* args */
    ENT_J_MAKE_DICT, /* args: key, value, key, value, ... */
    ENT_J_ATTRIBUTE, /* a.name */
    ENT_J_INDEX,     /* a[b] */
    ENT_J_SLICE,     /* a[b:c:d], each may be NULL */
    ENT_J_CALL,      /* a(args) */
    ENT_J_FILTER,    /* a|name(args) */
    ENT_J_TEST,      /* a is name(args) */
    ENT_J_NOT,
    ENT_J_NEGATE,
    ENT_J_BINARY, /* a op b */
    ENT_J_CHOICE, /* b if a else c; c may be NULL */
    ENT_J_TEXT,   /* value, of the template itself */
    ENT_J_OUTPUT, /* a */
    ENT_J_IF,     /* a: body, else orelse */
    ENT_J_FOR,    /* names in a if b: body, else orelse */
    ENT_J_SET,    /* names or target b = a */
    ENT_J_BREAK,
    ENT_J_CONTINUE,
    ENT_J_GENERATION /* body */
} ent_jnode_kind;

typedef struct ent_jnode {
    ent_jnode_kind kind;
    size_t line;
    char op[4];       /* of a binary: "or" "and" "in" "ni" (not in) "==" "~" ... */
    const char *name; /* terminated; of an argument: its keyword, or NULL */
    ent_jvalue value;
    struct ent_jnode *a, *b, *c, *d, *args, *names, *body, *orelse;
    struct ent_jnode *next; /* in a list of arguments, names or statements */
} ent_jnode;

struct ent_jinja {
    ent_arena *arena;
    ent_jnode *body;
    bool has_generation;
};

typedef enum { ENT_J_OP, ENT_J_WORD, ENT_J_NUMBER, ENT_J_QUOTED, ENT_J_CLOSE } ent_jtoken_kind;

typedef struct ent_jtoken {
    ent_jtoken_kind kind;
    char op[4];
    ent_jvalue value; /* of a word, a number, a string; a word's is terminated */
} ent_jtoken;

typedef struct ent_jparser {
    ent_jinja *jinja;
    const char *where, *text;
    size_t at, n, braces, depth;
    size_t line, counted; /* newlines before `counted`, plus one */
    const char *close;    /* what ends the tag: "%}" or "}}" */
    ent_jtoken token;     /* the next one of the tag */
} ent_jparser;

typedef struct ent_jscope {
    ent_jdict names;
    struct ent_jscope *up;
} ent_jscope;

typedef struct ent_jrun {
    ent_arena *arena;
    const char *where;
    size_t line, steps, bytes, depth;
    ent_jscope *scope;
    ent_jinja_text *out;
    bool by_generation, in_generation; /* answers are marked by the template; and this is one */
    ent_jnode_kind leaving;            /* a break or continue on its way to the loop; else 0 */
} ent_jrun;

typedef struct ent_jargs { /* of a call, evaluated */
    ent_jvalue value[8];
    const char *name[8];
    size_t n;
} ent_jargs;

size_t ent_jparser_line(ent_jparser *p); /* where it is */

/* Far above what conversations need, so that a hostile template ends. */
enum { ENT_J_MAX_STEPS = 1 << 22, ENT_J_MAX_DEPTH = 400 };

/* ENT_EUNSUPPORTED "WHERE: chat_template: line N: ...". */
ent_status ent_jparser_fail(ent_jparser *p, const char *format, ...) __attribute__((format(printf, 2, 3)));
ent_status ent_jrun_fail(const ent_jrun *run, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* jinja_lex.c: *text = the text up to the next tag, with white space gone as the tags tell; *tag is '%', '{', or 0 at
 * the end of the template. Comments are skipped. Then each ent_jlex_next puts a token into p->token; the last one of a
 * tag is ENT_J_CLOSE. */
ent_status ent_jlex_text(ent_jparser *p, ent_jvalue *text, char *tag);
ent_status ent_jlex_next(ent_jparser *p);
bool ent_jlex_is(const ent_jparser *p, const char *op_or_word);

/* jinja_parse.c */
ent_status ent_jparse_expression(ent_jparser *p, ent_jnode **out);
ent_status ent_jparse_without_choice(ent_jparser *p, ent_jnode **out); /* "if" after it is not part of it */
ent_status ent_jparse_new(ent_jparser *p, ent_jnode **out, ent_jnode_kind kind);
ent_status ent_jparse_expect(ent_jparser *p, const char *op_or_word);

/* jinja_value.c */
bool ent_jspace(uint32_t c); /* what Python's str.strip takes away */
ent_jvalue ent_jstring(const char *terminated);
ent_jvalue ent_jint(int64_t i);
ent_jvalue ent_jbool(bool b);
ent_jvalue ent_jundefined(const char *name);
ent_jvalue ent_jpart(const ent_jvalue *string, size_t begin, size_t end);
bool ent_jis(const ent_jvalue *string, const char *terminated);
bool ent_jtruth(const ent_jvalue *v);
bool ent_jequal(ent_jrun *run, const ent_jvalue *a, const ent_jvalue *b);
ent_status ent_jalloc(ent_jrun *run, void *out, size_t count, size_t size);
ent_status ent_jlist(ent_jrun *run, ent_jvalue *out, size_t n);
ent_status ent_jconcat(ent_jrun *run, ent_jvalue *out, const ent_jvalue *a, const ent_jvalue *b);
ent_status ent_jtext_of(ent_jrun *run, ent_jvalue *out, const ent_jvalue *v); /* as it is printed */
ent_status ent_jdict_put(ent_jrun *run, ent_jdict *dict, const ent_jvalue *key, const ent_jvalue *value);
const ent_jvalue *ent_jdict_get(ent_jrun *run, const ent_jdict *dict, const ent_jvalue *key); /* NULL: not there */
ent_status ent_jitems(ent_jrun *run, ent_jvalue *out, const ent_jvalue *v); /* what a loop over it meets, as a list */
ent_status ent_jin(ent_jrun *run, bool *out, const ent_jvalue *item, const ent_jvalue *in);

/* jinja_eval.c */
ent_status ent_jeval(ent_jrun *run, ent_jvalue *out, const ent_jnode *node);

/* jinja_calls.c */
ent_status ent_jfilter(ent_jrun *run, ent_jvalue *out, const char *name, const ent_jvalue *v, const ent_jargs *args);
ent_status ent_jtest(ent_jrun *run, bool *out, const char *name, const ent_jvalue *v, const ent_jargs *args);
ent_status ent_jfunction(ent_jrun *run, ent_jvalue *out, const char *name, const ent_jargs *args);

/* jinja_methods.c */
ent_status ent_jmethod(ent_jrun *run, ent_jvalue *out, const char *name, const ent_jvalue *v, const ent_jargs *args);
ent_jvalue ent_jstrip(const ent_jvalue *v, const ent_jvalue *characters, bool left, bool right);
ent_status ent_jcase(ent_jrun *run, ent_jvalue *out, const ent_jvalue *v, const char *how);
ent_status ent_jreplace(ent_jrun *run, ent_jvalue *out, const ent_jvalue *v, const ent_jvalue *from,
                        const ent_jvalue *to);

#endif
