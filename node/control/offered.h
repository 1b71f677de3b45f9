/* The control thread's half of an introduction. */
#ifndef NODE_CONTROL_OFFERED_H
#define NODE_CONTROL_OFFERED_H

#include <stddef.h>

#include "cairn/cairn.h"

struct node;

/* Control thread: keeps what changed; begins the logs when it is time. Not CAIRN_OK: they cannot begin, detail says why. */
enum cairn_error introduction_step(struct node *node, char *detail, size_t detail_bytes);

#endif
