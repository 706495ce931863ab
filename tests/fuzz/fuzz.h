/* What the fuzz targets share. A target reads bytes as one kind of file and looks at all that it got; it fails by
 * crashing, by a sanitizer's word, or by a check.
 */
#ifndef ENT_TESTS_FUZZ_H
#define ENT_TESTS_FUZZ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "src/base/status.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);
size_t LLVMFuzzerMutate(uint8_t *data, size_t n, size_t max);
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t n, size_t max, unsigned seed);

/* A folder of this process, below TMPDIR or /tmp; tests/fuzz/run removes it. */
const char *fuzz_folder(void);

/* The path of FOLDER/NAME, which now holds n bytes. Good until the eighth call from here. */
const char *fuzz_file(const char *name, const void *data, size_t n);

/* The path of a file of the source tree. */
const char *fuzz_source(const char *path);

/* What holds whatever was read, or the target fails. */
#define FUZZ_CHECK(condition) fuzz_check((condition), #condition, __FILE__, __LINE__)
void fuzz_check(bool good, const char *what, const char *file, int line);

/* A failure has a message of one line. Returns whether st is ENT_OK. */
bool fuzz_ok(ent_status st);

/* Looks at every byte, for the sanitizers to see. */
void fuzz_look(const void *data, size_t n);

#endif
