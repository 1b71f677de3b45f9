/* A node goes on from its journal. */
#ifndef NODE_START_RESTORE_H
#define NODE_START_RESTORE_H

#include "cairn/cairn.h"

struct worker;

enum cairn_error restore(struct worker *worker, char *detail, size_t detail_bytes);

#endif
