/* What a log is like, for other threads to read. */
#ifndef NODE_STATUS_H
#define NODE_STATUS_H

struct log_status;
struct node_log;

/* The worker's, between two events: what holds of a log then. */
void status_assert(const struct node_log *log);
void status_publish(struct node_log *log);
void status_read(const struct node_log *log, struct log_status *out);

#endif
