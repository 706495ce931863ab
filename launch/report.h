/* What a run tells the person at the terminal. Only rank 0 speaks, and not with --quiet. */
#ifndef ENT_LAUNCH_REPORT_H
#define ENT_LAUNCH_REPORT_H

#include <stdint.h>
#include <time.h>

#include "io/json.h"
#include "src/train/calibration.h"
#include "src/train/trainer.h"

/* Seconds of a clock that only goes forward. */
double ent_now(void);

/* "1:02:03" or "2:03" for a number of seconds; returns text. */
typedef struct ent_time_text {
    char text[32];
} ent_time_text;
const char *ent_time_format(ent_time_text *buffer, double seconds);

/* "1.2 MB" of bytes; "12.3 M" of a count. Return text. */
const char *ent_bytes_format(ent_time_text *buffer, double bytes);
const char *ent_count_format(ent_time_text *buffer, double count);

/* Prints a tree, indented, and frees it. ENT_ENOMEM. */
ent_status ent_report_json(ent_json *root);

/* How products in int8 were decided upon, and each that isn't computed as its weight is stored. */
void ent_report_calibration(const ent_calibration *calibration);

/* One line of progress: step, loss, lr, gradient norm, tokens/s, time left. */
void ent_report_step(int64_t step, int64_t steps, const ent_step_result *result, double tokens_per_s, double left);

#endif
