/* The text of a cluster file, and the file that holds it. What the values mean for each other is control/config.c's.
 *
 *     cluster_file_read(path, text, &text_bytes, &fault)      the bytes, of a regular file
 *     cluster_text_decode(text, text_bytes, &config, &fault)  each value is taken whole, or refused by its place
 *     cluster_text_encode(&config, text, sizeof(text))        what decodes to the same
 *     cluster_file_draft(path, ...), cluster_file_publish(path, ...)
 *
 * It is a small part of YAML: one document, a mapping of known keys. Nobody means an alias, a tag, or a second document by
 * a cluster file, so whatever is not plainly a key or its value is a mistake to be named. */
#ifndef CONTROL_CLUSTER_FILE_H
#define CONTROL_CLUSTER_FILE_H

#include "control/config.h"

#define CLUSTER_FILE_BYTES_MAX 65536u

/* What is wrong, where, and what to do about it. */
struct cluster_fault {
    struct cluster_place place; /* line 0: it is the file as a whole; column 0: the line */
    char what[240], mend[168];
};

/* Fills in the fault. Always false, which functions that found one return. */
bool cluster_fault_set(struct cluster_fault *fault, struct cluster_place place, const char *mend, const char *what, ...)
    __attribute__((format(printf, 4, 5)));

/* The line that tells of it: the path gives way where not all fits. */
void cluster_fault_tell(const struct cluster_fault *fault, const char *path, char *detail, size_t detail_bytes);

/* false: *out is as it was. */
bool cluster_text_decode(const char *text, size_t text_bytes, struct cluster_config *out, struct cluster_fault *fault);

/* Returns the bytes of the text; 0: it has no room. */
size_t cluster_text_encode(const struct cluster_config *config, char *text, size_t text_bytes);

/* text: of CLUSTER_FILE_BYTES_MAX bytes. Never waits: what is not a regular file is refused. */
bool cluster_file_read(const char *path, char *text, size_t *text_bytes, struct cluster_fault *fault);

/* Writes the text beside the file, on disk, as draft (of PATH_MAX bytes). Only cluster_file_publish() changes the file. */
bool cluster_file_draft(const char *path, const char *text, size_t text_bytes, char *draft,
                        struct cluster_fault *fault);
bool cluster_file_publish(const char *path, const char *draft, struct cluster_fault *fault);

#endif
