/* What a node says of itself. The control thread's; the caller owns what is returned. */
#ifndef NODE_CONTROL_STATUS_ROWS_H
#define NODE_CONTROL_STATUS_ROWS_H

#include <jansson.h>

#include "cairn/cairn.h"

struct cairn_id;
struct node;

json_t *names_of(const struct node *node, cairn_node_set set);
json_t *node_name_or_null(const struct node *node, uint8_t index);
json_t *id_or_null(const struct cairn_id *id);
/* How it stands among its peers. */
json_t *standing_row(const struct node *node);
/* All of it, or of the log that the request names. */
json_t *status_answer(struct node *node, const json_t *request);

#endif
