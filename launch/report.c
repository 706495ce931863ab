#include "launch/report.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

double ent_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

const char *ent_time_format(ent_time_text *buffer, double seconds)
{
    const long s = seconds > 0 ? (long)(seconds + 0.5) : 0;
    if (s >= 3600)
        snprintf(buffer->text, sizeof buffer->text, "%ld:%02ld:%02ld", s / 3600, s / 60 % 60, s % 60);
    else
        snprintf(buffer->text, sizeof buffer->text, "%ld:%02ld", s / 60, s % 60);
    return buffer->text;
}

static const char *scaled(ent_time_text *buffer, double x, const char *unit)
{
    static const char *const prefixes[] = {"", "k", "M", "G", "T"};
    int i = 0;
    for (; x >= 1000 && i < 4; i++)
        x /= 1000;
    const bool bare = *prefixes[i] == '\0' && *unit == '\0';
    snprintf(buffer->text, sizeof buffer->text, i ? "%.1f%s%s%s" : "%.0f%s%s%s", x, bare ? "" : " ", prefixes[i], unit);
    return buffer->text;
}

const char *ent_bytes_format(ent_time_text *buffer, double bytes)
{
    return scaled(buffer, bytes, "B");
}

const char *ent_count_format(ent_time_text *buffer, double count)
{
    return scaled(buffer, count, "");
}

void ent_report_step(int64_t step, int64_t steps, const ent_step_result *r, double tokens_per_s, double left)
{
    ent_time_text text;
    printf("step %*lld/%lld  loss %.4f  lr %.2e  grad norm %.3f  %.0f tokens/s  %s left\n",
           snprintf(NULL, 0, "%lld", (long long)steps), (long long)step, (long long)steps, r->loss, r->lr, r->grad_norm,
           tokens_per_s, ent_time_format(&text, left));
    fflush(stdout);
}

ent_status ent_report_json(ent_json *root)
{
    char *text;
    const ent_status st = ent_json_print(&text, root, true);
    ent_json_free(root);
    ENT_TRY(st);
    fputs(text, stdout);
    free(text);
    return ENT_OK;
}

void ent_report_calibration(const ent_calibration *c)
{
    double worst = 0;
    for (size_t i = 0; i < c->count; i++)
        if (c->items[i].choice.way != ENT_INT8_NOT && (double)c->items[i].choice.error > worst)
            worst = (double)c->items[i].choice.error;
    printf("int8    %zu of %zu projections, %zu of them smoothed; errors up to %.2f %%; lm_head in bf16\n",
           c->count - c->ways[ENT_INT8_NOT], c->count, c->ways[ENT_INT8_SMOOTHED], 100 * worst);
    for (size_t i = 0; i < c->count; i++) {
        const ent_int8_choice *choice = &c->items[i].choice;
        if (choice->way == ENT_INT8_PLAIN)
            continue;
        printf("        %s: largest column of its input %.1f times the median one, error %.2f %%, ",
               c->items[i].weight->name, (double)choice->ratio, 100 * (double)choice->plain_error);
        if (choice->way == ENT_INT8_SMOOTHED)
            printf("smoothed %.2f %%\n", 100 * (double)choice->error);
        else
            printf("at best %.2f %%: stays in bf16\n", 100 * (double)choice->error);
    }
}
