#include "launch/data_look.h"

#include <stdlib.h>

#include "io/dataset_cache.h"
#include "src/base/mem.h"

void ent_data_look_free(ent_data_look *look)
{
    ent_corpus_free(&look->corpus);
    *look = (ent_data_look){0};
}

void ent_data_look_row(const ent_data_look *look, size_t r, size_t *begin, size_t *n)
{
    *begin = r ? look->corpus.ends[r - 1] : 0;
    *n = look->corpus.ends[r] - *begin;
}

bool ent_data_look_is_target(const ent_data_look *look, size_t begin, size_t i)
{
    return i > 0 && look->corpus.labels.ids[begin + i] != ENT_NO_TARGET;
}

static void note(ent_line_list *list, size_t line)
{
    if (list->count < ENT_LOOK_LINES)
        list->lines[list->count] = line;
    list->count++;
}

static int by_size(const void *a, const void *b)
{
    const size_t x = *(const size_t *)a, y = *(const size_t *)b;
    return (x > y) - (x < y);
}

static ent_status count_rows(ent_data_look *look)
{
    size_t *lengths;
    look->rows = look->corpus.n_documents;
    ENT_TRY(ent_calloc(&lengths, look->rows, sizeof *lengths, "lengths of rows"));
    for (size_t r = 0; r < look->rows; r++) {
        size_t begin, n, targets = 0;
        ent_data_look_row(look, r, &begin, &n);
        for (size_t i = 0; i < n; i++)
            targets += ent_data_look_is_target(look, begin, i);
        const int32_t *ids = look->corpus.ids.ids + begin;
        if (look->bos >= 0 && n > 1 && ids[0] == look->bos && ids[1] == look->bos)
            note(&look->double_bos, r + 1);
        if (targets == 0)
            note(&look->no_target, r + 1);
        if (n > look->options.seq_len)
            note(&look->cut, r + 1);
        look->tokens += n;
        look->targets += targets;
        lengths[r] = n;
    }
    qsort(lengths, look->rows, sizeof *lengths, by_size);
    look->shortest = lengths[0];
    look->median = lengths[look->rows / 2];
    look->longest = lengths[look->rows - 1];
    free(lengths);
    return ENT_OK;
}

/* Documents of each unit, which begin where doc_start changes. */
static void count_documents(ent_data_look *look, const ent_unit_image *image)
{
    for (size_t u = 0; u < look->counts.units; u++) {
        size_t documents = 0;
        const size_t begin = image->units.offsets[u];
        for (size_t t = begin; t < image->units.offsets[u + 1]; t++)
            documents += (size_t)image->units.doc_start[t] == t - begin;
        look->documents += documents;
        look->fewest = u && look->fewest < documents ? look->fewest : documents;
        look->most = look->most > documents ? look->most : documents;
    }
}

static ent_status count_units(ent_data_look *look)
{
    ent_status st;
    ent_packing packing = {0};
    ent_unit_image image = {0};
    ENT_GO(ent_packing_plan(&packing, &look->corpus, look->options.seq_len, look->options.packing));
    look->counts = packing.counts;
    if (look->counts.units) {
        ENT_GO(ent_unit_image_make(&image, &packing, &look->corpus));
        count_documents(look, &image);
    }
done:
    ent_unit_image_free(&image);
    ent_packing_free(&packing);
    return st;
}

ent_status ent_data_look_make(ent_data_look *out, const char *path, const ent_dataset_options *options, int32_t bos)
{
    *out = (ent_data_look){.path = path, .tokenizer = options->tokenizer, .options = *options, .bos = bos};
    ENT_TRY(ent_dataset_read(&out->corpus, path, options));
    ENT_TRY(count_rows(out));
    return count_units(out);
}
