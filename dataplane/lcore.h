/* Lcores, and the tasks that they poll: the worker of a node is one (node/worker/worker.h), or whatever else runs to completion.
 *
 * One poll: a receive burst from every port, the application's own turn (requests, timers,
 * senders), the transmit flush. Bounded work, no lock, no allocation, no system call. */
#ifndef DATAPLANE_LCORE_H
#define DATAPLANE_LCORE_H

#include <pthread.h>

#include "dataplane/clock.h"
#include "dataplane/port.h"

#define TASK_PORTS_MAX 16
#define LCORE_TASKS_MAX 16

/* What the task is for. */
struct task_application {
    /* A message arrived, by peer's link or from its address. Returns whether it was work (a heartbeat is not). */
    bool (*receive)(void *context, uint8_t peer, const uint8_t *message, size_t size_bytes, uint64_t now_ns);
    /* Its turn. drained: nothing that arrived is still unread. Returns how much it did. */
    uint32_t (*turn)(void *context, uint64_t now_ns, bool drained);
    /* When it wants its turn at the latest. */
    uint64_t (*deadline_ns)(void *context);
    /* Does it wait for something that the kernel does on these cores? */
    bool (*waits)(void *context);
    /* Adds the bells by which others wake it, beside its lcore's own. They stay what they are until a turn that did something. */
    void (*bells)(void *context, struct doorbells *out);
    void *context;
};

struct task {
    uint8_t number;
    struct task_application application;
    struct port *ports[TASK_PORTS_MAX];
    uint32_t ports_count;
    uint64_t now_ns;        /* of the poll under way */
    _Atomic uint64_t polls; /* one writer: who polls */
    /* Frames that are none of ours, by enum frame_verdict. One writer: who polls. */
    _Atomic uint64_t dropped[FRAME_VERDICTS];
};

void task_init(struct task *task, uint8_t number, const struct task_application *application, uint64_t now_ns);

/* Polls once, at now_ns (CLOCK_MONOTONIC, read once for all tasks that are polled together).
 * Returns how much work there was. */
uint32_t task_poll(struct task *task, uint64_t now_ns);

enum idle_policy { IDLE_SLEEP, IDLE_YIELD, IDLE_SPIN };

/* A thread of ours that polls tasks in turn. */
struct lcore {
    struct task *tasks[LCORE_TASKS_MAX];
    uint32_t tasks_count;
    enum idle_policy idle;
    int cpu; /* pinned there; -1: floats */
    struct doorbell *bell;
    struct doorbell own_bell;
    struct clock clock;
    pthread_t thread;
    _Atomic bool stop;
    bool running;
};

/* Everything above is set by the caller before; bell NULL: its own. */
bool lcore_start(struct lcore *lcore);
void lcore_stop(struct lcore *lcore);

#endif
