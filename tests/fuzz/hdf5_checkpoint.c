/* Checkpoint files: listed, and read as the tensors that stand in the corpus. */
#include <math.h>
#include <string.h>

#include "io/hdf5_checkpoint.h"
#include "tests/fuzz/fuzz.h"

static void look(const ent_hdf5_listing *listing)
{
    for (size_t i = 0; i < listing->count; i++) {
        const ent_ckpt_tensor *t = &listing->tensors[i];
        size_t bytes = sizeof(float);
        for (size_t d = 0; d < t->n_dims; d++)
            bytes *= t->shape[d];
        fuzz_look(t->name, strlen(t->name));
        fuzz_look(t->value, bytes);
        if (t->m)
            fuzz_look(t->m, bytes);
        if (t->v)
            fuzz_look(t->v, bytes);
    }
}

static void check_state(const ent_ckpt_state *s)
{
    FUZZ_CHECK(s->step >= 0 && s->unit_position >= 0 && isfinite(s->epoch));
    FUZZ_CHECK(memchr(s->config_hash, 0, sizeof s->config_hash) && memchr(s->kernel, 0, sizeof s->kernel));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    static float numbers[6][6];
    ent_ckpt_tensor tensors[] = {
        {"w", 2, {2, 3}, numbers[0], numbers[1], numbers[2]},
        {"norm", 1, {5}, numbers[3], numbers[4], numbers[5]},
    };
    ent_ckpt_state state;
    ent_hdf5_listing listing;
    const char *path = fuzz_file("step-00000010.h5", data, n);
    if (fuzz_ok(ent_hdf5_checkpoint_list(&listing, path, "step-00000010.h5"))) {
        look(&listing);
        check_state(&listing.state);
        ent_hdf5_listing_free(&listing);
    }
    if (fuzz_ok(ent_hdf5_checkpoint_read(&state, path, "step-00000010.h5", tensors, 2)))
        check_state(&state);
    return 0;
}
