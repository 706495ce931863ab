/* What the writer of an unknown key may have meant. */
#include <string.h>
#include <strings.h>

#include "io/config_fields.h"

enum { MAX_WORD = 40 };

/* Names that other programs use. */
static const struct {
    const char *theirs, *ours;
} synonyms[] = {
    {"learning_rate", "optimizer.lr"},
    {"optim", "optimizer.name"},
    {"optimizer_type", "optimizer.name"},
    {"adam_beta1", "optimizer.beta1"},
    {"adam_beta2", "optimizer.beta2"},
    {"adam_epsilon", "optimizer.eps"},
    {"epsilon", "optimizer.eps"},
    {"wd", "optimizer.weight_decay"},
    {"lr_scheduler", "scheduler.name"},
    {"lr_scheduler_type", "scheduler.name"},
    {"schedule", "scheduler.name"},
    {"warmup", "scheduler.warmup_steps"},
    {"warmup_ratio", "scheduler.warmup_steps"},
    {"eta_min", "scheduler.min_lr"},
    {"num_train_epochs", "training.epochs"},
    {"num_epochs", "training.epochs"},
    {"steps", "training.max_steps"},
    {"batch", "training.batch_size"},
    {"per_device_train_batch_size", "training.batch_size"},
    {"micro_batch_size", "training.batch_size"},
    {"gradient_accumulation_steps", "training.batch_size"},
    {"max_grad_norm", "training.grad_clip"},
    {"clip", "training.grad_clip"},
    {"logging_steps", "training.log_every"},
    {"out", "training.output_dir"},
    {"max_seq_length", "data.seq_len"},
    {"max_length", "data.seq_len"},
    {"sequence_length", "data.seq_len"},
    {"train_file", "data.train"},
    {"validation", "data.val"},
    {"valid", "data.val"},
    {"validation_file", "data.val"},
    {"train_on_inputs", "data.mask_prompt"},
    {"sample_packing", "data.packing"},
    {"r", "lora.rank"},
    {"lora_r", "lora.rank"},
    {"lora_alpha", "lora.alpha"},
    {"lora_dropout", "lora.dropout"},
    {"targets", "lora.target_modules"},
    {"layers_to_transform", "lora.layers"},
    {"rslora", "lora.use_rslora"},
    {"dora", "lora.use_dora"},
    {"init_lora_weights", "lora.init"},
    {"saved_modules", "lora.modules_to_save"},
    {"eval_steps", "eval.every"},
    {"early_stopping_patience", "eval.patience"},
    {"save_steps", "checkpoint.every"},
    {"save_total_limit", "checkpoint.keep"},
    {"dtype", "compute.precision"},
    {"gradient_checkpointing", "compute.recompute"},
    {"num_threads", "compute.threads"},
    {"base_model", "model.path"},
    {"model_name_or_path", "model.path"},
};

/* Levenshtein's distance between a and the first m bytes of b. */
static size_t distance(const char *a, const char *b, size_t m)
{
    size_t row[MAX_WORD + 1];
    const size_t n = strlen(a);
    if (n > MAX_WORD || m > MAX_WORD)
        return MAX_WORD;
    for (size_t j = 0; j <= m; j++)
        row[j] = j;
    for (size_t i = 1; i <= n; i++) {
        size_t corner = row[0];
        row[0] = i;
        for (size_t j = 1; j <= m; j++) {
            size_t best = corner + (a[i - 1] != b[j - 1]);
            best = row[j] + 1 < best ? row[j] + 1 : best;
            best = row[j - 1] + 1 < best ? row[j - 1] + 1 : best;
            corner = row[j];
            row[j] = best;
        }
    }
    return row[m];
}

static const char *key_of(const char *path)
{
    const char *dot = strchr(path, '.');
    return dot ? dot + 1 : path;
}

static bool same_section(const char *a, const char *b)
{
    const size_t n = strcspn(a, ".");
    return n == strcspn(b, ".") && memcmp(a, b, n) == 0;
}

/* The row whose path is nearest, or NULL. A key that is right in another section costs little. */
static const char *nearest(const char *path)
{
    const char *best = NULL;
    size_t least = MAX_WORD;
    for (size_t i = 0; i < sizeof synonyms / sizeof *synonyms; i++)
        if (strcasecmp(key_of(path), synonyms[i].theirs) == 0)
            return synonyms[i].ours;
    for (size_t i = 0; i < ent_config_n_fields; i++) {
        const char *ours = ent_config_fields[i].path, *key = key_of(ours);
        const bool here = same_section(path, ours);
        size_t d = distance(key_of(path), key, strlen(key));
        if (d > 1 + strlen(key) / 4 || d >= strlen(key))
            continue;
        d = 4 * d + (here ? 0 : distance(ours, path, strcspn(path, ".")) > 2 ? 3 : 1);
        if (d < least) {
            least = d;
            best = ours;
        }
    }
    return best;
}

void ent_config_suggest(ent_text *to, const char *path)
{
    const char *meant = nearest(path), *previous = "";
    const bool is_section = strchr(path, '.') == NULL;
    size_t known = 0;
    for (size_t i = 0; i < ent_config_n_fields; i++) {
        const char *ours = ent_config_fields[i].path;
        known += same_section(path, ours);
        if (is_section && distance(path, ours, strcspn(ours, ".")) <= 2) {
            ent_text_printf(to, "; did you mean %.*s?", (int)strcspn(ours, "."), ours);
            return;
        }
    }
    if (meant) {
        ent_text_printf(to, "; did you mean %s?", meant);
        return;
    }
    ent_text_put(to, known ? "; there are" : "; the sections are");
    for (size_t i = 0, n = 0; i < ent_config_n_fields; i++) {
        const char *ours = ent_config_fields[i].path;
        if (known && same_section(path, ours))
            ent_text_printf(to, "%s %s", n++ ? "," : "", key_of(ours));
        else if (!known && !same_section(ours, previous))
            ent_text_printf(to, "%s %.*s", n++ ? "," : "", (int)strcspn(ours, "."), ours);
        previous = ours;
    }
}
