/* A file that takes another's place as a whole: it is written beside it, by a name of its own, and then given its name. Whoever
 * reads finds the one or the other; whoever writes at the same time has a name of his own, too, and the last one stays.
 *
 *     draft_write(path, bytes, size_bytes, mode, draft)    on disk, as draft
 *     draft_publish(path, draft)                           is called path
 *
 * No link is followed, and nobody is waited for, whatever is there already. */
#ifndef CONTROL_DRAFT_H
#define CONTROL_DRAFT_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/* draft: of PATH_MAX bytes. false: errno says why, and there is none. */
bool draft_write(const char *path, const void *bytes, size_t size_bytes, mode_t mode, char *draft);

/* false: errno says why, and the draft is gone. */
bool draft_publish(const char *path, const char *draft);

/* Has it on disk, too, that the name is this file's now. false: errno says why. */
bool draft_settle(const char *path);

/* Writes all of it from the file's beginning, and has it on disk. false: errno says why not. */
bool draft_fill(int fd, const void *bytes, size_t size_bytes);

/* Can there be one beside the file, which could take its place? Changes nothing. false: errno says why not. */
bool draft_is_possible(const char *path);

#endif
