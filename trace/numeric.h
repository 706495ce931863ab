/* Compares numeric traces (io/numeric_trace.h): what two runs of a training computed.
 *
 * Where both were computed by the same kernel, every number and every hash must be the same. Otherwise the bits may
 * differ, and what must hold is stated in the report: the loss within 1e-4 of the golden one, relative; the gradient
 * norm within 1e-3 (of products in bf16: 2e-3 and 2e-2; in int8: 5e-3 and 3e-2); the learning rate exactly; the hashes
 * are not compared. Steps are compared by their number.
 */
#ifndef ENT_TRACE_NUMERIC_H
#define ENT_TRACE_NUMERIC_H

#include <stdbool.h>

#include "io/text.h"
#include "src/base/status.h"

/* Whether a file begins as a numeric trace does. ENT_EIO. */
ent_status ent_numeric_is_trace(bool *yes, const char *path);

/* Appends a report: the first steps that differ, with both values, then one line that says it all. A step that only one
 * of them has is a difference. ENT_EFORMAT "FILE:LINE: ...". */
ent_status ent_numeric_compare(ent_text *report, bool *equal, const char *golden, const char *fresh);

#endif
