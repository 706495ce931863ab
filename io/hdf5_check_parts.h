/* What the files io/hdf5_check*.c share. Names of structures are those of the HDF5 File Format Specification 3.0. */
#ifndef ENT_IO_HDF5_CHECK_PARTS_H
#define ENT_IO_HDF5_CHECK_PARTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "src/base/status.h"

#define ENT_HDF5_UNDEFINED UINT64_MAX /* an address that leads nowhere */

enum { ENT_HDF5_MAX_RANK = 32 };

/* A file that is being checked. */
typedef struct ent_hdf5_file {
    const unsigned char *data;
    size_t n;
    size_t left; /* bytes that are not taken: all structures together are no longer than the file */
    const char *label;
    const char *path; /* of the object that is being checked */
} ent_hdf5_file;

/* Some bytes of it, read from the front. Reading beyond the end gives 0 and sets `failed`. */
typedef struct ent_hdf5_span {
    const unsigned char *at;
    size_t left;
    bool failed;
} ent_hdf5_span;

uint64_t ent_hdf5_take(ent_hdf5_span *span, size_t width); /* a little-endian number of up to 8 bytes */
const unsigned char *ent_hdf5_skip(ent_hdf5_span *span, size_t n);
bool ent_hdf5_all_read(const ent_hdf5_span *span); /* exactly to the end */

/* *out = the n bytes at an address, which are taken. */
ent_status ent_hdf5_claim(ent_hdf5_span *out, ent_hdf5_file *file, uint64_t address, uint64_t n, const char *what);

/* "LABEL: PATH: the WHAT is not as it should be". */
ent_status ent_hdf5_bad(const ent_hdf5_file *file, const char *what);

/* What the messages of an object's header say. */
typedef struct ent_hdf5_object {
    unsigned seen; /* bit: a type of message */
    size_t rank;
    uint64_t dims[ENT_HDF5_MAX_RANK];
    size_t element;       /* bytes */
    ent_hdf5_span layout; /* the message, for when all the others are known */
} ent_hdf5_object;

/* Types of messages; those beyond are refused. */
enum {
    ENT_HDF5_NIL = 0x00,
    ENT_HDF5_SPACE = 0x01,
    ENT_HDF5_LINK_INFO = 0x02,
    ENT_HDF5_TYPE = 0x03,
    ENT_HDF5_FILL = 0x05,
    ENT_HDF5_LINK = 0x06,
    ENT_HDF5_LAYOUT = 0x08,
    ENT_HDF5_GROUP_INFO = 0x0a,
    ENT_HDF5_PIPELINE = 0x0b,
    ENT_HDF5_ATTRIBUTE = 0x0c,
    ENT_HDF5_CONTINUATION = 0x10,
    ENT_HDF5_ATTRIBUTE_INFO = 0x15
};

/* Checks a message of any type but LINK, LAYOUT and CONTINUATION, and keeps what it says. */
ent_status ent_hdf5_check_message(ent_hdf5_object *object, const ent_hdf5_file *file, unsigned type,
                                  ent_hdf5_span body);

/* Checks a dataset's layout and takes its chunks. */
ent_status ent_hdf5_check_layout(ent_hdf5_file *file, const ent_hdf5_object *object);

#endif
