/* The operator that writes the catalog. */
#ifndef SIM_CATALOG_H
#define SIM_CATALOG_H

#include <stdint.h>

#include "cairn/types.h"
#include "sim/scale.h"

/* The client that writes it, by its index. */
#define CATALOG_CLIENT SIM_CLIENTS

struct sim;
struct sim_client;

/* The operator creates the log, or changes its policy. */
void catalog_change(struct sim *sim, uint32_t log, enum cairn_policy policy);
/* An operation of the catalog on a log, with the keys that it changes. */
void catalog_write(struct sim *sim, uint32_t log, const char *operation, const char *rules);
/* One by one, each once the one before is known. */
void catalog_create_missing(struct sim *sim, struct sim_client *client);

#endif
