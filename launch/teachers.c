#include "launch/teachers.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "launch/report.h"

void ent_teachers_close(ent_teachers *t)
{
    for (size_t i = 0; i < ENT_MAX_TEACHERS; i++)
        ent_model_close(&t->models[i]);
    *t = (ent_teachers){0};
}

/* Equal ids mean equal tokens, as far as the folders say what they mean. */
static ent_status same_tokens(const char *path, const ent_model *teacher, const ent_model *student)
{
    const ent_tokenizer *a = student->tokenizer, *b = teacher->tokenizer;
    if (teacher->config.vocab_size != student->config.vocab_size)
        return ent_fail(ENT_ECONFIG, "%s: a teacher must have the vocabulary of the model: expected %zu ids, found %zu",
                        path, student->config.vocab_size, teacher->config.vocab_size);
    if (a == NULL || b == NULL) /* data of ids alone */
        return ENT_OK;
    if (ent_tokenizer_vocab_size(a) != ent_tokenizer_vocab_size(b))
        return ent_fail(ENT_ECONFIG,
                        "%s: a teacher must have the vocabulary of the model: expected %zu tokens, found %zu",
                        teacher->tokenizer_path, ent_tokenizer_vocab_size(a), ent_tokenizer_vocab_size(b));
    for (int32_t id = 0; (size_t)id < ent_tokenizer_vocab_size(a); id++) {
        size_t n = 0, m = 0;
        const char *mine = ent_tokenizer_text(&n, a, id), *theirs = ent_tokenizer_text(&m, b, id);
        if ((mine == NULL) != (theirs == NULL) || n != m || (mine && memcmp(mine, theirs, n) != 0))
            return ent_fail(
                ENT_ECONFIG,
                "%s: a teacher must have the vocabulary of the model: expected token %d to be \"%.*s\", found "
                "\"%.*s\"",
                teacher->tokenizer_path, (int)id, (int)(n < 80 ? n : 80), mine ? mine : "", (int)(m < 80 ? m : 80),
                theirs ? theirs : "");
    }
    return ENT_OK;
}

static ent_status open_one(ent_teachers *t, size_t i, const char *path, const ent_config *config,
                           const ent_model *student)
{
    const ent_model_options options = {
        .path = path, .compute = ENT_COMPUTE_FP32, .max_positions = (size_t)config->data.seq_len};
    ent_model *m = &t->models[i];
    t->paths[i] = path;
    ENT_TRY(ent_model_open(m, &options));
    t->teaching.teachers[i] = m->decoder;
    ENT_TRY(same_tokens(path, m, student));
    const size_t positions = ent_model_positions(&m->config);
    if (positions && (size_t)config->data.seq_len > positions)
        return ent_fail(ENT_ECONFIG, "data.seq_len: %lld is more than the %zu positions of %s",
                        (long long)config->data.seq_len, positions, path);
    return ENT_OK;
}

/* The pairs of layers of the config, or all of the student's, each as far up as the teacher's that it is matched with.
 */
