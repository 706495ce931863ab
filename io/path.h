/* Paths as text, and folders. */
#ifndef ENT_IO_PATH_H
#define ENT_IO_PATH_H

#include <stdbool.h>

#include "src/base/status.h"

/* The part after the last slash: a pointer into `path`. */
const char *ent_path_name(const char *path);

/* *out = the folder a path stands in, "." if it has none (caller frees). */
ent_status ent_path_folder(char **out, const char *path);

/* *out = a name beside `path` for what will be renamed to it (caller frees): ".NAME.tmp-" and the time in nanoseconds,
 * which tells it from another's: processes of several hosts may share a folder, so that a process id would not do. The
 * time is in letters of either case in turn: no other name looks so, which comparing traces relies on. */
ent_status ent_path_temporary(char **out, const char *path);

/* Removes what stands in a folder under such names, files and folders: what writers that were killed have left. Nobody
 * reads them, so a failure doesn't matter; nor does it if there is no such folder. For the one who holds the folder. */
void ent_sweep_temporaries(const char *folder);

/* The same for those that stand beside `path`, which may end in slashes, and were to be renamed to it. For the one who
 * is about to write it: of another who does so at the same time, what he has is gone, and he fails. */
void ent_sweep_temporaries_of(const char *path);

bool ent_path_ends_with(const char *path, const char *end);
bool ent_path_is_folder(const char *path); /* there, and a folder (or a link to one) */
bool ent_path_is_file(const char *path);   /* there, and something else */

/* Whether a file can be made at `path`, or take the place of one that is there: for what is written at the end of long
 * work, before it begins. ENT_EIO: the folder is missing or can't be written to, or what stands there is no regular
 * file (a folder, a device, a link). */
ent_status ent_path_check_place(const char *path);

/* Makes the folder and the ones above it that are missing, to last. ENT_EIO naming the one that can't be made. */
ent_status ent_make_dirs(const char *path);

/* The same for one folder, whose parent is there. */
ent_status ent_make_dir(const char *path);

/* Removes a file, or a folder with all that is in it; nothing there is fine. false: errno tells why. */
bool ent_remove_tree(const char *path);

/* Makes what was created, renamed or removed in the folder last. */
ent_status ent_sync_folder(const char *path);

#endif
