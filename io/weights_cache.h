/* Weights stored otherwise than in the model's files: as the products with them ask for, bf16 or int8, or quantised.
 * They are converted once, into a file that all ranks map and use in place.
 *
 * The file, weights-DIGEST (of names, types, sizes and a sample of each tensor's bytes, of what they become and with
 * which factors), little-endian:
 *
 *   bytes 0-7     ENTWGHT3
 *   bytes 8-71    the digest
 *   bytes 72-79   uint64: size of the file
 *   from 128 on   the tensors in order of declaration, each at a multiple of 64 bytes, as io/weights_convert.h has them
 *
 * Whoever verifies it compares each byte with what the model's files give: a damaged file, or one of weights that have
 * changed since, is made anew.
 */
#ifndef ENT_IO_WEIGHTS_CACHE_H
#define ENT_IO_WEIGHTS_CACHE_H

#include <stdbool.h>
#include <stddef.h>

#include "src/nn/params.h"

typedef struct ent_weights_cache ent_weights_cache;

/* Rebinds those frozen parameters whose products are computed in bf16 or int8 and that are neither stored so nor
 * quantised; those of int8 have their column_factors, which must stay. *out NULL if there are none. `dir`: where the
 * file is kept, made if it isn't there; NULL: in memory. One rank verifies and may make the file; those that come after
 * it only map it. It must stay open as long as the parameters are used. `stop` (NULL: never) is asked before each piece
 * that is converted, and stays with its yes: ENT_ESTOPPED, and no file is made. ENT_EIO, ENT_ENOMEM; ENT_ENUMERIC for a
 * number that isn't finite, where it would be rounded with a scale. */
ent_status ent_weights_cache_open(ent_weights_cache **out, ent_params *params, const char *dir, bool verify,
                                  bool (*stop)(void));

/* The same for all frozen matrices, which become `base`: I8, with a scale for each row, or NF4. */
ent_status ent_weights_cache_quantize(ent_weights_cache **out, ent_params *params, ent_dtype base, const char *dir,
                                      bool verify, bool (*stop)(void));
void ent_weights_cache_close(ent_weights_cache *cache);

size_t ent_weights_cache_bytes(const ent_weights_cache *cache); /* of the mapping; 0 for NULL */

/* What a user should know of it, "PATH: damaged, made anew"; NULL: nothing. */
const char *ent_weights_cache_note(const ent_weights_cache *cache);

#endif
