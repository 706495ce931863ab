/* Which kind of thing stands at a path: see launch/contents.h. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io/path.h"
#include "io/text.h"
#include "launch/contents.h"
#include "src/base/mem.h"

const char *ent_kind_name(ent_kind kind)
{
    static const char *const names[ENT_KINDS] = {"checkpoint", "adapter", "model", "safetensors", "gguf"};
    return names[kind];
}

/* *found = whether FOLDER/NAME is a file. */
static ent_status holds(bool *found, const char *folder, const char *name)
{
    char *path;
    ENT_TRY(ent_format(&path, "%s/%s", folder, name));
    *found = ent_path_is_file(path);
    free(path);
    return ENT_OK;
}

/* By its first bytes, or else its ending. */
static ent_kind kind_of_file(const char *path)
{
    char start[4] = {0};
    FILE *file = fopen(path, "rb");
    const size_t n = file ? fread(start, 1, sizeof start, file) : 0;
    if (file)
        fclose(file);
    if (ent_path_ends_with(path, ".gguf") || (n == sizeof start && memcmp(start, "GGUF", sizeof start) == 0))
        return ENT_KIND_GGUF;
    return ent_path_ends_with(path, ".safetensors") ? ENT_KIND_SAFETENSORS : ENT_KIND_CHECKPOINT;
}

/* *out = the checkpoint that FOLDER/latest names (caller frees). */
static ent_status newest_of(char **out, const char *folder)
{
    char *path = NULL, *text = NULL;
    size_t n;
    ent_status st;
    ENT_GO(ent_format(&path, "%s/latest", folder));
    ENT_GO(ent_text_read_file(&text, &n, path));
    text[strcspn(text, "\r\n")] = '\0';
    if (strncmp(text, "step-", 5) != 0 || strchr(text, '/'))
        ENT_GO(ent_fail(ENT_EFORMAT, "%s: expected the name of a checkpoint, found \"%.60s\"", path, text));
    ENT_GO(ent_format(out, "%s/%s%s", folder, text, ent_path_ends_with(text, ".h5") ? "" : ".h5"));
done:
    free(text);
    free(path);
    return st;
}

static ent_status newest_of_run(char **out, char **run, const char *path)
{
    char *folder;
    ENT_TRY(ent_format(&folder, "%s/checkpoints", path));
    const ent_status st = newest_of(out, folder);
    free(folder);
    return st == ENT_OK ? ent_strdup(run, path) : st;
}

ent_status ent_kind_find(ent_kind *kind, char **out, char **run, const char *path)
{
    bool adapter, model, checkpoints, is_run;
    *out = *run = NULL;
    if (!ent_path_is_folder(path)) {
        *kind = kind_of_file(path);
        return ent_strdup(out, path);
    }
    ENT_TRY(holds(&adapter, path, "adapter_config.json"));
    ENT_TRY(holds(&model, path, "config.json"));
    ENT_TRY(holds(&checkpoints, path, "latest"));
    ENT_TRY(holds(&is_run, path, "checkpoints/latest"));
    *kind = adapter ? ENT_KIND_ADAPTER : (model ? ENT_KIND_MODEL : ENT_KIND_CHECKPOINT);
    if (adapter || model)
        return ent_strdup(out, path);
    if (!checkpoints && !is_run)
        return ent_fail(ENT_EFORMAT, "%s: expected the folder of an adapter, a model or a run, found none of them",
                        path);
    return checkpoints ? newest_of(out, path) : newest_of_run(out, run, path);
}
