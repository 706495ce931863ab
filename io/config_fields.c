/* The keys of a configuration: one row each. A new key is a row here and a member of ent_config. */
#include "io/config_fields.h"

#include <string.h>

#include "io/lora_modules.h"

/* The largest count: sums and products of two stay far from the end of 64 bits. */
#define MANY INT64_C(1000000000)

#define AT(member) .offset = offsetof(ent_config, member)
#define BIT(choice) (1u << (choice))
#define PATH(name, member) .path = name, .type = ENT_FIELD_PATH, AT(member)
#define CHOICE(name, member, names) .path = name, .type = ENT_FIELD_CHOICE, AT(member), .choices = names
#define BOOL(name, member) .path = name, .type = ENT_FIELD_BOOL, AT(member)
#define INT(name, member, least, most) .path = name, .type = ENT_FIELD_INT, AT(member), .min = least, .max = most
#define FLOAT(name, member) .path = name, .type = ENT_FIELD_FLOAT, AT(member)
#define ADAMS .needs = "optimizer.name", .needs_choices = BIT(ENT_NAME_ADAM) | BIT(ENT_NAME_ADAMW)
#define DECAYS .needs = "scheduler.name", .needs_choices = BIT(ENT_NAME_LINEAR) | BIT(ENT_NAME_COSINE)
#define STEPS .needs = "scheduler.name", .needs_choices = BIT(ENT_NAME_STEP)

