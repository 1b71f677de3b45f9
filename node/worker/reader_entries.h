/* Entries are given to who reads. The worker's. */
#ifndef NODE_WORKER_READER_ENTRIES_H
#define NODE_WORKER_READER_ENTRIES_H

#include <stdbool.h>
#include <stdint.h>

struct reader;
struct worker;

bool reader_has_room(const struct worker *worker, const struct reader *reader);
uint32_t read_trunk(struct worker *worker, struct reader *reader);
bool read_branches(struct worker *worker, struct reader *reader, uint32_t *given);

#endif
