/* The control thread of a node. */
#ifndef NODE_CONTROL_CONTROL_H
#define NODE_CONTROL_CONTROL_H

#include <pthread.h>

#include "control/admin.h"
#include "node/attachment.h"
#include "node/control/bells.h"
#include "node/control/hung.h"
#include "node/control/placement.h"
#include "node/control/scrub.h"
#include "node/state.h"

#define EVENTS_KEPT 4096u
#define SPARES_MAX 8u

struct control {
    pthread_t thread;
    bool running;
    _Atomic bool stop;
    /* Guards what follows, between the control thread and callers of node.h. */
    pthread_mutex_t lock;
    struct attachment *attachments[CAIRN_WORKERS_MAX][ATTACHMENTS_MAX]; /* by worker */
    struct attachment *spares[SPARES_MAX]; /* embedded ones that were let go: making a channel takes the kernel long */
    uint32_t spares_count;
    uint32_t attachment_serial;
    uint32_t visitors;         /* control thread: clients that came by the admin socket */
    struct node_event *events; /* EVENTS_KEPT places */
    uint64_t events_count;     /* ever */
    uint64_t events_by_kind[EVENT_KINDS];
    /* The control thread's own. */
    char agree_failure[384]; /* what is to be told of it; "": nothing */
    uint64_t applied_lsn;    /* of the catalog: an entry is applied once, whoever reads it again */
    struct agreed replayed;  /* by the entries of the catalog up to the last that was applied */
    struct admin *admin;
    struct cairn_client *catalog;
    bool catalog_reading;
    struct bells bells;
    uint64_t maintained_ns;
    bool touching; /* memory that the worker needs soon is made to exist */
    struct hung_watch watch[CAIRN_WORKERS_MAX];
    struct scrub scrub[CAIRN_WORKERS_MAX];
    struct worker_load load;
    _Atomic bool start_wanted; /* read by whoever runs the node */
    _Atomic bool failed;       /* the logs could not begin: `failure` says why */
    char failure[512];
};

void keep_event(struct control *control, const struct node_event *event);
/* An event of the control thread's own. */
void control_event(struct node *node, const struct node_event *event);
void control_tell(struct node *node, enum event_kind kind, const char *reason, ...)
    __attribute__((format(printf, 3, 4)));

#endif
