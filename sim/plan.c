/* What a seed draws: which faults, how strong, which load. */
#include "sim/plan.h"

#include <string.h>

#include "sim/faults.h"
#include "sim/random.h"
#include "sim/scale.h"

/* Swarm testing (Groce et al. 2012): a run has some kinds of fault and not others, since one kind can
 * hide what another would show. */
static uint32_t
draw_faults(struct stream_random *random)
{
    uint32_t faults = 0;

    while (__builtin_popcount(faults) < 4) {
        uint32_t share_ppm = 200000 + (uint32_t)random_under(random, 600000);

        for (unsigned kind = 0; kind < FAULT_DISK_FIRST; kind++)
            faults |= random_chance(random, share_ppm) ? 1u << kind : 0;
    }
    return faults;
}

static uint32_t
strength(struct stream_random *random, uint32_t max)
{
    /* Weak more often than strong. */
    uint64_t x = random_under(random, 1000), y = random_under(random, 1000);

    return (uint32_t)(max * x * y / 1000000) + 1;
}

static void
draw_network(struct plan *plan, struct stream_random *random)
{
    plan->loss_ppm = strength(random, 150000);
    plan->duplicate_ppm = strength(random, 100000);
    plan->reorder_ppm = strength(random, 300000);
    plan->corrupt_ppm = strength(random, 50000);
    plan->tail_ppm = strength(random, 20000);
    plan->tail_ns = 1 * MS + random_under(random, 40 * MS);
    plan->delay_ns = 2 * US + random_under(random, 100 * US);
    plan->jitter_ns = random_under(random, 200 * US);
    plan->drift_ppm = 1 + (uint32_t)random_under(random, 500);
}

static void
draw_load(struct plan *plan, struct stream_random *random)
{
    plan->sessions = 2 + (uint32_t)random_under(random, SIM_CLIENTS - 3);
    plan->readers = 1 + (uint32_t)random_under(random, SIM_READERS);
    plan->session_window = 1u << random_under(random, 7);
    plan->payload_max = 16 + (uint32_t)random_under(random, 200);
    plan->large_ppm = random_under(random, 4) == 0 ? 2000 : 0;
    plan->think_ns = 300 * US + random_under(random, 5 * MS);
    plan->segment_bytes = plan->large_ppm > 0 ? 4u << 20 : 64u << 10 << random_under(random, 7);
    if (plan->faults & (1u << FAULT_TRIM))
        plan->retain_bytes = plan->segment_bytes * (1 + (uint32_t)random_under(random, 4));
    plan->window_entries = 64u << random_under(random, 5);
    plan->producers_max = 32u << random_under(random, 4);
    plan->poll_delay_ns = random_under(random, 20 * US);
}

/* From a stream of its own: what else a seed draws does not depend on it. */
static void
draw_disk(struct plan *plan, uint64_t seed, enum sim_profile profile, uint32_t without)
{
    struct stream_random random = {seed * 0x9e3779b97f4a7c15u + 7};
    bool disk = random_under(&random, 3) == 0;

    plan->disk = profile == SIM_DISK || (profile == SIM_ANY && disk);
    plan->disk_ns = 20 * US + random_under(&random, 300 * US);
    plan->journal_file_bytes = (plan->segment_bytes < 1u << 20 ? plan->segment_bytes : 1u << 20) *
                               (uint32_t)(2 + random_under(&random, 7));
    for (unsigned kind = FAULT_DISK_FIRST; kind <= FAULT_DISK_LAST; kind++)
        plan->faults |= random_under(&random, 2) == 0 && plan->disk ? 1u << kind : 0;
    plan->faults &= ~without;
    /* Of each worker; half of them have as little as the logs may have, and what the catalog grows to, which stays in memory. */
    if (plan->disk)
        plan->memory_bytes = random_under(&random, 2) == 0 ? plan->segment_bytes * 32ull
                                                           : plan->segment_bytes * 2ull * (SIM_LOGS + 5) + (256u << 10);
    /* With fewer voters than there are nodes a medium that decays may be the only one that knows. */
    if (plan->faults & (1u << FAULT_DISK_ROT | 1u << FAULT_DISK_ASTRAY))
        plan->faults &= ~(1u << FAULT_MEMBERS);
    /* A branch may come home when the trunk that knew its entries is trimmed and their producers are forgotten:
     * docs/cap.md says so. */
    if (plan->faults & 1u << FAULT_TRIM)
        plan->producers_max = 4096;
}

