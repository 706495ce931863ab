/* What is in a file or folder, as a tree: for `entrenar inspect`. */
#ifndef ENT_LAUNCH_INSPECT_H
#define ENT_LAUNCH_INSPECT_H

#include "io/json.h"
#include "src/base/status.h"

/* *out (caller frees) = {path, kind, settings, tensors: [{name, dtype, shape, bytes, norm}], total: {tensors, numbers,
 * bytes}}. `kind` is checkpoint, adapter, model or safetensors; a run folder stands for its newest checkpoint. All is
 * read and checked as training does it. Norms are Euclidean, null where they aren't finite. */
ent_status ent_inspect(ent_json **out, const char *path);

#endif
