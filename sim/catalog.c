/* The operator that writes the catalog: creates logs, changes their rules. */
#include "sim/catalog.h"

#include <stdio.h>
#include <string.h>

#include "node/state.h"
#include "sim/clients.h"
#include "sim/ops.h"
#include "sim/sim.h"
#include "sim/trace.h"

/* The operator: creates the logs one by one, then changes policies. */
void
catalog_change(struct sim *sim, uint32_t log, enum cairn_policy policy)
{
    static const enum cairn_deny denies[] = {CAIRN_DENY_WRITES, CAIRN_DENY_BOTH, CAIRN_DENY_WRITES, CAIRN_DENY_READS};
    uint64_t turn = sim->plan.seed / 2 + sim->clients[CATALOG_CLIENT].given;
    char text[96];

    /* What a scenario denies it says itself. */
    snprintf(text, sizeof(text), "\"policy\":\"%s\",\"when_cut\":\"%s\",\"deny\":\"%s\"", cairn_policy_name(policy),
             sim->plan.seed % 2 == 0 ? "cp" : "deny", cairn_deny_name(denies[sim->scripted ? 0 : turn % 4]));
    catalog_write(sim, log, sim->log_ids[log + 1] == 0 ? "create" : "set", text);
}

void
catalog_write(struct sim *sim, uint32_t log, const char *operation, const char *rules)
{
    struct sim_client *client = &sim->clients[CATALOG_CLIENT];
    struct cairn_entry entry;
    char text[192];
    int size;

    if (client->session == NULL)
        return;
    size = snprintf(text, sizeof(text), "{\"op\":\"%s\",\"name\":\"%s\",%s}", operation, sim_log_name(log + 1), rules);
    client_new_op(client);
    entry = (struct cairn_entry){.payload = text, .payload_bytes = (uint32_t)size};
    if (session_append(client->session, &entry) == CAIRN_OK) {
        client->given++;
        trace_add(sim, TRACE_CLIENT, 0, 0, "operator writes %s", text);
    }
}

/* A log's number, from any node that knows it. */
static uint32_t
log_number(const struct sim *sim, uint32_t log)
{
    for (uint8_t i = 0; i < sim->plan.nodes; i++) {
        const struct node *node = sim->nodes[i].node;

        for (uint32_t j = 0; node != NULL && j < node->snapshot->count; j++) {
            if (strcmp(node->snapshot->logs[j].log->name, sim_log_name(log)) == 0)
                return node->snapshot->logs[j].log->id;
        }
    }
    return 0;
}

void
catalog_create_missing(struct sim *sim, struct sim_client *client)
{
    for (uint32_t log = 0; log < sim->plan.logs && session_in_flight(client->session) == 0; log++) {
        if (sim->log_ids[log + 1] == 0)
            sim->log_ids[log + 1] = log_number(sim, log + 1);
        if (sim->log_ids[log + 1] == 0)
            catalog_change(sim, log, sim->plan.policies[log]);
    }
}