const ent_config_field ent_config_fields[] = {
    {PATH("model.path", model.path), .required = true, .help = "model folder: config.json, weights, tokenizer"},
    {CHOICE("model.init", model.init, "pretrained random"), .otherwise = "pretrained",
     .help = "start from the folder's weights, or from random ones"},

    {PATH("data.train", data.train), .required = true, .help = "training data, JSONL"},
    {PATH("data.val", data.val), .help = "validation data, JSONL: evaluated before and after"},
    {PATH("data.chat_template", data.chat_template), .help = "Jinja file for {\"messages\"}; absent: the model's own"},
    {INT("data.seq_len", data.seq_len, 2, 1048576), .otherwise = "512", .help = "tokens of a row, the unit of work"},
    {BOOL("data.mask_prompt", data.mask_prompt), .otherwise = "true", .help = "learn only completions and answers"},
    {BOOL("data.packing", data.packing), .otherwise = "true", .help = "several documents in a row, kept apart"},
    {BOOL("data.shuffle", data.shuffle), .otherwise = "true", .help = "another order each epoch, set by the seed"},

    {PATH("lora.path", lora.path), .help = "go on from this PEFT adapter, which sets all but dropout and plus_ratio"},
    {INT("lora.rank", lora.rank, 1, 4096), .otherwise = "8", .help = "rank r of the adapter"},
    {FLOAT("lora.alpha", lora.alpha), .low_open = true, .otherwise = "16", .help = "scales it by alpha / rank"},
    {FLOAT("lora.dropout", lora.dropout), .high = 1, .high_open = true, .otherwise = "0",
     .help = "dropout of the adapter's input"},
    {FLOAT("lora.plus_ratio", lora.plus_ratio), .low_open = true, .high = 1e6, .otherwise = "1",
     .help = "LoRA+: the learning rate of B is this times optimizer.lr"},
    {.path = "lora.target_modules",
     .type = ENT_FIELD_TARGETS,
     AT(lora.targets),
     .otherwise = "[q_proj, v_proj]",
     .help = "the projections it adapts"},
    {BOOL("lora.use_rslora", lora.use_rslora), .otherwise = "false", .help = "scale by alpha / sqrt(rank)"},
    {BOOL("lora.use_dora", lora.use_dora), .otherwise = "false",
     .help = "DoRA: the length of each row of W + BA is trained"},
    {CHOICE("lora.init", lora.init, "default pissa"), .otherwise = "default",
     .help = "how it begins; pissa: with the largest singular values of the weights"},
    {.path = "lora.layers", .type = ENT_FIELD_LAYERS, AT(lora.layers), .help = "the layers it adapts; absent: all"},
    {.path = "lora.rank_pattern",
     .type = ENT_FIELD_RANKS,
     AT(lora.ranks),
     .min = 1,
     .max = 4096,
     .help = "ranks of single modules, as PEFT matches them"},
    {.path = "lora.alpha_pattern",
     .type = ENT_FIELD_ALPHAS,
     AT(lora.alphas),
     .low_open = true,
     .high = ENT_LORA_MOST_ALPHA,
     .help = "alphas of single modules, as PEFT matches them"},
    {.path = "lora.modules_to_save",
     .type = ENT_FIELD_SAVED,
     AT(lora.saved),
     .help = "norms, lm_head, embed_tokens that train whole; as in PEFT, norm takes all whose names end so"},

    {PATH("distill.teacher", distill.teacher),
     .help = "learn from this model folder: frozen, fp32, the same vocabulary"},
    {.path = "distill.teachers", .type = ENT_FIELD_TEACHERS, AT(distill.teachers), .help = "or from several"},
    {.path = "distill.weights",
     .type = ENT_FIELD_WEIGHTS,
     AT(distill.weights),
     .help = "of the teachers, divided by their sum; absent: equal"},
    {FLOAT("distill.temperature", distill.temperature), .low_open = true, .high = 1000, .otherwise = "2",
     .help = "T: logits of student and teacher are divided by it"},
    {FLOAT("distill.alpha", distill.alpha), .low_open = true, .high = 1, .otherwise = "0.5",
     .help = "loss = alpha T^2 KL(teacher || student) + (1 - alpha) cross-entropy"},
    {FLOAT("distill.hidden", distill.hidden), .high = 1e6, .otherwise = "0",
     .help = "beta: loss += beta times the mean square of the hidden states' difference; 0: off"},
    {.path = "distill.hidden_layers",
     .type = ENT_FIELD_PAIRS,
     AT(distill.hidden_layers),
     .max = ENT_MAX_LAYERS - 1,
     .help = "which layers, student's: teacher's, counted from 0; absent: all, spread evenly"},

    {CHOICE("quantize.base", quantize.base, "none int8 nf4"), .otherwise = "none",
     .help = "storage of frozen matrices; none: as the model's files or the precision have them"},
    {CHOICE("quantize.qat", quantize.qat, "none int8"), .otherwise = "none",
     .help = "int8: train all weights with the projections' rounded to 8 bits in forward"},

    {CHOICE("compute.precision", compute.precision, "fp32 bf16 int8"), .otherwise = "fp32",
     .help = "arithmetic of products with frozen weights"},
    {INT("compute.threads", compute.threads, 1, 1024), .word = "auto", .otherwise = "auto",
     .help = "threads of a rank; auto: the cores it may use"},
    {CHOICE("compute.recompute", compute.recompute, "none layer"), .otherwise = "none",
     .help = "layer: keep only each layer's input, compute the rest again in backward; same bits"},

    {CHOICE("optimizer.name", optimizer.name, "sgd adam adamw"), .otherwise = "adamw", .help = "the optimizer"},
    {FLOAT("optimizer.lr", optimizer.lr), .low_open = true, .otherwise = "1.0e-4", .help = "learning rate"},
    {FLOAT("optimizer.beta1", optimizer.beta1), .high = 1, .high_open = true, .otherwise = "0.9", ADAMS,
     .help = "decay of the first moment"},
    {FLOAT("optimizer.beta2", optimizer.beta2), .high = 1, .high_open = true, .otherwise = "0.999", ADAMS,
     .help = "decay of the second moment"},
    {FLOAT("optimizer.eps", optimizer.eps), .low_open = true, .otherwise = "1.0e-8", ADAMS,
     .help = "added to the root of the second moment"},
    {FLOAT("optimizer.weight_decay", optimizer.weight_decay), .otherwise = "0.01", .help = "weight decay"},
    {FLOAT("optimizer.momentum", optimizer.momentum), .high = 1, .high_open = true, .otherwise = "0",
     .needs = "optimizer.name", .needs_choices = BIT(ENT_NAME_SGD), .help = "momentum"},

    {CHOICE("scheduler.name", scheduler.name, "constant linear cosine step"), .otherwise = "cosine",
     .help = "course of the learning rate after the warm-up"},
    {INT("scheduler.warmup_steps", scheduler.warmup_steps, 0, MANY), .otherwise = "0",
     .help = "steps of linear rise to lr"},
    {FLOAT("scheduler.min_lr", scheduler.min_lr), .otherwise = "0", DECAYS, .help = "where it ends; at most lr"},
    {INT("scheduler.step_size", scheduler.step_size, 1, MANY), STEPS, .help = "steps from one drop to the next"},
    {FLOAT("scheduler.gamma", scheduler.gamma), .low_open = true, .high = 1, .otherwise = "0.1", STEPS,
     .help = "factor of a drop"},

    {INT("training.epochs", training.epochs, 1, MANY), .otherwise = "1", .help = "passes over the data"},
    {INT("training.max_steps", training.max_steps, 0, MANY), .otherwise = "0",
     .help = "steps of the run, whatever epochs says; 0: from epochs"},
    {INT("training.batch_size", training.batch_size, 1, 65536), .otherwise = "8",
     .help = "rows of a step, over all ranks"},
    {FLOAT("training.grad_clip", training.grad_clip), .otherwise = "1", .help = "largest gradient norm; 0: off"},
    {INT("training.seed", training.seed, 0, INT64_MAX), .otherwise = "42", .help = "of all random numbers"},
    {PATH("training.output_dir", training.output_dir), .otherwise = "./out", .help = "the run's folder"},
    {INT("training.log_every", training.log_every, 1, MANY), .otherwise = "1", .help = "steps from line to line"},

    {INT("eval.every", eval.every, 0, MANY), .otherwise = "0", .help = "steps between evaluations on data.val; 0: off"},
    {INT("eval.patience", eval.patience, 0, MANY), .otherwise = "0",
     .help = "stop after so many evaluations without gain; 0: off"},

    {INT("checkpoint.every", checkpoint.every, 0, MANY), .otherwise = "0",
     .help = "steps between checkpoints; 0: only at the end"},
    {INT("checkpoint.keep", checkpoint.keep, 1, MANY), .otherwise = "3", .help = "how many are kept"},
    {CHOICE("checkpoint.metadata", checkpoint.metadata, "json yaml"), .otherwise = "json",
     .help = "notation of the file beside each"},

    {CHOICE("distributed.comm", distributed.comm, "auto self mpi"), .otherwise = "auto",
     .help = "how ranks talk; auto: MPI under a launcher"},
    {INT("distributed.timeout", distributed.timeout, 1, 31536000), .otherwise = "600",
     .help = "seconds a rank waits for the others before it says so and ends the job"},
    {INT("distributed.check_every", distributed.check_every, 0, MANY), .otherwise = "100",
     .help = "steps from one comparison of all ranks' parameters to the next, and before saving; 0: off"},
    {BOOL("distributed.allow_mixed_cpus", distributed.allow_mixed_cpus), .otherwise = "false",
     .help = "let ranks run on different kinds of CPU"},
};

