/* The numbers and truth values of TOML: a part of io/toml.c. */
#ifndef ENT_IO_TOML_SCALAR_H
#define ENT_IO_TOML_SCALAR_H

#include "io/toml.h"

/* Gives `node`, whose key is known, what the whole of `word` says: INT, FLOAT or BOOL. ENT_EFORMAT, ENT_EUNSUPPORTED
 * "WHERE:LINE: KEY: ...". */
ent_status ent_toml_read_scalar(ent_toml *node, const char *word, const char *where, size_t line);

#endif
