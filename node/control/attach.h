/* Clients come and leave. */
#ifndef NODE_CONTROL_ATTACH_H
#define NODE_CONTROL_ATTACH_H

#include "node/attachment.h"

struct node;

/* A client that came by the admin socket. It has a place at each worker whose logs it touches. */
struct visitor {
    enum attachment_kind kind;
    struct attachment *at[CAIRN_WORKERS_MAX];
};

/* Control thread. NULL: there is no room for another one. */
struct visitor *visitor_make(struct node *node, enum attachment_kind kind);
void visitor_leave(struct node *node, struct visitor *visitor);

/* With the control lock held: one writer on the ring of commands. NULL: no room for another client at that worker. */
struct attachment *attachment_make(struct node *node, uint8_t worker, enum attachment_kind kind);
void attachment_leave(struct attachment *attachment);
void attachment_free(struct attachment *attachment);
void attachments_reap(struct node *node);

#endif
