#include "io/number.h"

#include <errno.h>
#include <locale.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static size_t digits(const char *s, size_t n)
{
    size_t i = 0;
    while (i < n && s[i] >= '0' && s[i] <= '9')
        i++;
    return i;
}

size_t ent_number_span(const char *s, size_t n, bool *whole)
{
    size_t i = n > 0 && s[0] == '-', part = digits(s + i, n - i);
    bool is_whole = true;
    if (part == 0 || (part > 1 && s[i] == '0'))
        return 0;
    i += part;
    if (i < n && s[i] == '.') {
        part = digits(s + i + 1, n - i - 1);
        if (part == 0)
            return 0;
        i += 1 + part;
        is_whole = false;
    }
    if (i < n && (s[i] == 'e' || s[i] == 'E')) {
        i += i + 1 < n && (s[i + 1] == '+' || s[i + 1] == '-') ? 2u : 1u;
        part = digits(s + i, n - i);
        if (part == 0)
            return 0;
        i += part;
        is_whole = false;
    }
    if (whole)
        *whole = is_whole;
    return i;
}

bool ent_number_read_int(int64_t *out, const char *s)
{
    const size_t sign = s[0] == '-' || s[0] == '+', n = strlen(s);
    char *end;
    if (n == sign || digits(s + sign, n - sign) != n - sign)
        return false;
    errno = 0;
    const long long value = strtoll(s, &end, 10);
    if (errno != 0 || *end != 0)
        return false;
    *out = value;
    return true;
}

bool ent_number_read_double(double *out, const char *s)
{
    const size_t n = strlen(s);
    char *end;
    if (n == 0 || strspn(s, "+-.0123456789eE") != n) /* strtod alone takes spaces, 0x1p3, inf and nan */
        return false;
    const double value = strtod_l(s, &end, newlocale(LC_ALL_MASK, "C", (locale_t)0));
    if (*end != 0 || !isfinite(value))
        return false;
    *out = value;
    return true;
}

const char *ent_number_format(ent_number_text *buffer, double x)
{
    /* newlocale gives glibc's static "C" object: nothing to free, and it can't fail */
    const locale_t old = uselocale(newlocale(LC_ALL_MASK, "C", (locale_t)0));
    if (fabs(x) < 0x1p53 && x == trunc(x))
        snprintf(buffer->text, sizeof buffer->text, "%.0f", x);
    else
        for (int precision = 1; precision <= 17; precision++) {
            snprintf(buffer->text, sizeof buffer->text, "%.*g", precision, x);
            if (strtod(buffer->text, NULL) == x)
                break;
        }
    uselocale(old);
    return buffer->text;
}