static ent_status match_layers(ent_teachers *t, size_t k, const ent_config *config, const ent_model_config *student)
{
    const ent_lora_patterns *pairs = &config->distill.hidden_layers;
    const ent_model_config *teacher = &t->models[k].config;
    const size_t n = student->n_layers, m = teacher->n_layers;
    ent_teaching *to = &t->teaching;
    if (teacher->hidden_size != student->hidden_size)
        return ent_fail(ENT_ECONFIG,
                        "distill.hidden: %s: expected hidden states of %zu numbers, as the model's, found %zu: a "
                        "projection between sizes is not supported",
                        t->paths[k], student->hidden_size, teacher->hidden_size);
    if (pairs->count == 0 && (m % n != 0 || n > ENT_MAX_MATCHES))
        return ent_fail(ENT_ECONFIG,
                        "distill.hidden: %s: its %zu layers can't be spread evenly over the model's %zu: expected "
                        "distill.hidden_layers, pairs such as {0: 1, 1: 3}",
                        t->paths[k], m, n);
    to->matches = pairs->count ? pairs->count : n;
    if (to->matches > ENT_MAX_MATCHES)
        return ent_fail(ENT_ECONFIG, "distill.hidden_layers: expected at most %d pairs, found %zu", ENT_MAX_MATCHES,
                        to->matches);
    for (size_t i = 0; i < to->matches; i++) {
        const size_t from = pairs->count ? (size_t)strtoul(pairs->items[i].key, NULL, 10) : i;
        const size_t at = pairs->count ? (size_t)pairs->items[i].value : (i + 1) * (m / n) - 1;
        if (from >= n || at >= m)
            return ent_fail(ENT_ECONFIG,
                            "distill.hidden_layers: %zu: %zu: the model has layers 0 to %zu, %s has 0 to %zu", from, at,
                            n - 1, t->paths[k], m - 1);
        to->student[i] = (uint16_t)from;
        to->teacher[k][i] = (uint16_t)at;
    }
    return ENT_OK;
}

ent_status ent_teachers_open(ent_teachers *t, const ent_config *config, const ent_model *student)
{
    *t = (ent_teachers){0};
    if (!config->has_distill)
        return ENT_OK;
    char *const *paths = config->distill.teacher ? &config->distill.teacher : config->distill.teachers;
    const size_t n = config->distill.teacher ? 1 : config->distill.n_teachers;
    const double *weights = config->distill.weights;
    double sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += weights ? weights[i] : 1;
    for (size_t i = 0; i < n; i++) {
        t->teaching.weights[i] = (weights ? weights[i] : 1) / sum;
        ENT_TRY(open_one(t, i, paths[i], config, student));
        if (config->distill.hidden > 0)
            ENT_TRY(match_layers(t, i, config, &student->config));
    }
    t->teaching.hidden = config->distill.hidden;
    t->teaching.temperature = config->distill.temperature;
    t->teaching.alpha = config->distill.alpha;
    t->teaching.count = n;
    return ENT_OK;
}

const ent_teaching *ent_teachers_teaching(const ent_teachers *t)
{
    return t->teaching.count ? &t->teaching : NULL;
}

double ent_teachers_mapped(const ent_teachers *t)
{
    double bytes = 0;
    for (size_t i = 0; i < t->teaching.count; i++) {
        const ent_params *p = ent_decoder_params(t->models[i].decoder);
        for (size_t j = 0; j < p->count; j++)
            bytes += (double)ent_tensor_bytes(&p->items[j]->tensor);
    }
    return bytes;
}

double ent_teachers_tables(const ent_teachers *t, size_t seq_len)
{
    double bytes = 0;
    for (size_t i = 0; i < t->teaching.count; i++)
        bytes += (double)(seq_len * t->models[i].config.head_dim * sizeof(float));
    return bytes;
}

void ent_teachers_say(const ent_teachers *t)
{
    for (size_t i = 0; i < t->teaching.count; i++) {
        const ent_params *p = ent_decoder_params(t->models[i].decoder);
        double all = 0;
        ent_time_text text;
        for (size_t j = 0; j < p->count; j++)
            all += (double)ent_tensor_count(&p->items[j]->tensor);
        printf("teacher %s: %s, %s parameters, fp32; weight %.3g, temperature %g, alpha %g\n", t->paths[i],
               t->models[i].config.model_type, ent_count_format(&text, all), t->teaching.weights[i],
               t->teaching.temperature, t->teaching.alpha);
        if (t->teaching.matches)
            printf("        hidden states, beta %g: behind layer", t->teaching.hidden);
        for (size_t m = 0; m < t->teaching.matches; m++)
            printf("%s %d as its %d", m ? "," : "", t->teaching.student[m], t->teaching.teacher[i][m]);
        if (t->teaching.matches)
            printf("\n");
    }
}
