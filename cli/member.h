/* Who holds a log, who votes, who leads: changed log by log. */
#ifndef CLI_MEMBER_H
#define CLI_MEMBER_H

#include "cli/cli.h"

/* log: NULL: of all logs. learner: it stays one. Returns the exit status, said. */
int cli_member_change(const struct cluster_config *cluster, enum cairn_member_op op, uint8_t node, const char *log,
                      bool learner, bool json);

#endif
