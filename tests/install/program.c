/* A program of a user of the installed library. */
#include <stdio.h>
#include <string.h>

#include "src/base/philox.h"
#include "src/base/status.h"
#include "src/comm/comm.h"

int main(void)
{
    const uint32_t counter[4] = {0}, key[2] = {0}; /* known answer of the Random123 distribution */
    uint32_t out[4];
    ent_comm *comm;
    ent_philox_block(out, counter, key);
    if (ent_comm_self(&comm) != ENT_OK || comm->world_size != 1)
        return 1;
    ent_comm_free(comm);
    if (ent_fail(ENT_EIO, "%s", "a message") != ENT_EIO || strcmp(ent_message(), "a message") != 0)
        return 1;
    printf("%08x\n", out[0]);
    return out[0] == 0x6627e8d5 ? 0 : 1;
}
