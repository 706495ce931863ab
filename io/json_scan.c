#include "io/json_scan.h"

#include <stdbool.h>
#include <string.h>

#include "io/number.h"
#include "io/text.h"

enum { MAX_NUMBER = 63 }; /* characters of a number that cJSON reads */

ent_status ent_json_fault(const char *text, size_t n, size_t offset, const char *where, const char *message)
{
    size_t line = 1, start = 0;
    for (size_t i = 0; i < offset && i < n; i++)
        if (text[i] == '\n') {
            line++;
            start = i + 1;
        }
    return ent_fail(ENT_EFORMAT, "%s: line %zu column %zu: %s", where, line, offset - start + 1, message);
}

/* The fault of the number at text[i], or NULL; *length = what it takes. */
static const char *number_fault(size_t *length, const char *text, size_t n, size_t i)
{
    char copy[MAX_NUMBER + 1];
    double value;
    *length = ent_number_span(text + i, n - i, NULL);
    if (*length == 0 || (i + *length < n && strchr("0123456789.+-", text[i + *length]) && text[i + *length]))
        return "malformed number";
    if (*length > MAX_NUMBER)
        return "number of more than 63 characters";
    memcpy(copy, text + i, *length);
    copy[*length] = 0;
    return ent_number_read_double(&value, copy) ? NULL : "number too large";
}

/* The fault of the string whose opening quote is text[*i], or NULL; moves *i to the fault, or behind the string. */
static const char *string_fault(size_t *i, const char *text, size_t n)
{
    const size_t opening = *i;
    for (*i += 1; *i < n;) {
        const unsigned char c = (unsigned char)text[*i];
        const size_t length = ent_utf8_length(text + *i, n - *i);
        if (c < ' ')
            return "control character in a string";
        if (length == 0)
            return "not UTF-8";
        if (c == '\\' && n - *i >= 6 && memcmp(text + *i, "\\u0000", 6) == 0)
            return "\\u0000 in a string is not supported";
        *i += c == '\\' ? 1 : length;
        if (c == '\\')
            *i += *i < n && (unsigned char)text[*i] >= ' ' && (unsigned char)text[*i] < 0x80; /* what is escaped */
        else if (c == '"')
            return NULL;
    }
    *i = opening;
    return "string without an end";
}

ent_status ent_json_scan(const char *text, size_t n, const char *where)
{
    size_t depth = 0, length;
    for (size_t i = 0; i < n;) {
        const char *fault = NULL;
        const char c = text[i];
        if (c == '"') {
            fault = string_fault(&i, text, n);
        } else if (c == '-' || (c >= '0' && c <= '9')) {
            fault = number_fault(&length, text, n, i);
            i += fault ? 0 : length;
        } else if ((unsigned char)c < ' ' && c != '\t' && c != '\n' && c != '\r') {
            fault = "control character";
        } else if ((c == '{' || c == '[') && ++depth > ENT_JSON_MAX_DEPTH) {
            fault = "nested more than 64 deep";
        } else {
            depth -= (c == '}' || c == ']') && depth > 0;
            i++;
        }
        if (fault)
            return ent_json_fault(text, n, i, where, fault);
    }
    return ENT_OK;
}
