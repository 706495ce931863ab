/* entrenar: the library's public face, in reading order. From here on, a header is the manual of its part.
 *
 * A model is trained in five calls: ent_decoder_new and its parameters' values (src/nn/decoder.h), ent_trainer_new, one
 * ent_trainer_step after another (src/train/trainer.h), and a file of the result (io/safetensors.h, io/peft.h).
 */
#ifndef ENTRENAR_H
#define ENTRENAR_H

#ifdef __cplusplus
extern "C" {
#endif

#include "src/base/status.h" /* codes, the message of a failure */
#include "src/base/philox.h" /* counter-based random numbers */
#include "src/base/tiles.h"  /* threads */

#include "src/tensor/tensor.h"
#include "src/tensor/gemm.h" /* matrix products */

#include "src/autograd/tape.h"      /* record, run backward */
#include "src/autograd/ops.h"       /* general operators */
#include "src/autograd/ops_model.h" /* operators of a decoder */

#include "src/nn/params.h"
#include "src/nn/lora_config.h"
#include "src/nn/model_config.h"
#include "src/nn/decoder.h"
#include "src/nn/generate.h"
#include "src/nn/sample.h"

#include "src/optim/optimizer.h"
#include "src/optim/schedule.h"

#include "src/text/tokenizer.h"
#include "src/text/unit.h"

#include "src/merge/merge.h" /* models into one */

#include "src/comm/comm.h"     /* ranks */
#include "src/train/trainer.h" /* units, step, evaluation */

#include "io/safetensors.h"
#include "io/model_weights.h" /* parameters from files, and back */
#include "io/peft.h"          /* adapters */
#include "io/model_file.h"    /* stand-alone models */
#include "io/model_write.h"   /* model folders, computed while they are written */
#include "io/gguf_model.h"    /* models and adapters for llama.cpp */
#include "io/numeric_trace.h"

#ifdef __cplusplus
}
#endif

#endif
