/* Workers that hang. The control thread's. */
#ifndef NODE_CONTROL_HUNG_H
#define NODE_CONTROL_HUNG_H

#include <stdbool.h>
#include <stdint.h>

struct worker;

/* What the control thread saw of a worker's turns. */
struct hung_watch {
    uint64_t polls, moved_ns, looked_ns;
    bool hung;
};

/* Each time that the control thread wakes: tells of a worker that has taken no turn for long, and of its return. */
void hung_review(struct worker *worker, uint64_t now_ns);

#endif
