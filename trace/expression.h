/* Expressions over a trace that are true or false: `calls("write") <= 20 and bytes_written / calls("write") >= 4 KiB`.
 *
 * Loosest first: or ||; and &&; not !; < <= > >= == !=, once; + -; * /; - before a number; ( ). Numbers are decimal
 * (12, 1.5, 1e6), KiB, MiB or GiB may follow. Names and functions: ent_expression_help. A function takes a pattern
 * (trace/pattern.h) in "" or '' that the names of calls must match whole; a quote can't stand in it.
 * Truth values and numbers are different things: the whole is a truth value, and only numbers are compared.
 */
#ifndef ENT_TRACE_EXPRESSION_H
#define ENT_TRACE_EXPRESSION_H

#include <stdbool.h>

#include "io/text.h"
#include "trace/measure.h"

typedef struct ent_expression ent_expression;

/* *out = the expression (caller frees). ENT_EFORMAT "WHERE: column N: ..." for what is none; columns are characters,
 * from 1. */
ent_status ent_expression_read(ent_expression **out, const char *text, const char *where);
void ent_expression_free(ent_expression *expression);

/* As it was written. */
const char *ent_expression_text(const ent_expression *expression);

/* *holds = what it says of the trace. Appends the values that decided: `calls("write") is 17, errors is 0`. What `and`
 * and `or` need not know isn't looked at. ENT_EFORMAT "column N: ..." if the trace doesn't say what is asked, for a
 * division by zero, and for what is too large; *holds is false then. */
ent_status ent_expression_evaluate(bool *holds, ent_text *values, const ent_expression *expression,
                                   const ent_measure *measure);

/* Appends what can be written in one: lines for a help text. */
void ent_expression_help(ent_text *to);

#endif
