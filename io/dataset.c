#include "io/dataset.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "io/chat.h"
#include "io/dataset_cache.h"
#include "io/dataset_rows.h"
#include "io/digest.h"
#include "io/path.h"
#include "io/text.h"
#include "io/tokenizer_config.h"
#include "src/base/mem.h"

struct ent_dataset {
    ent_unit_image image;
    bool was_cached;
    char *note; /* NULL: none */
};

/* What decides the units beside the data file: read from the model's folder. */
typedef struct source {
    ent_chat chat;
    ent_row_reader reader;
    char *chat_message;
} source;

static void close_source(source *s)
{
    ent_chat_free(&s->chat);
    free(s->chat_message);
}

/* A chat template that can't be rendered is a fault only for data that is chats. */
static ent_status open_source(source *s, const ent_dataset_options *options)
{
    *s = (source){.reader = {.options = options, .eos = -1}};
    if (options->model_folder)
        ENT_TRY(ent_model_eos(&s->reader.eos, options->model_folder, options->tokenizer));
    s->reader.chat_status = ent_chat_load(&s->chat, options->model_folder, options->chat_template);
    if (s->reader.chat_status != ENT_OK)
        ENT_TRY(ent_strdup(&s->chat_message, ent_message()));
    s->reader.chat = &s->chat;
    s->reader.chat_message = s->chat_message;
    return ENT_OK;
}

/* *out = the cache file's path: its name is the digest of all that decides its contents. */
static ent_status cache_path(char **out, const source *s, const char *data_digest)
{
    const ent_dataset_options *o = s->reader.options;
    char tokenizer[ENT_SHA256_SIZE] = "", key[ENT_SHA256_SIZE];
    char *text;
    if (o->tokenizer && o->tokenizer_path)
        ENT_TRY(ent_sha256_file(tokenizer, o->tokenizer_path));
    ENT_TRY(ent_format(&text,
                       "units 2\ndata %s\ntokenizer %s\nseq_len %zu\nvocab_size %zu\nmask_prompt %d\npacking %d\n"
                       "eos %d\nchat %d %zu %s %zu %s %s\n",
                       data_digest, tokenizer, o->seq_len, o->vocab_size, o->mask_prompt, o->packing, s->reader.eos,
                       s->reader.chat_status, s->chat.bos ? strlen(s->chat.bos) : 0, s->chat.bos ? s->chat.bos : "",
                       s->chat.eos ? strlen(s->chat.eos) : 0, s->chat.eos ? s->chat.eos : "",
                       s->chat.template_text ? s->chat.template_text : ""));
    ent_sha256(key, text, strlen(text));
    free(text);
    return ent_format(out, "%s/units-%s.bin", o->cache_dir, key);
}

/* Makes the units from n bytes of JSONL. */
static ent_status build(ent_unit_image *out, const source *s, const char *text, size_t n, const char *path)
{
    ent_status st;
    const ent_dataset_options *o = s->reader.options;
    ent_corpus corpus = {0};
    ent_packing packing = {0};
    ENT_GO(ent_rows_read(&corpus, &s->reader, text, n, path));
    ENT_GO(ent_packing_plan(&packing, &corpus, o->seq_len, o->packing));
    if (packing.counts.targets == 0)
        ENT_GO(ent_fail(ENT_EFORMAT, "%s: no targets: nothing in it is to be learned within seq_len %zu", path,
                        o->seq_len));
    ENT_GO(ent_unit_image_make(out, &packing, &corpus));
done:
    ent_packing_free(&packing);
    ent_corpus_free(&corpus);
    return st;
}

/* Writes what was built, and maps it in its place. If the file can't be read back, the built units stay. */
static ent_status keep(ent_unit_image *image, const char *cache, const ent_dataset_options *o)
{
    ent_unit_image mapped;
    ENT_TRY(ent_make_dir(o->cache_dir));
    ENT_TRY(ent_unit_image_write(image, cache));
    if (ent_unit_image_map(&mapped, cache, o->seq_len, o->vocab_size)) {
        ent_unit_image_free(image);
        *image = mapped;
    }
    return ENT_OK;
}