/* From a stream of its own as well. Many segments flood now and then, some all the time. */
static void
draw_flood(struct plan *plan, uint64_t seed, uint32_t without)
{
    struct stream_random random = {seed * 0x9e3779b97f4a7c15u + 11};
    bool flood = random_under(&random, 4) == 0, hub = random_under(&random, 4) == 0;

    plan->flood_ppm = hub ? 1000000 : strength(&random, 300000);
    plan->floods = (1u << FLOODS) - 1;
    plan->faults |= (flood ? 1u << FAULT_FLOOD : 0) & ~without;
}

/* And so do operators. A node whose directory is swapped must not be the only one that knows: no fewer voters than nodes. */
static void
draw_operators(struct plan *plan, uint64_t seed, uint32_t without)
{
    struct stream_random random = {seed * 0x9e3779b97f4a7c15u + 13};
    uint32_t faults = 0;

    if (random_under(&random, 3) != 0)
        return;
    for (unsigned kind = FAULT_WIPED; kind <= FAULT_VOLUME; kind++)
        faults |= random_under(&random, 2) == 0 && (plan->disk || kind == FAULT_WIPED) ? 1u << kind : 0;
    faults &= ~without;
    plan->faults |= faults;
    if (faults != 0 && plan->disk)
        plan->faults &= ~(1u << FAULT_MEMBERS);
}

/* From a stream of its own, too. */
static void
draw_clocks(struct plan *plan, uint64_t seed, uint32_t without)
{
    struct stream_random random = {seed * 0x9e3779b97f4a7c15u + 15};

    if (random_under(&random, 4) == 0)
        plan->faults |= 1u << FAULT_CLOCK_WRONG & ~without;
}

/* And this. */
static void
draw_changes(struct plan *plan, uint64_t seed, uint32_t without)
{
    struct stream_random random = {seed * 0x9e3779b97f4a7c15u + 17};

    if (random_under(&random, 4) == 0)
        plan->faults |= 1u << FAULT_AGREED & ~without;
}

/* And this: most clusters have one. */
static uint32_t
draw_workers(uint64_t seed)
{
    struct stream_random random = {seed * 0x9e3779b97f4a7c15u + 19};

    return random_under(&random, 2) == 0 ? 1 : 1 + (uint32_t)random_under(&random, SIM_WORKERS);
}

void
plan_draw(struct plan *plan, uint64_t seed, uint32_t without, enum sim_profile profile)
{
    struct stream_random random = {seed * 0x2545f4914f6cdd1du + 1};
    static const enum cairn_policy policies[] = {CAIRN_POLICY_CP, CAIRN_POLICY_ADAPTIVE, CAIRN_POLICY_ADAPTIVE,
                                                 CAIRN_POLICY_AP, CAIRN_POLICY_CA,       CAIRN_POLICY_CP};

    memset(plan, 0, sizeof(*plan));
    plan->seed = seed;
    plan->messages_min = 100000;
    plan->nodes = random_under(&random, 4) == 0 ? 5 : 3;
    plan->logs = 1 + (uint32_t)random_under(&random, SIM_LOGS);
    for (uint32_t log = 0; log < SIM_LOGS; log++)
        plan->policies[log] = policies[random_under(&random, sizeof(policies) / sizeof(*policies))];
    plan->faults = draw_faults(&random) & ~without;
    plan->fault_every_ns = 20 * MS + random_under(&random, 400 * MS);
    plan->fault_for_ns = 5 * MS + random_under(&random, 150 * MS);
    draw_network(plan, &random);
    draw_load(plan, &random);
    draw_disk(plan, seed, profile, without);
    draw_flood(plan, seed, without);
    draw_operators(plan, seed, without);
    draw_clocks(plan, seed, without);
    draw_changes(plan, seed, without);
    plan->workers = draw_workers(seed);
}
