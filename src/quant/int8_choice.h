/* How the products with a frozen weight are computed where int8 is asked for, judged by what they were given in a few
 * first units.
 *
 * A row of x is rounded with one scale: where some columns of x are much larger than the others, the others lose. Their
 * factor can move from x into W (Xiao et al. 2022, arXiv:2211.10438): x W^T = (x F) (W F^-1)^T with F diagonal, here of
 * powers of two, so that the move itself rounds nothing. That is tried where the largest column is more than 6 times
 * the median one, and kept if the error gets smaller. If an error is too large all the same, products stay in bf16.
 */
#ifndef ENT_QUANT_INT8_CHOICE_H
#define ENT_QUANT_INT8_CHOICE_H

#include "src/base/status.h"
#include "src/tensor/observer.h"
#include "src/tensor/tensor.h"

typedef enum { ENT_INT8_PLAIN, ENT_INT8_SMOOTHED, ENT_INT8_NOT } ent_int8_way;

typedef struct ent_int8_choice {
    ent_int8_way way;
    float ratio; /* the largest column of x over the median one */
    float
        plain_error; /* relative, root mean square, the larger of forward (to y without its mean) and input gradient */
    float error;     /* the same in the way that was chosen, or the best that was refused */
} ent_int8_choice;

/* The largest error that int8 may have. With it the cosine of the LoRA gradients of stories260K to those of fp32 is
 * 0.996, and 0.995 with columns of its norms made 30 times larger (0.970 for the worst tensor); without a limit 0.995
 * and 0.993 (0.936). */
#define ENT_INT8_LARGEST_ERROR 0.025f

/* Chooses for W (out, in), of any storage type; column_factors (in): F, all 1 unless smoothed. ENT_ENOMEM;
 * ENT_ENUMERIC if an operand or a weight is not finite. */
ent_status ent_int8_choose(ent_int8_choice *choice, float *column_factors, const ent_tensor *w,
                           const ent_observer *observer);

/* The scale of a row of W F^-1 as int8 (column_factors NULL: all 1), and what its numbers are multiplied by
 * (ent_int8_scale). */
float ent_int8_row_scale(float *inverse, const ent_tensor *w, const float *column_factors, size_t row);

/* Rows [begin, end) of W F^-1 as int8 with scales, as ent_tensor has them; q and scales begin with row `begin`. */
void ent_int8_rows(int8_t *q, float *scales, const ent_tensor *w, const float *column_factors, size_t begin,
                   size_t end);

#endif
