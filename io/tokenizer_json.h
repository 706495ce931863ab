/* Tokenizers in Hugging Face's tokenizer.json format: byte-pair encoding, with the normalizers, pre-tokenizers,
 * post-processors and decoders that Llama-family models use. Whatever would change ids and is not supported is an error
 * that names it.
 */
#ifndef ENT_IO_TOKENIZER_JSON_H
#define ENT_IO_TOKENIZER_JSON_H

#include "src/text/tokenizer.h"

/* Reads a tokenizer.json, or the one in a folder. Free with ent_tokenizer_free. ENT_EIO, ENT_EFORMAT, ENT_EUNSUPPORTED.
 */
ent_status ent_tokenizer_load(ent_tokenizer **out, const char *path);

#endif
