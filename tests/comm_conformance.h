/* One suite for every implementation of the communicator. All ranks run the same cases in the same order. */
#ifndef ENT_TESTS_COMM_CONFORMANCE_H
#define ENT_TESTS_COMM_CONFORMANCE_H

#include <stddef.h>

#include "src/comm/comm.h"

typedef struct comm_case {
    const char *name;
    const char *(*run)(ent_comm *comm); /* NULL, or what this rank found wrong */
} comm_case;

extern const comm_case comm_cases[];
extern const size_t n_comm_cases;

#endif
