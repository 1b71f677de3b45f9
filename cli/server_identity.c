#include "cli/server_identity.h"

#include <errno.h>
#include <string.h>

#include "cli/cli.h"
#include "control/identity_file.h"
#include "node/start/standing.h"

int
server_identity_check(struct server_identity *who)
{
    const struct cluster_config *cluster = who->cluster;
    char detail[512] = "";

    if (identity_load(cluster->directory, cluster->names[who->self], &who->identity, &who->found, detail,
                      sizeof(detail)) != CAIRN_OK ||
        (who->found &&
         !cluster_config_agrees(who->cluster_file, cluster, &who->identity.agreed, detail, sizeof(detail))))
        return cli_fail("%s", detail);
    return 0;
}

static bool
keep_identity(void *context, const struct identity *identity, char *detail, size_t detail_bytes)
{
    const struct server_identity *who = context;
    const struct cluster_config *cluster = who->cluster;

    return identity_save(cluster->directory, cluster->names[who->self], identity, detail, detail_bytes) == CAIRN_OK;
}

int
server_identity_find(struct server_identity *who, struct node_config *config)
{
    const struct cluster_config *cluster = who->cluster;
    const char *name = cluster->names[who->self];
    char detail[512] = "";

    if (identity_load(cluster->directory, name, &who->identity, &who->found, detail, sizeof(detail)) != CAIRN_OK)
        return cli_fail("%s", detail);
    if (!who->found)
        who->identity = (struct identity){.self = who->self, .agreed = cluster_agreed(cluster)};
    else if (!who->identity.doubts_agreed &&
             !cluster_config_agrees(who->cluster_file, cluster, &who->identity.agreed, detail, sizeof(detail)))
        return cli_fail("%s", detail);
    else
        cluster_config_adopt(who->cluster, &who->identity.agreed);
    if (who->identity.agreed.removed >> who->self & 1)
        return cli_fail("%s was removed from the cluster ('cairn cluster add %s' and an empty directory let it back)",
                        name, name);
    if (who->identity.self != who->self)
        return cli_fail(
            "directory %s/%s: it is that of node %u, not of %s: directories were mixed up (put each where it was)",
            cluster->directory, name, who->identity.self + 1u, name);
    config->identity = &who->identity;
    config->keep = keep_identity;
    config->keep_context = who;
    return 0;
}

int
server_identity_stand(struct server_identity *who, struct disk *const *disks, struct node_config *config)
{
    const struct cluster_config *cluster = who->cluster;
    const char *name = cluster->names[who->self], *why;
    struct cairn_id life;

    if (!identity_draw(&life))
        return cli_fail("the kernel has no random bits for this life's identity: %s", strerror(errno));
    if (standing_at_start(&who->identity, who->found, disks, &life, &config->standing, &config->asked_number, &why) !=
        CAIRN_OK)
        return cli_fail("directory %s/%s: its journal cannot be read: %s", cluster->directory, name, disks[0]->detail);
    if (why[0] != '\0')
        fprintf(stderr, "cairn: node %s has forgotten what it promised (%s): it recovers from the others\n", name, why);
    for (uint32_t worker = 1; worker < CAIRN_WORKERS_MAX; worker++) {
        if (who->identity.forgetful_workers >> worker & 1)
            fprintf(stderr,
                    "cairn: worker %u of node %s has forgotten what it promised (its journal is not that of the last "
                    "life): its logs recover from the others\n",
                    worker, name);
    }
    return 0;
}

void
server_identity_leave(const struct server_identity *who)
{
    const struct cluster_config *cluster = who->cluster;

    if (cluster->durability == CAIRN_MEMORY)
        identity_remove(cluster->directory, cluster->names[who->self]);
}
