#include "launch/generate_prompt.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "io/chat.h"
#include "io/json.h"
#include "io/text.h"
#include "io/tokenizer_config.h"
#include "src/base/mem.h"

void ent_prompt_free(ent_prompt *prompt)
{
    free(prompt->text);
    ent_ids_free(&prompt->ids);
    ent_ids_free(&prompt->ends);
    *prompt = (ent_prompt){0};
}

/* All of standard input but a last newline. */
static ent_status read_input(char **out, size_t *n)
{
    ent_text all = {0};
    char piece[65536];
    size_t got;
    while ((got = fread(piece, 1, sizeof piece, stdin)) > 0)
        ent_text_put_n(&all, piece, got);
    if (ferror(stdin)) {
        free(all.data);
        return ent_fail(ENT_EIO, "standard input: %s", strerror(errno));
    }
    if (all.n && all.data[all.n - 1] == '\n')
        all.n--;
    *n = all.n;
    return ent_text_finish(out, &all);
}

static ent_status render(ent_prompt *out, const ent_chat *chat, const ent_chat_message *messages, size_t count,
                         const char *where)
{
    ENT_TRY(ent_chat_prompt(&out->text, &out->n, chat, messages, count, where));
    out->drop_space = out->n && out->text[out->n - 1] != '\n';
    return ENT_OK;
}

static ent_status render_file(ent_prompt *out, const ent_chat *chat, const char *path)
{
    ent_status st;
    ent_json *json;
    ent_chat_message *messages = NULL;
    size_t n = 0;
    ENT_TRY(ent_json_read_file(&json, path));
    const ent_json *list = ent_json_is_array(json) ? json : ent_json_member(json, "messages");
    if (!ent_json_is_array(list) || ent_json_count(list) == 0)
        ENT_GO(ent_fail(ENT_EFORMAT, "%s: expected a list of messages, or an object with one", path));
    ENT_GO(ent_calloc(&messages, ent_json_count(list), sizeof *messages, "messages"));
    for (const ent_json *item = ent_json_first(list); item; item = ent_json_next(item), n++) {
        char where[512];
        snprintf(where, sizeof where, "%s: messages[%zu]", path, n);
        ENT_GO(ent_json_get_string(&messages[n].role, item, "role", where));
        ENT_GO(ent_json_get_string(&messages[n].content, item, "content", where));
    }
    ENT_GO(render(out, chat, messages, n, path));
done:
    free(messages);
    ent_json_free(json);
    return st;
}

static ent_status put_end(ent_ids *ends, int32_t id)
{
    for (size_t i = 0; i < ends->count; i++)
        if (ends->ids[i] == id)
            return ENT_OK;
    return id < 0 ? ENT_OK : ent_ids_push(ends, id);
}

/* eos_token_id of generation_config.json, one or a list: what transformers ends at. */
static ent_status put_generation_ends(ent_ids *ends, const char *folder)
{
    ent_status st = ENT_OK;
    ent_json *json = NULL;
    char *path;
    ENT_TRY(ent_format(&path, "%s/generation_config.json", folder));
    if (access(path, F_OK) != 0)
        goto done;
    ENT_GO(ent_json_read_file(&json, path));
    const ent_json *given = ent_json_member(json, "eos_token_id");
    for (const ent_json *id = ent_json_is_array(given) ? ent_json_first(given) : given; id && !ent_json_is_null(id);
         id = ent_json_is_array(given) ? ent_json_next(id) : NULL) {
        const double value = ent_json_number(id);
        if (!(value >= 0 && value <= INT32_MAX && value == (double)(int32_t)value))
            ENT_GO(ent_fail(ENT_EFORMAT, "%s: eos_token_id: expected a token id or a list of them", path));
        ENT_GO(put_end(ends, (int32_t)value));
    }
done:
    ent_json_free(json);
    free(path);
    return st;
}

static ent_status find_ends(ent_prompt *out, const ent_prompt_source *source, const ent_model *model,
                            const ent_chat *chat, const char *folder)
{
    int32_t eos;
    ENT_TRY(ent_model_eos(&eos, folder, model->tokenizer));
    ENT_TRY(put_end(&out->ends, eos));
    ENT_TRY(put_generation_ends(&out->ends, folder));
    for (size_t i = 0; i < source->n_stops; i++)
        ENT_TRY(put_end(&out->ends, ent_tokenizer_id(model->tokenizer, source->stops[i])));
    if (chat) {
        char *mark;
        ENT_TRY(ent_chat_turn_end(&mark, chat, folder));
        const ent_status st = put_end(&out->ends, ent_tokenizer_id(model->tokenizer, mark));
        free(mark);
        ENT_TRY(st);
    }
    return ENT_OK;
}

static ent_status read_text(ent_prompt *out, const ent_prompt_source *source)
{
    if (source->text == NULL)
        return read_input(&out->text, &out->n);
    out->n = strlen(source->text);
    return ent_strdup(&out->text, source->text);
}

/* The user's message takes the place of itself in the template. */
static ent_status put_in_template(ent_prompt *out, const ent_chat *chat)
{
    char *message = out->text;
    const ent_chat_message user = {"user", message};
    out->text = NULL;
    ent_status st = ENT_OK;
    if (memchr(message, '\0', out->n))
        st = ent_fail(ENT_EINVAL, "the prompt: a message of a chat can't hold a zero byte");
    if (st == ENT_OK)
        st = render(out, chat, &user, 1, "the prompt");
    free(message);
    return st;
}

ent_status ent_prompt_read(ent_prompt *out, const ent_prompt_source *source, const ent_model *model, const char *folder)
{
    ent_status st;
    ent_chat chat = {0};
    const bool chats = source->chat || source->messages;
    if (chats)
        ENT_GO(ent_chat_load(&chat, folder, NULL));
    if (source->messages)
        ENT_GO(render_file(out, &chat, source->messages));
    else
        ENT_GO(read_text(out, source));
    if (chats && source->messages == NULL)
        ENT_GO(put_in_template(out, &chat));
    ENT_GO(
        ent_tokenizer_encode(&out->ids, model->tokenizer, out->text, out->n, !chats || ent_chat_wants_special(&chat)));
    if (out->ids.count == 0)
        ENT_GO(ent_fail(ENT_EINVAL, "the prompt: expected a text, found an empty one"));
    ENT_GO(find_ends(out, source, model, chats ? &chat : NULL, folder));
done:
    ent_chat_free(&chat);
    return st;
}
