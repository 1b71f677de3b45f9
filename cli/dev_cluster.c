#include "cli/dev_cluster.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "control/home.h"
#include "control/identity_file.h"

static uint32_t
default_memory_mib(uint32_t nodes)
{
    uint64_t bytes = (uint64_t)sysconf(_SC_PHYS_PAGES) * (uint64_t)sysconf(_SC_PAGESIZE);
    uint64_t mib = (bytes >> 20) / (2ull * nodes);

    return mib < 64 ? 64 : mib > 65536 ? 65536 : (uint32_t)mib;
}

int
dev_cluster_directory(struct dev *dev, const char *given)
{
    char path[200], resolved[4096], detail[4400];
    struct stat status;

    if (given == NULL)
        home_default(path, sizeof(path));
    else if (snprintf(path, sizeof(path), "%s", given) >= (int)sizeof(path))
        return cli_fail("directory %s: longer than %zu bytes", given, sizeof(path) - 1);
    if (given == NULL && lstat(path, &status) == 0 && S_ISLNK(status.st_mode))
        return cli_fail(
            "directory %s: it is a link, and anybody may have made it (take it away, or give another with --dir)",
            path);
    if (!home_resolve(path, resolved, sizeof(resolved), detail, sizeof(detail)))
        return cli_fail("%s", detail);
    if (strlen(resolved) > 80)
        return cli_fail("directory %s: its whole path must be at most 80 bytes, for the sockets in it", path);
    if (dev->stop && lstat(resolved, &status) != 0)
        return cli_fail("directory %s: %s (nothing runs there; another is given with --dir)", resolved,
                        strerror(errno));
    if (!dev->stop && mkdir(resolved, 0700) != 0 && errno != EEXIST)
        return cli_fail("directory %s: %s (give another with --dir)", resolved, strerror(errno));
    if (!home_is_own(resolved, detail, sizeof(detail)))
        return cli_fail("%s", detail);
    snprintf(dev->cluster.directory, sizeof(dev->cluster.directory), "%s", resolved);
    snprintf(dev->file, sizeof(dev->file), "%s/cluster.yaml", resolved);
    return 0;
}

/* An empty directory never means that the cluster is new: whoever emptied it may have emptied the wrong one. */
static int
any_has_state(const struct dev *dev)
{
    for (uint32_t i = 0; i < dev->cluster.nodes; i++) {
        char path[384];

        snprintf(path, sizeof(path), "%s/%s/identity", dev->cluster.directory, dev->cluster.names[i]);
        if (access(path, F_OK) == 0)
            return 0;
    }
    return cli_fail("directory %s: it has a cluster file, but none of its nodes has any state left (bring their "
                    "directories back, or remove %s to begin a new cluster)",
                    dev->cluster.directory, dev->file);
}

/* The cluster file of a durable cluster is left as it is: its nodes' journals belong to it. */
static int
go_on(struct dev *dev, const struct cluster_config *before, bool durability_given)
{
    char detail[512];
    int status;

    if (durability_given && dev->cluster.durability != CAIRN_DISK)
        return cli_fail("directory %s: it holds a durable cluster (give another with --dir, or remove it)",
                        dev->cluster.directory);
    if (before->nodes != dev->cluster.nodes && dev->nodes_given)
        return cli_fail("directory %s: its cluster has %u nodes, not %u (leave --nodes out, or give another --dir)",
                        dev->cluster.directory, before->nodes, dev->cluster.nodes);
    if (dev->cluster.workers != 0 && dev->cluster.workers != cluster_workers(before))
        return cli_fail("directory %s: its nodes have %u workers, not %u (leave --workers out, or give another --dir)",
                        dev->cluster.directory, cluster_workers(before), dev->cluster.workers);
    dev->cluster = *before;
    if ((status = cli_resolve_directory(&dev->cluster)) != 0 || (status = any_has_state(dev)) != 0)
        return status;
    return home_is_own(dev->cluster.directory, detail, sizeof(detail)) ? 0 : cli_fail("%s", detail);
}

/* All of its nodes' first lives: nothing here was a cluster before. */
static int
found_cluster(const struct dev *dev)
{
    struct agreed agreed = cluster_agreed(&dev->cluster);
    struct identity identities[CAIRN_NODES_MAX];
    char detail[512];

    if (!identity_draw_cluster(&agreed, identities))
        return cli_fail("the kernel has no random bits for a new cluster: %s", strerror(errno));
    for (uint32_t i = 0; i < dev->cluster.nodes; i++) {
        if (identity_save(dev->cluster.directory, dev->cluster.names[i], &identities[i], detail, sizeof(detail)) !=
            CAIRN_OK)
            return cli_fail("%s", detail);
    }
    return 0;
}

/* Keeps whom the file names as clients: somebody wrote that into it. */
static void
keep_clients(struct dev *dev, const struct cluster_config *before)
{
    dev->cluster.client_users_count = before->client_users_count;
    memcpy(dev->cluster.client_users, before->client_users, sizeof(dev->cluster.client_users));
    memcpy(dev->cluster.client_group, before->client_group, sizeof(dev->cluster.client_group));
}

int
dev_cluster_make(struct dev *dev, uint32_t memory_mib, bool durability_given)
{
    struct cluster_config before;
    char detail[512];
    bool known = access(dev->file, F_OK) == 0;

    for (uint32_t i = 0; i < dev->cluster.nodes; i++) {
        snprintf(dev->cluster.names[i], sizeof(dev->cluster.names[i]), "n%u", i + 1);
        if (home_runs(dev->cluster.directory, dev->cluster.names[i]) != 0)
            return cli_fail("a cluster is running in %s ('cairn dev --stop --dir %s' ends it)", dev->cluster.directory,
                            dev->cluster.directory);
    }
    if (known && cluster_config_load(dev->file, &before, detail, sizeof(detail)) != CAIRN_OK)
        return cli_fail("%s", detail);
    if (known && before.durability == CAIRN_DISK)
        return go_on(dev, &before, durability_given);
    if (known)
        fprintf(stderr,
                "cairn: the cluster that ran in %s kept its logs in memory: they ended with it, this one "
                "starts empty\n",
                dev->cluster.directory);
    if (known)
        keep_clients(dev, &before);
    if (getrandom(&dev->cluster.id, sizeof(dev->cluster.id), 0) != sizeof(dev->cluster.id))
        dev->cluster.id = (uint32_t)cli_now_ns();
    dev->cluster.memory_mib = memory_mib != 0 ? memory_mib : default_memory_mib(dev->cluster.nodes);
    dev->cluster.auto_create = true;
    if (cluster_config_save(dev->file, &dev->cluster, detail, sizeof(detail)) != CAIRN_OK)
        return cli_fail("%s", detail);
    return found_cluster(dev);
}
