/* What is in a file or folder, as trees: for `entrenar inspect`. */
#ifndef ENT_LAUNCH_INSPECT_H
#define ENT_LAUNCH_INSPECT_H

#include <stdbool.h>

#include "io/json.h"
#include "src/base/status.h"

/* *out (caller frees) = {path, kind, settings, tensors: [{name, dtype, shape, bytes, norm}], total: {tensors, numbers,
 * bytes}}. `kind` is one of ent_kind_name; a run folder stands for its newest checkpoint. Norms are Euclidean, null
 * where they aren't finite, and absent for types without values. A checkpoint has metadata as well: what stands beside
 * it, without the digests, or metadata_fault; a run, run: {folder, checkpoints: [steps], logged_steps, evaluations,
 * log_fault, folders: [names]}. All is read and checked as training does it. */
ent_status ent_inspect(ent_json **out, const char *path);

/* *out (caller frees) = {path, kind, name, dtype, shape, bytes, file, numbers, nan, plus_inf, minus_inf, zeros, min,
 * max, mean, std, norm, quantiles: [{share, value}], histogram: {min, max, counts}}; from `zeros` on of the finite
 * numbers: null if there are none. std is that of a population; a quantile is the smallest number that at least the
 * share of them does not exceed. ENT_EINVAL for a name that isn't there; ENT_EUNSUPPORTED for a type without values. */
ent_status ent_inspect_tensor(ent_json **out, const char *path, const char *name);

/* *out (caller frees) = {a, b, settings: [{key, a, b}], only_a: [names], only_b: [names], tensors: [{name, dtype_a,
 * dtype_b, shape_a, shape_b, differing, max_abs, max_rel, at}], compared, differ}: settings (of two things of one kind)
 * and tensors that differ. Tensors of one type differ in bits, others in values; max_abs is the largest |a - b|,
 * max_rel the largest |a - b| / max(|a|, |b|), both null if a number is finite in one of them alone; `at` the index of
 * the first number that differs. Where shapes or types without values differ, only those stand there. *differ:
 * something does. */
ent_status ent_inspect_diff(ent_json **out, bool *differ, const char *a, const char *b);

/* *out (caller frees) = the trees as text for people. */
ent_status ent_inspect_text(char **out, const ent_json *tree);
ent_status ent_inspect_tensor_text(char **out, const ent_json *tree);
ent_status ent_inspect_diff_text(char **out, const ent_json *tree);

#endif
