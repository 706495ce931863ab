/* The teachers of a run that distils: model folders, mapped, frozen, computed in fp32 as they are stored. */
#ifndef ENT_LAUNCH_TEACHERS_H
#define ENT_LAUNCH_TEACHERS_H

#include "launch/model.h"

typedef struct ent_teachers {
    ent_model models[ENT_MAX_TEACHERS];
    const char *paths[ENT_MAX_TEACHERS]; /* borrowed from the config */
    ent_teaching teaching;               /* count 0: no teacher */
} ent_teachers;

/* Opens what the config's section says, if there is one, for `student`. ENT_ECONFIG: a teacher has another vocabulary,
 * by its size or a token's text; or fewer positions than data.seq_len; or hidden states, or layers, that can't be
 * matched as the config wants. The caller frees with ent_teachers_close also after a failure. */
ent_status ent_teachers_open(ent_teachers *out, const ent_config *config, const ent_model *student);
void ent_teachers_close(ent_teachers *teachers);

/* The teaching for a trainer; NULL without teachers. */
const ent_teaching *ent_teachers_teaching(const ent_teachers *teachers);

/* Bytes: of the mapped weights; of the tables of angles. */
double ent_teachers_mapped(const ent_teachers *teachers);
double ent_teachers_tables(const ent_teachers *teachers, size_t seq_len);

/* Prints a line for each. */
void ent_teachers_say(const ent_teachers *teachers);

#endif
