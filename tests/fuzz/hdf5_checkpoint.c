/* Checkpoint files: listed, and read as the tensors that stand in the corpus. */
#include <math.h>
#include <string.h>

#include "io/hdf5_reader.h"
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

/* The same a stretch at a time. */
static void read_stretches(const char *path)
{
    ent_hdf5_reader *r;
    float stretch[7];
    if (!fuzz_ok(ent_hdf5_reader_open(&r, path)))
        return;
    check_state(ent_hdf5_reader_state(r));
    for (size_t i = 0; i < ent_hdf5_reader_count(r); i++) {
        const ent_hdf5_dataset *d = ent_hdf5_reader_at(r, i);
        for (size_t first = 0; first < d->count; first += 7) {
            const size_t n = d->count - first < 7 ? d->count - first : 7;
            if (!fuzz_ok(ent_hdf5_reader_read(stretch, r, i, first, n)))
                break;
            fuzz_look(stretch, n * sizeof *stretch);
        }
    }
    ent_hdf5_reader_close(r);
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
    read_stretches(path);
    return 0;
}
