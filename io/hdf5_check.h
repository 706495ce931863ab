/* A look at an HDF5 file before the library gets it, which trusts what it reads: libhdf5 1.10 crashes on files whose
 * metadata lie, even where their checksums hold.
 *
 * Let through are the few structures that io/hdf5_*.c write, each of them whole and within the file, all together no
 * longer than it: format 1.10; groups whose links and attributes stand in their headers; datasets of numbers in chunks
 * with Fletcher32, every chunk of them stored; attributes of numbers, texts of fixed length and enumerations. Whether
 * these are the expected ones is for the readers to say.
 */
#ifndef ENT_IO_HDF5_CHECK_H
#define ENT_IO_HDF5_CHECK_H

#include <stddef.h>

#include "src/base/status.h"

/* Checks the n bytes of a file in memory. ENT_EFORMAT "LABEL: /parameters/w: ...". */
ent_status ent_hdf5_check(const void *file, size_t n, const char *label);

/* The same of a file, which is mapped. ENT_EIO. */
ent_status ent_hdf5_check_file(const char *path, const char *label);

#endif
