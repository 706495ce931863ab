/* Lines of JSONL as tokenised documents. The kinds of lines are listed in io/dataset.h. */
#ifndef ENT_IO_DATASET_ROWS_H
#define ENT_IO_DATASET_ROWS_H

#include "io/dataset.h"
#include "src/text/chat.h"

typedef struct ent_row_reader {
    const ent_dataset_options *options;
    const ent_chat *chat; /* loaded, whatever the kind */
    ent_status chat_status;
    const char *chat_message; /* what is said if a chat is read and chat_status is a failure */
    int32_t eos;              /* -1: none */
} ent_row_reader;

/* Appends the documents of a whole file, n bytes of text; `name` stands for it in errors. */
ent_status ent_rows_read(ent_corpus *out, const ent_row_reader *reader, const char *text, size_t n, const char *name);

#endif
