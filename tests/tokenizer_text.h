/* Loading a tokenizer from text, for tests. */
#ifndef ENT_TESTS_TOKENIZER_TEXT_H
#define ENT_TESTS_TOKENIZER_TEXT_H

#include <stdlib.h>
#include <unistd.h>

#include "io/tokenizer_json.h"

/* ent_tokenizer_load of a file that holds these n bytes. */
static inline ent_status load_text(ent_tokenizer **out, const char *json, size_t n)
{
    char path[] = "/tmp/ent-tokenizer-XXXXXX";
    const int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, json, n), (ssize_t)n);
    close(fd);
    const ent_status st = ent_tokenizer_load(out, path);
    unlink(path);
    return st;
}

#endif
