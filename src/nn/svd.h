/* The largest singular values of a matrix, and their vectors: what PiSSA's adapters begin with. */
#ifndef ENT_NN_SVD_H
#define ENT_NN_SVD_H

#include <stddef.h>
#include <stdint.h>

#include "src/base/real.h"
#include "src/base/status.h"
#include "src/tensor/tensor.h"

/* W ~ sum of sigma[i] u[i] v[i]^T, i < r, for a matrix W (out, in) of any storage type: sigma (r), falling; u (r, out),
 * v (r, in), of length 1 (u[i] of length 0 where sigma[i] is below 1e-6 of the largest). By a block Krylov space that
 * is begun again from its best vectors (Musco, Musco 2015, arXiv:1504.05477) until |W^T u - sigma v| is below
 * ENT_SVD_RESIDUAL sigma[0] for all; products with W are in fp32, what is of the size of the space in double, and the
 * bits don't depend on threads or CPU. `number` of the matrix: a part of its draws. ENT_EINVAL if r is more than a side
 * of W; ENT_ENUMERIC if W isn't finite, or the residual stays larger; ENT_ENOMEM. */
#define ENT_SVD_RESIDUAL 2e-6
ent_status ent_svd_top(ent_real *u, double *sigma, ent_real *v, size_t r, const ent_tensor *w, uint32_t number);

#endif
