/* Building the steps of normalizers, pre-tokenizers and decoders. */
#include <string.h>

#include "src/base/mem.h"
#include "src/text/parts.h"

static const char gpt2_pattern[] = "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+";

/* *out = a new step, valid until the next one. */
static ent_status add_step(ent_step **out, ent_steps *steps, ent_step_kind kind)
{
    if (steps->count == steps->capacity)
        ENT_TRY(ent_grow(&steps->steps, &steps->capacity, steps->count + 1, sizeof *steps->steps, "a tokenizer"));
    *out = &steps->steps[steps->count++];
    **out = (ent_step){.kind = kind};
    return ENT_OK;
}

static ent_status set(ent_bytes *bytes, const char *s)
{
    return ent_bytes_put(bytes, s, strlen(s));
}

ent_status ent_tokenizer_add_nfc(ent_tokenizer *t)
{
    ent_step *step;
    return add_step(&step, &t->normalizers, ENT_STEP_NFC);
}

ent_status ent_tokenizer_add_prepend(ent_tokenizer *t, const char *content)
{
    ent_step *step;
    ENT_TRY(add_step(&step, &t->normalizers, ENT_STEP_PREPEND));
    return set(&step->content, content);
}

static ent_status add_replace(ent_steps *steps, const char *pattern, const char *content)
{
    ent_step *step;
    ENT_TRY(add_step(&step, steps, ENT_STEP_REPLACE));
    ENT_TRY(set(&step->pattern, pattern));
    return set(&step->content, content);
}

ent_status ent_tokenizer_add_replace(ent_tokenizer *t, const char *pattern, const char *content)
{
    return add_replace(&t->normalizers, pattern, content);
}

ent_status ent_tokenizer_add_split(ent_tokenizer *t, const char *pattern, bool literal, ent_split_behavior behavior,
                                   bool invert, const char *place)
{
    ent_step *step;
    ENT_TRY(add_step(&step, &t->pre_tokenizers, ENT_STEP_SPLIT));
    step->behavior = behavior;
    step->invert = invert;
    return ent_regex_new(&step->regex, pattern, strlen(pattern), literal, place);
}

ent_status ent_tokenizer_add_byte_level(ent_tokenizer *t, bool add_prefix_space, bool use_regex)
{
    ent_step *step;
    ENT_TRY(add_step(&step, &t->pre_tokenizers, ENT_STEP_BYTE_LEVEL));
    step->add_prefix_space = add_prefix_space;
    return use_regex ? ent_regex_new(&step->regex, gpt2_pattern, sizeof gpt2_pattern - 1, false, "GPT-2's pattern")
                     : ENT_OK;
}

ent_status ent_tokenizer_add_metaspace(ent_tokenizer *t, const char *replacement, ent_prepend_scheme scheme, bool split)
{
    ent_step *step;
    ENT_TRY(add_step(&step, &t->pre_tokenizers, ENT_STEP_METASPACE));
    step->scheme = scheme;
    step->split = split;
    ENT_TRY(set(&step->content, replacement));
    return ent_regex_new(&step->regex, replacement, strlen(replacement), true, "metaspace");
}

ent_status ent_tokenizer_add_byte_level_decoder(ent_tokenizer *t)
{
    ent_step *step;
    return add_step(&step, &t->decoders, ENT_STEP_BYTE_LEVEL);
}

ent_status ent_tokenizer_add_byte_fallback_decoder(ent_tokenizer *t)
{
    ent_step *step;
    return add_step(&step, &t->decoders, ENT_STEP_BYTE_FALLBACK);
}

ent_status ent_tokenizer_add_fuse_decoder(ent_tokenizer *t)
{
    ent_step *step;
    return add_step(&step, &t->decoders, ENT_STEP_FUSE);
}

ent_status ent_tokenizer_add_replace_decoder(ent_tokenizer *t, const char *pattern, const char *content)
{
    return add_replace(&t->decoders, pattern, content);
}

ent_status ent_tokenizer_add_strip_decoder(ent_tokenizer *t, const char *content, size_t start, size_t stop)
{
    ent_step *step;
    ENT_TRY(add_step(&step, &t->decoders, ENT_STEP_STRIP));
    step->start = start;
    step->stop = stop;
    return set(&step->content, content);
}

ent_status ent_tokenizer_add_metaspace_decoder(ent_tokenizer *t, const char *replacement, bool drop_first)
{
    ENT_TRY(add_replace(&t->decoders, replacement, " "));
    t->decoders.steps[t->decoders.count - 1].drop_first = drop_first;
    return ENT_OK;
}
