/* Logs come and go. */
#ifndef NODE_CONTROL_LOGS_H
#define NODE_CONTROL_LOGS_H

#include "node/worker/log.h"

struct worker;

struct log_settings {
    const char *name;
    struct log_rules rules;
    enum cairn_durability durability;
    cairn_node_set voters; /* 0: every node */
};

/* NULL: no memory. */
struct node_log *node_log_create(struct worker *worker, uint32_t id, const struct log_settings *settings,
                                 bool recovering);
void node_log_free(struct node_log *log);
/* For a branch of that origin. false: no memory. */
bool log_make_room(struct worker *worker, struct node_log *log, uint8_t origin);

#endif
