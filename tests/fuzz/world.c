#include "tests/fuzz/world.h"

#include <stdlib.h>

static struct sim *world;

static void
must(bool so, const char *what)
{
    if (so)
        return;
    fprintf(stderr, "the world does not come about: %s\n", what);
    abort();
}

static void
begin_process(void)
{
    char detail[256] = "";

    must(sim_process_start(detail, sizeof(detail)) == CAIRN_OK, detail);
    world = calloc(1, sizeof(*world));
    must(world != NULL, "no memory");
}

struct sim *
world_renew(uint32_t nodes, bool disk)
{
    if (world == NULL)
        begin_process();
    else
        sim_end(world);
    memset(world, 0, sizeof(*world));
    world->plan.seed = 1;
    world->plan.memory_bytes = 8u << 20;
    world->plan.segment_bytes = 256u << 10;
    if (disk)
        scene_start_on_disk(world, nodes);
    else
        scene_start(world, nodes, CAIRN_POLICY_ADAPTIVE);
    append_many(world, scene_leader(world), 1, WORLD_ENTRIES, CAIRN_ACK_MAJORITY);
    must(!world->failed, world->reason);
    return world;
}

void
world_run_for(struct sim *sim, uint64_t duration_ns)
{
    sim->failed = false;
    sim_run_for(sim, duration_ns);
}
