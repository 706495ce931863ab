/* Numbers as text, the same in every locale: read whole or refused, printed so that they read back exactly. */
#ifndef ENT_IO_NUMBER_H
#define ENT_IO_NUMBER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The length of the decimal number at the start of the n bytes at `s`, by the grammar of JSON; 0: there is none.
 * *whole (may be NULL) = it has neither a fraction nor an exponent. */
size_t ent_number_span(const char *s, size_t n, bool *whole);

/* Reads all of `s`: digits with an optional sign, in the range of int64; or any decimal number that a double can hold
 * (no hexadecimal, no infinity, no NaN). False: it is something else, and *out is as it was. */
bool ent_number_read_int(int64_t *out, const char *s);
bool ent_number_read_double(double *out, const char *s);

typedef struct ent_number_text {
    char text[40];
} ent_number_text;

/* The shortest decimal number that reads back as x; whole numbers below 2^53 as digits. x is finite. Returns the text.
 */
const char *ent_number_format(ent_number_text *buffer, double x);

#endif
