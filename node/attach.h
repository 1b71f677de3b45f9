/* Clients come and leave. */
#ifndef NODE_ATTACH_H
#define NODE_ATTACH_H

#include "attachment.h"

struct node;

struct attachment *attachment_make(struct node *node, enum attachment_kind kind);
void attachment_leave(struct attachment *attachment);
void attachment_free(struct attachment *attachment);
void attachments_reap(struct node *node);

#endif
