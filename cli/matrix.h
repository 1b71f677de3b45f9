/* Whom each worker of each node hears, as nodes that answer `status` say. */
#ifndef CLI_MATRIX_H
#define CLI_MATRIX_H

#include "cli/cli.h"

/* Of one worker of one node. */
struct matrix_row {
    cairn_node_set hears, slow;
    double heard_ms[CAIRN_NODES_MAX]; /* how long ago; below 0: that is not known */
    double told_ms;                   /* how long ago it said so to the node that is asked */
    double clock_ahead_ms;            /* of the time that most agree on */
    uint8_t teller;                   /* whom it is known from: itself, or who was asked in its place */
    bool known, hung;
};

struct matrix {
    size_t workers; /* of each node, as one said */
    struct matrix_row rows[CAIRN_WORKERS_MAX][CAIRN_NODES_MAX];
};

/* What the node `teller` answered, where it is not known better; NULL: nothing. */
void matrix_learn(const struct cluster_config *cluster, uint8_t teller, const json_t *answer, struct matrix *matrix);
/* The first workers', and whose others hear otherwise. Of a node that does not answer: what it said to others last. */
void matrix_print(const struct cluster_config *cluster, const struct matrix *matrix);

#endif
