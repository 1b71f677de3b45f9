#include "cli/server_lcores.h"

#include <errno.h>
#include <sched.h>
#include <string.h>

#include "cli/cli.h"

/* This node's part of the machine's processors, as if all nodes of the cluster were here. */
static uint32_t
lcores_of_machine(const struct cluster_config *cluster, const cpu_set_t *cpus)
{
    uint32_t share = (uint32_t)CPU_COUNT(cpus) / cluster->nodes;

    return share < 1 ? 1 : share;
}

int
server_lcores_choose(struct server_lcores *lcores, const struct cluster_config *cluster, uint8_t self)
{
    const struct cluster_lcores *stated = &cluster->lcores[self];
    uint32_t workers = cluster_workers(cluster), count = cluster_lcores_count(cluster, self);
    cpu_set_t cpus;

    CPU_ZERO(&cpus);
    if (sched_getaffinity(0, sizeof(cpus), &cpus) != 0)
        return cli_fail("which processors there are cannot be told: %s", strerror(errno));
    for (uint32_t i = 0; i < stated->cpus_count; i++) {
        if (!CPU_ISSET(stated->cpus[i], &cpus))
            return cli_fail("node '%s' has cpu %u in the cluster file, which is none that this process may run on: "
                            "see 'nproc', 'taskset -p $$' and the cgroup",
                            cluster->names[self], stated->cpus[i]);
    }
    if (count == 0)
        count = lcores_of_machine(cluster, &cpus);
    lcores->count = count < workers ? count : workers;
    for (uint32_t i = 0; i < lcores->count; i++)
        lcores->lcores[i].cpu = i < stated->cpus_count ? (int)stated->cpus[i] : -1;
    return 0;
}

int
server_lcores_make_bells(const struct server_lcores *lcores, struct node_config *config)
{
    uint32_t workers = cluster_workers(config->cluster);

    for (uint32_t worker = 0; worker < workers; worker++) {
        uint32_t lcore = worker % lcores->count;

        if (worker == lcore)
            config->bells[worker] = doorbell_make(&config->bell_fds[worker]);
        if (config->bells[lcore] == NULL)
            return cli_fail("no memory to share with clients: %s", strerror(errno));
        config->bells[worker] = config->bells[lcore];
        config->bell_fds[worker] = config->bell_fds[lcore];
    }
    return 0;
}

int
server_lcores_start(struct server_lcores *lcores, struct node *node, const struct node_config *config,
                    enum idle_policy idle)
{
    for (uint8_t worker = 0; worker < node_workers(node); worker++) {
        struct lcore *lcore = &lcores->lcores[worker % lcores->count];

        lcore->tasks[lcore->tasks_count++] = node_task(node, worker);
    }
    for (uint32_t i = 0; i < lcores->count; i++) {
        struct lcore *lcore = &lcores->lcores[i];

        lcore->idle = idle;
        lcore->bell = config->bells[i];
        if (!lcore_start(lcore))
            return cli_fail("a thread for the workers cannot be started");
    }
    return 0;
}

void
server_lcores_stop(struct server_lcores *lcores)
{
    for (uint32_t i = 0; i < lcores->count; i++)
        lcore_stop(&lcores->lcores[i]);
}
