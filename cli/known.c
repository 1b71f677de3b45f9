/* Who is of the cluster that this process talks to. A node's word for that counts, not the cluster file: numbers in answers
 * are places in the list that the cluster has agreed on. */
#include <string.h>

#include "cli/agree.h"
#include "client/dial.h"

cairn_node_set
cli_present(const struct cluster_config *cluster)
{
    return (((cairn_node_set)1 << cluster->nodes) - 1) & ~(cluster->removed | cluster->not_added);
}

uint32_t
cli_present_count(const struct cluster_config *cluster)
{
    return (uint32_t)__builtin_popcount(cli_present(cluster));
}

void
cli_go_by(struct cluster_config *cluster, const struct agreed *agreed)
{
    const struct cluster_config listed = *cluster;

    cluster->nodes = agreed->now.nodes;
    cluster->durability = agreed->durability;
    memcpy(cluster->names, agreed->names, sizeof(cluster->names));
    cluster->removed = agreed_present(agreed) == 0 ? 0 : agreed->removed;
    cluster->not_added = 0;
    for (uint32_t i = 0; i < listed.nodes && cluster->nodes < CAIRN_NODES_MAX; i++) {
        if (agreed_seat(agreed, listed.names[i]) != CAIRN_NODE_NONE)
            continue;
        cluster->not_added |= (cairn_node_set)1 << cluster->nodes;
        memcpy(cluster->names[cluster->nodes++], listed.names[i], sizeof(listed.names[i]));
    }
    cluster->seats_known = true;
}

/* Is all that the file lists agreed on? */
static bool
lists_no_more(const struct cluster_config *cluster, const struct agreed *agreed)
{
    for (uint32_t i = 0; i < cluster->nodes; i++) {
        if (agreed_seat(agreed, cluster->names[i]) == CAIRN_NODE_NONE)
            return false;
    }
    return true;
}

int
cli_know_all(struct cluster_config *cluster, const char *path)
{
    struct agreed agreed;
    char detail[512];

    cluster->path = cli_cluster_path(path);
    /* A slow node is waited for as long as any command waits: what answers later than this knows would be numbered by
     * the file. */
    if (!cli_agreed_said(cluster, CLI_QUICK, &agreed) && !cli_agreed_said(cluster, CLI_FIRST, &agreed))
        return 0;
    /* The first that answered may not have heard of the newest yet. */
    if (!lists_no_more(cluster, &agreed))
        cli_agreed_said(cluster, CLI_HEARD, &agreed);
    if (!cluster_config_follows(cluster->path, cluster, &agreed, detail, sizeof(detail)))
        return cli_fail("%s", detail);
    cli_go_by(cluster, &agreed);
    return 0;
}

int
cli_follows(const struct cluster_config *cluster, const struct dial_seats *seats)
{
    struct agreed agreed = {.now = {.nodes = seats->count}};
    char detail[512];

    if (cluster->seats_known || seats->count == 0)
        return 0;
    memcpy(agreed.names, seats->names, sizeof(agreed.names));
    if (!cluster_config_follows(cluster->path, cluster, &agreed, detail, sizeof(detail)))
        return cli_fail("%s", detail);
    for (uint32_t i = 0; i < cluster->nodes && i < seats->count; i++) {
        if (strcmp(cluster->names[i], seats->names[i]) != 0)
            return cli_fail("cluster file %s does not list '%s' (list it, or try again)", cluster->path,
                            seats->names[i]);
    }
    return 0;
}

static int
refuse_absent(const struct cluster_config *cluster, uint8_t node)
{
    const char *name = cluster->names[node];

    if (cluster->not_added >> node & 1)
        return cli_usage("'%s' is listed in the cluster file, and is not of the cluster ('cairn cluster add %s' first)",
                         name, name);
    return cli_usage("'%s' was removed from the cluster ('cairn cluster add %s' lets it back)", name, name);
}

int
cli_member(const struct cluster_config *cluster, const char *name, uint8_t *out)
{
    int status = cli_node(cluster, name, out);

    if (status != 0 || *out == CAIRN_NODE_NONE || (cli_present(cluster) >> *out & 1))
        return status;
    return refuse_absent(cluster, *out);
}

int
cli_members(const struct cluster_config *cluster, const char *text, cairn_node_set *out)
{
    int status = cli_nodes(cluster, text, out);
    cairn_node_set absent = *out & ~cli_present(cluster);

    if (status != 0 || absent == 0)
        return status;
    return refuse_absent(cluster, (uint8_t)__builtin_ctz(absent));
}
