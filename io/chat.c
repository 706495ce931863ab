#include "io/chat.h"

#include <stdlib.h>
#include <unistd.h>

#include "io/text.h"
#include "io/tokenizer_config.h"
#include "src/base/mem.h"

/* A template that can't be rendered need not be the end. */
static ent_status name_way_out(ent_status st)
{
    char *message;
    if (st != ENT_EUNSUPPORTED)
        return st;
    ENT_TRY(ent_strdup(&message, ent_message()));
    ent_fail(st,
             "%s; data.chat_template takes a file with another, such as {%% for m in messages %%}{{ '<|' + m.role + "
             "'|>' + m.content + '<|end|>' }}{%% endfor %%}",
             message);
    free(message);
    return st;
}

ent_status ent_chat_load(ent_chat *out, const char *folder, const char *other)
{
    ent_status st;
    ent_tokenizer_config config = {0};
    char *path = NULL, *text = NULL;
    size_t n;
    *out = (ent_chat){0};
    if (folder == NULL && other == NULL)
        return ent_chat_init(out, NULL, NULL, NULL, "");
    if (folder)
        ENT_GO(ent_tokenizer_config_read(&config, folder));
    ENT_GO(other ? ent_strdup(&path, other) : ent_format(&path, "%s/chat_template.jinja", folder));
    if (other || access(path, F_OK) == 0) {
        ENT_GO(ent_text_read_file(&text, &n, path));
    } else {
        free(path);
        path = NULL;
        ENT_GO(ent_format(&path, "%s/tokenizer_config.json", folder));
    }
    ENT_GO(
        name_way_out(ent_chat_init(out, text ? text : config.chat_template, config.bos_token, config.eos_token, path)));
done:
    ent_tokenizer_config_free(&config);
    free(path);
    free(text);
    return st;
}
