/* The loss of a data set: rows as in training, mean over all target tokens. */
#ifndef ENT_LAUNCH_EVAL_DATA_H
#define ENT_LAUNCH_EVAL_DATA_H

#include "io/dataset.h"
#include "launch/model.h"
#include "launch/options.h"
#include "src/comm/comm.h"

typedef struct ent_eval_options { /* as the options below fill it */
    const char *data;
    int64_t seq_len; /* 0: 512, or the model's positions if these are fewer */
    bool no_packing, no_mask;
} ent_eval_options;

typedef struct ent_eval_data {
    ent_dataset *dataset;
    size_t seq_len;
    int64_t targets;
    double loss;
} ent_eval_data;

/* Rows of the table of a command whose arguments hold an ent_eval_options at `member`: --data, --seq-len, --no-packing,
 * --no-mask. `help`: of --data. */
#define ENT_EVAL_DATA_OPTIONS(arguments, member, data_help)                                                      \
    {"--data", "FILE", ENT_OPTION_TEXT, .offset = offsetof(arguments, member.data), .help = data_help},          \
        {"--seq-len",                                                                                            \
         "N",                                                                                                    \
         ENT_OPTION_INT,                                                                                         \
         .offset = offsetof(arguments, member.seq_len),                                                          \
         .low = 2,                                                                                               \
         .high = 1 << 20,                                                                                        \
         .help = "tokens of a row, as data.seq_len (default 512, or the model's positions if these are fewer)"}, \
        {"--no-packing", NULL, ENT_OPTION_FLAG, .offset = offsetof(arguments, member.no_packing),                \
         .help = "a document is a row, cut off after N tokens: as data.packing: false"},                         \
    {                                                                                                            \
        "--no-mask", NULL, ENT_OPTION_FLAG, .offset = offsetof(arguments, member.no_mask),                       \
                                            .help = "prompts are targets, too: as data.mask_prompt: false"       \
    }

/* The first of these options that acts only with --data, if it was given; NULL: none. */
const char *ent_eval_only_with_data(const ent_eval_options *options);

/* Tokenises the data for a model of the folder `folder`. ENT_ECONFIG where rows are longer than its positions. */
ent_status ent_eval_data_open(ent_eval_data *out, const ent_eval_options *options, const ent_model *model,
                              const char *folder);
void ent_eval_data_close(ent_eval_data *data);

/* data->loss and targets, by `decoder`, of all rows, or with `most` of the first ones. Collective; the same bits for
 * any number of ranks and threads. */
ent_status ent_eval_data_run(ent_eval_data *data, ent_decoder *decoder, ent_comm *comm, size_t most);

#endif
