/* What must hold in the end: everything comes to rest, nothing that was acknowledged is lost. */
#ifndef SIM_CHECKER_END_H
#define SIM_CHECKER_END_H

#include "sim/clients.h"

struct sim;

/* At the end, in peace: NULL where all is as promised so far, else what is still missing. */
const char *check_settled(struct sim *sim);
void check_client_final(struct sim *sim, const struct sim_client *client);
void check_final(struct sim *sim);

#endif
