/* What must hold of what clients are told: appends, reads, and what a run leaves of both. */
#ifndef SIM_CHECKER_ANSWERS_H
#define SIM_CHECKER_ANSWERS_H

#include <stdint.h>

#include "cairn/cairn.h"
#include "client/session.h"
#include "sim/clients.h"
#include "sim/log_check.h"
#include "sim/readers.h"

struct sim;

/* checker_appends.c */
void check_append_result(struct sim *sim, struct sim_client *client, const struct session_result *result);

/* checker_reads.c */
void check_read_entry(struct sim *sim, struct sim_reader *reader, const struct cairn_result *result);
/* An append of the reader's own is answered: its session has written it. */
void check_session_write(struct sim *sim, struct sim_reader *reader, const struct cairn_result *result);
void check_read_end(struct sim *sim, struct sim_reader *reader, const struct cairn_result *result);

/* checker_answers.c */
/* What an append is answered with is worth what was asked for, and true. */
void check_level(struct sim *sim, uint32_t log, enum cairn_ack asked, const struct cairn_result *result);
/* Whether a read was to be denied. */
void check_denied(struct sim *sim, const struct log_check *check, const struct sim_reader *reader,
                  enum cairn_error error);

#endif