const size_t ent_config_n_fields = sizeof ent_config_fields / sizeof *ent_config_fields;

const ent_config_field *ent_config_field_find(const char *path)
{
    for (size_t i = 0; i < ent_config_n_fields; i++)
        if (strcmp(ent_config_fields[i].path, path) == 0)
            return &ent_config_fields[i];
    return NULL;
}

bool ent_config_field_absent(const ent_config *config, const ent_config_field *field)
{
    return (strncmp(field->path, "lora.", 5) == 0 && !config->has_lora) ||
           (strncmp(field->path, "distill.", 8) == 0 && !config->has_distill);
}

bool ent_config_field_acts(const ent_config *config, const ent_config_field *field)
{
    unsigned choice;
    if (ent_config_field_absent(config, field))
        return false;
    if (strncmp(field->path, "lora.", 5) == 0) /* an adapter that is read sets all but what is only of training */
        return config->lora.path == NULL || field->type == ENT_FIELD_PATH || strcmp(field->path, "lora.dropout") == 0 ||
               strcmp(field->path, "lora.plus_ratio") == 0;
    if (field->needs == NULL)
        return true;
    memcpy(&choice, (const char *)config + ent_config_field_find(field->needs)->offset, sizeof choice);
    return field->needs_choices >> choice & 1;
}
