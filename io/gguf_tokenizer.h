/* A model folder's tokenizer as llama.cpp has it in GGUF files.
 *
 * Two kinds: "llama", SentencePiece's BPE, which merges the pair whose result has the highest score: scores are made
 * from the order of merges in tokenizer.json, and it is checked that they say the same. "gpt2", byte-level BPE with
 * merges and the name of a split (tokenizer.ggml.pre) that llama.cpp knows. (src/llama-vocab.cpp.) What would give
 * other ids, and isn't said in the notes, is refused.
 */
#ifndef ENT_IO_GGUF_TOKENIZER_H
#define ENT_IO_GGUF_TOKENIZER_H

#include "io/gguf.h"
#include "io/text.h"
#include "src/text/tokenizer.h"

/* Puts the keys tokenizer.*. `tokenizer` is what FOLDER/tokenizer.json was read into; NULL: there is none, and the file
 * says so. vocab_size is the model's: ids without a token get one that no text becomes. `notes` gets a line for each
 * thing that is otherwise in llama.cpp. ENT_EUNSUPPORTED; ENT_EFORMAT. */
ent_status ent_gguf_put_tokenizer(ent_gguf_writer *writer, ent_text *notes, const char *folder,
                                  const ent_tokenizer *tokenizer, size_t vocab_size);

#endif