static ent_status read_data(ent_dataset *dataset, const source *s, const char *path)
{
    ent_status st = ENT_OK;
    const ent_dataset_options *o = s->reader.options;
    char *text = NULL, *cache = NULL;
    size_t n;
    char digest[ENT_SHA256_SIZE];
    if (o->cache_dir) {
        ENT_GO(ent_sha256_file(digest, path));
        ENT_GO(cache_path(&cache, s, digest));
        dataset->was_cached = ent_unit_image_map(&dataset->image, cache, o->seq_len, o->vocab_size);
        if (dataset->was_cached)
            goto done;
        if (access(cache, F_OK) == 0)
            ENT_GO(ent_format(&dataset->note, "%s: damaged, made anew", cache));
        free(cache);
        cache = NULL;
    }
    ENT_GO(ent_text_read_file(&text, &n, path));
    ENT_GO(build(&dataset->image, s, text, n, path));
    if (o->cache_dir) { /* named after the bytes that were read: the file may have changed since */
        ent_sha256(digest, text, n);
        ENT_GO(cache_path(&cache, s, digest));
        ENT_GO(keep(&dataset->image, cache, o));
    }
done:
    free(text);
    free(cache);
    return st;
}

ent_status ent_dataset_open(ent_dataset **out, const char *path, const ent_dataset_options *options)
{
    ent_status st;
    source s = {0};
    ent_dataset *dataset = NULL;
    *out = NULL;
    if (options->seq_len < 2 || options->seq_len > INT32_MAX)
        return ent_fail(ENT_EINVAL, "seq_len: expected 2 to %d, found %zu", INT32_MAX, options->seq_len);
    if (options->cache_dir && options->tokenizer && !options->tokenizer_path)
        return ent_fail(ENT_EINVAL, "a dataset is kept in %s: expected tokenizer_path", options->cache_dir);
    ENT_GO(ent_calloc(&dataset, 1, sizeof *dataset, "a dataset"));
    ENT_GO(open_source(&s, options));
    ENT_GO(read_data(dataset, &s, path));
    *out = dataset;
    dataset = NULL;
done:
    ent_dataset_close(dataset);
    close_source(&s);
    return st;
}

ent_status ent_dataset_read(ent_corpus *out, const char *path, const ent_dataset_options *options)
{
    ent_status st;
    source s = {0};
    char *text = NULL;
    size_t n;
    ENT_GO(open_source(&s, options));
    ENT_GO(ent_text_read_file(&text, &n, path));
    ENT_GO(ent_rows_read(out, &s.reader, text, n, path));
done:
    free(text);
    close_source(&s);
    return st;
}

void ent_dataset_close(ent_dataset *dataset)
{
    if (dataset == NULL)
        return;
    ent_unit_image_free(&dataset->image);
    free(dataset->note);
    free(dataset);
}

size_t ent_dataset_units(const ent_dataset *dataset)
{
    return dataset->image.counts.units;
}

const ent_dataset_counts *ent_dataset_counts_of(const ent_dataset *dataset)
{
    return &dataset->image.counts;
}

const char *ent_dataset_digest(const ent_dataset *dataset)
{
    return dataset->image.digest;
}

bool ent_dataset_was_cached(const ent_dataset *dataset)
{
    return dataset->was_cached;
}

const char *ent_dataset_note(const ent_dataset *dataset)
{
    return dataset->note;
}

void ent_dataset_unit(ent_unit *out, const ent_dataset *dataset, size_t i)
{
    const ent_units *u = &dataset->image.units;
    const size_t begin = u->offsets[i];
    *out = (ent_unit){.n = u->offsets[i + 1] - begin,
                      .ids = u->ids + begin,
                      .targets = u->targets + begin,
                      .doc_start = u->doc_start + begin};
}
