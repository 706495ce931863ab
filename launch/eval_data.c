#include "launch/eval_data.h"

#include "launch/signals.h"

enum { DEFAULT_SEQ_LEN = 512 };

const char *ent_eval_only_with_data(const ent_eval_options *o)
{
    return o->seq_len ? "--seq-len" : o->no_packing ? "--no-packing" : o->no_mask ? "--no-mask" : NULL;
}

ent_status ent_eval_data_open(ent_eval_data *out, const ent_eval_options *o, const ent_model *model, const char *folder)
{
    const size_t positions = ent_model_positions(&model->config); /* 0: not said */
    *out = (ent_eval_data){.seq_len = (size_t)o->seq_len};
    if (out->seq_len == 0)
        out->seq_len = positions && positions < DEFAULT_SEQ_LEN ? positions : DEFAULT_SEQ_LEN;
    if (positions && out->seq_len > positions)
        return ent_fail(ENT_ECONFIG, "--seq-len: %zu is more than the %zu positions of %s", out->seq_len, positions,
                        folder);
    const ent_dataset_options how = {.seq_len = out->seq_len,
                                     .vocab_size = model->config.vocab_size,
                                     .mask_prompt = !o->no_mask,
                                     .packing = !o->no_packing,
                                     .tokenizer = model->tokenizer,
                                     .tokenizer_path = model->tokenizer_path,
                                     .model_folder = folder};
    return ent_dataset_open(&out->dataset, o->data, &how);
}

void ent_eval_data_close(ent_eval_data *data)
{
    ent_dataset_close(data->dataset);
    *data = (ent_eval_data){0};
}

static ent_status unit_of(ent_unit *out, void *context, size_t i)
{
    if (ent_signals_stop())
        return ent_fail(ENT_ESTOPPED, "stopped by %s, nothing was written", ent_signals_name());
    ent_dataset_unit(out, context, i);
    return ENT_OK;
}

ent_status ent_eval_data_run(ent_eval_data *data, ent_decoder *decoder, ent_comm *comm, size_t most)
{
    const ent_trainer_options how = {.batch_size = 1, .seq_len = data->seq_len};
    const size_t all = ent_dataset_units(data->dataset), n = most && most < all ? most : all;
    ent_trainer *trainer = NULL;
    ent_status st = ent_decoder_set_positions(decoder, data->seq_len);
    if (st == ENT_OK)
        st = ent_trainer_new(&trainer, decoder, comm, &how);
    ENT_GO(ent_comm_agree(comm, st));
    ENT_GO(ent_trainer_evaluate(&data->loss, &data->targets, trainer, n, unit_of, data->dataset));
done:
    ent_trainer_free(trainer);
    return st;
}
