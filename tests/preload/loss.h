/* What a machine that loses its power now would lose: the data of files that were not synced since they were written,
 * and the names in folders that were not synced since they were changed. For one thread; tests/preload/fault.c tells it
 * of every call before it is made.
 */
#ifndef ENT_TESTS_LOSS_H
#define ENT_TESTS_LOSS_H

/* `spare` is a folder on the same file system, outside of the one that is looked at: what is undone is taken from there
 * and put there. It is made. */
void loss_begin(const char *spare);

void loss_write(const char *path);
void loss_sync(const char *path); /* of a file or a folder */
void loss_create(const char *path);
void loss_make_folder(const char *path);
void loss_rename(const char *from, const char *to);
void loss_remove(const char *path);

/* Makes the loss happen: files are cut to what was synced, changes of names are undone, the last one first. */
void loss_happens(void);

#endif
