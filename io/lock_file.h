/* A file that says who works in a folder, and keeps others out.
 *
 * The system's lock on the file decides: it ends with the process that holds it, however that ends, on whatever host.
 * On a file system without locks the file's text does: a process of this host that is no more is no holder.
 */
#ifndef ENT_IO_LOCK_FILE_H
#define ENT_IO_LOCK_FILE_H

#include "src/base/status.h"

typedef struct ent_lock_file ent_lock_file;

/* Takes the lock `path`, in a folder that is there. ENT_EIO "PATH: process 4711 on node7 works here since ..." if it is
 * held. */
ent_status ent_lock_file_take(ent_lock_file **out, const char *path);

/* Removes the file and gives the lock back. NULL is fine. */
void ent_lock_file_release(ent_lock_file *lock);

#endif
