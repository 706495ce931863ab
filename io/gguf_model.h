/* Models and LoRA adapters as llama.cpp has them in GGUF files: which architecture, which keys, which names, and in
 * which order rows of q_proj and k_proj stand; and the way back.
 *
 * llama.cpp's architecture llama (Llama, Mistral, SmolLM) rotates neighbouring numbers of a head, where Hugging Face's
 * rotates the two halves. So row i of a head of attn_q and attn_k (weight, bias and lora_b) is row (i mod 2) head_dim/2
 * + i/2 of Hugging Face's. Those of qwen2 and qwen3 are left as they are. (convert_hf_to_gguf.py, src/llama-model.cpp.)
 */
#ifndef ENT_IO_GGUF_MODEL_H
#define ENT_IO_GGUF_MODEL_H

#include "io/gguf.h"
#include "io/safetensors.h"
#include "io/scratch_file.h"
#include "io/text.h"
#include "src/nn/lora_config.h"
#include "src/nn/model_config.h"

/* --- names --- */

typedef struct ent_gguf_name {
    char text[192];
} ent_gguf_name;

/* "model.layers.0.self_attn.q_proj.weight" as "blk.0.attn_q.weight", the adapter's
 * "base_model.model.MODULE.lora_A.weight" as "NAME.weight.lora_a"; and back. NULL: it is none of those that a decoder
 * has. Returns out->text. */
const char *ent_gguf_name_from_hf(ent_gguf_name *out, const char *hf);
const char *ent_gguf_name_to_hf(ent_gguf_name *out, const char *gguf);

/* How many heads the tensor of this Hugging Face name has whose rows are in another order; 0: its rows are the same. */
size_t ent_gguf_reordered_heads(const ent_model_config *config, const char *hf);

/* Which row of Hugging Face's is row `row` of the tensor, whose heads have head_dim rows. */
size_t ent_gguf_row(size_t head_dim, size_t row);

/* --- settings --- */

/* "llama", "qwen2" or "qwen3". ENT_EUNSUPPORTED naming the setting of config.json that llama.cpp doesn't have for this
 * architecture: biases, or a scaling of RoPE. */
ent_status ent_gguf_architecture(const char **out, const ent_model_config *config, const char *folder);

/* Puts the keys of a model: general.*, its sizes, attention and RoPE. `name` is for people; format NULL: F32. `notes`
 * gets a line for each thing that llama.cpp does otherwise. */
ent_status ent_gguf_put_model(ent_gguf_writer *writer, ent_text *notes, const ent_model_config *config,
                              const char *folder, const char *name, const ent_block_format *format);

/* Puts those of an adapter. ENT_EUNSUPPORTED where alpha differs from module to module, or modules are saved whole. */
ent_status ent_gguf_put_adapter(ent_gguf_writer *writer, const ent_model_config *config, const char *folder,
                                const char *name, const ent_lora_config *lora);

/* The tensor rope_freqs.weight (head_dim / 2), with rope_scaling llama3: what frequency j is divided by. */
#define ENT_GGUF_ROPE_FREQS "rope_freqs.weight"
float ent_gguf_rope_factor(const ent_model_config *config, size_t j);

/* The settings of a model file. Of llama3's scaling GGUF has the factors alone: its settings stand in keys of our own
 * (entrenar.rope_scaling.*), and the factors must be those that follow. ENT_EFORMAT, ENT_EUNSUPPORTED. */
ent_status ent_gguf_read_model(ent_model_config *out, const ent_gguf *file);

/* Of an adapter for a model of `config`: alpha. */
ent_status ent_gguf_read_adapter(double *alpha, const ent_gguf *file, const ent_model_config *config);

/* --- numbers --- */

/* The tensors of a model or an adapter as Hugging Face has them. Free with ent_gguf_weights_free. */
typedef struct ent_gguf_weights {
    ent_st_tensor *tensors; /* in place where that is possible, else in `scratch`: F32 for blocks */
    size_t count;
    ent_gguf_name *names;
    ent_scratch *scratch;
} ent_gguf_weights;

/* `file` must stay open as long as they are used; `folder` is where the scratch goes. ENT_EFORMAT naming a tensor that
 * no decoder has; ENT_EIO. */
ent_status ent_gguf_weights_new(ent_gguf_weights *out, const ent_gguf *file, const ent_model_config *config,
                                const char *folder);
void ent_gguf_weights_free(ent_gguf_weights *weights);

#endif
