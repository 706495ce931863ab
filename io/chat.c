#include "io/chat.h"

#include <stdlib.h>
#include <unistd.h>

#include "io/text.h"
#include "io/tokenizer_config.h"
#include "src/base/mem.h"

ent_status ent_chat_load(ent_chat *out, const char *folder)
{
    ent_status st;
    ent_tokenizer_config config = {0};
    char *path = NULL, *text = NULL;
    size_t n;
    *out = (ent_chat){0};
    if (folder == NULL)
        return ent_chat_recognise(out, NULL, NULL, NULL, "");
    ENT_GO(ent_tokenizer_config_read(&config, folder));
    ENT_GO(ent_format(&path, "%s/chat_template.jinja", folder));
    if (access(path, F_OK) == 0) {
        ENT_GO(ent_text_read_file(&text, &n, path));
    } else {
        free(path);
        path = NULL;
        ENT_GO(ent_format(&path, "%s/tokenizer_config.json", folder));
    }
    ENT_GO(ent_chat_recognise(out, text ? text : config.chat_template, config.bos_token, config.eos_token, path));
done:
    ent_tokenizer_config_free(&config);
    free(path);
    free(text);
    return st;
}
