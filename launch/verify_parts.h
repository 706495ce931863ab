/* What the files launch/verify*.c share. */
#ifndef ENT_LAUNCH_VERIFY_PARTS_H
#define ENT_LAUNCH_VERIFY_PARTS_H

#include <stdint.h>

#include "launch/contents.h"
#include "launch/verify.h"

typedef struct ent_verification {
    ent_verify_tell *tell;
    void *context;
    size_t faults;
} ent_verification;

/* Tells what holds; or this thread's message. ent_verify_take tells the message if st is a failure: true: it isn't. */
void ent_verify_good(ent_verification *v, const char *format, ...) __attribute__((format(printf, 2, 3)));
void ent_verify_fault(ent_verification *v);
bool ent_verify_take(ent_verification *v, ent_status st);

/* What a checkpoint says of its run. */
typedef struct ent_verified {
    int64_t step;
    bool good;     /* nothing is wrong with it; then its metadata says: */
    bool is_final; /* the run ended with this step */
    int64_t best_step;
    double loss, lr, grad_norm; /* of its step */
} ent_verified;

void ent_verify_checkpoint(ent_verified *out, ent_verification *v, const char *h5);

/* The numbers of a file or folder are finite. False: they aren't, or can't be read. */
bool ent_verify_numbers(ent_verification *v, ent_contents *contents);

void ent_verify_adapter(ent_verification *v, const char *folder);
void ent_verify_model(ent_verification *v, const char *folder);
void ent_verify_gguf(ent_verification *v, const char *path);
void ent_verify_run(ent_verification *v, const char *folder);

/* A folder of checkpoints: all of them, and `latest`. `newest` (caller frees its list): what they say, newest first. */
typedef struct ent_verified_list {
    ent_verified *items;
    size_t count;
} ent_verified_list;

void ent_verify_checkpoints(ent_verified_list *out, ent_verification *v, const char *folder);

#endif
