/* Clocks that are wrong: what they may not do. */
#include "sim/scene.h"

#include <string.h>

#include "cairn/view.h"
#include "node/state.h"
#include "sim/catalog.h"
#include "sim/clients.h"
#include "sim/life.h"
#include "sim/node.h"
#include "sim/trace.h"

#define DAY_NS (86400ll * 1000000000ll)
#define BOUND_NS (400 * MS) /* of every scenario here: scene_start() */

static void
set_clock(struct sim *sim, uint8_t node, int64_t ahead_ns)
{
    trace_add(sim, TRACE_FAULT, node, 0, "its wall clock is set %.1f s off", (double)ahead_ns / 1e9);
    sim->nodes[node].clock.wall_offset_ns = ahead_ns;
}

static void
set_all_clocks(struct sim *sim, int64_t ahead_ns)
{
    for (uint8_t i = 0; i < sim->plan.nodes; i++)
        set_clock(sim, i, ahead_ns);
}

/* By true time. */
static void
keep_for(struct sim *sim, uint64_t age_ns)
{
    char rules[64];

    snprintf(rules, sizeof(rules), "\"retain_age_ms\":%lu", (unsigned long)(age_ns / MS));
    catalog_write(sim, 0, "set", rules);
    for (uint8_t i = 0; i < sim->plan.nodes; i++)
        eventually(sim, WITHIN, node_log_of(&sim->nodes[i], LOG)->rules.retain_age_ns == age_ns);
}

static uint64_t
base_of(struct sim *sim, uint8_t node)
{
    const struct node_log *held = node_log_of(&sim->nodes[node], LOG);

    /* A run that has failed goes through the rest of its steps without what they were to bring about. */
    return held == NULL ? 0 : held->base_lsn;
}

/* Of the node's events, so many are of clocks and say that. */
static uint32_t
told(struct sim *sim, uint8_t node, const char *text)
{
    struct node_event events[64];
    uint64_t next = 0;
    uint32_t count, found = 0;

    while (node_is_up(&sim->nodes[node]) && (count = node_events(sim->nodes[node].node, &next, events, 64)) > 0) {
        for (uint32_t i = 0; i < count; i++)
            found += events[i].kind == EVENT_CLOCK && strstr(events[i].reason, text) != NULL;
    }
    return found;
}

/* The time that the node would stamp an entry with is off by so much. */
static bool
goes_by_time(struct sim *sim, uint8_t node, int64_t off_ns)
{
    int64_t error_ns;

    if (!node_is_up(&sim->nodes[node]))
        return false;
    error_ns = (int64_t)clocks_time_ns(&worker_of(sim, node)->clocks, node_clock_ns(&sim->nodes[node])) -
               (int64_t)(sim->now_ns + 1700000000ull * 1000000000u) - off_ns;
    return error_ns > -(int64_t)BOUND_NS && error_ns < (int64_t)BOUND_NS;
}

/* No clock of the trunk's is a wrong one's, here. */
static bool
keeps_sane_time(struct sim *sim, uint8_t node)
{
    const struct node_log *held = node_log_of(&sim->nodes[node], LOG);

    return held != NULL && held->trunk_hlc < 1700000000ull * 1000000000u + DAY_NS / 2;
}

/* One of three is a day ahead: it follows, it leads, it starts anew. Nothing goes by it, nobody takes its time over. */
static void
clock_a_day_ahead(struct sim *sim)
{
    uint8_t leader, wrong;
    uint64_t first_lsn;

    leader = scene_start(sim, 3, CAIRN_POLICY_CP);
    wrong = follower(sim, leader, 1);
    keep_for(sim, 3600000 * MS);
    append_many(sim, leader, 7, 50, CAIRN_ACK_MAJORITY);
    sim_run_for(sim, 2 * BOUND_NS);
    set_clock(sim, wrong, DAY_NS);
    sim_run_for(sim, 2000 * MS);
    expect(sim, told(sim, leader, "clock is +86400.0 s off what the others agree on") == 1);
    expect(sim, told(sim, wrong, "this machine's, is +86400.0 s off") == 1);
    expect(sim, base_of(sim, wrong) == 0);
    scene_lead(sim, wrong);
    append_many(sim, wrong, 8, 50, CAIRN_ACK_MAJORITY);
    sim_run_for(sim, 2000 * MS);
    for (uint8_t i = 0; i < 3; i++)
        expect(sim, base_of(sim, i) == 0 && goes_by_time(sim, i, 0));
    /* Nor does it know by itself what is old, as leader. */
    first_lsn = place(sim, 8, 1);
    keep_for(sim, 1000 * MS);
    sim_run_for(sim, 3000 * MS);
    expect(sim, base_of(sim, wrong) == 0);
    /* Who leads with a clock that agrees lets go what is that old, everywhere. */
    scene_lead(sim, leader);
    for (uint8_t i = 0; i < 3; i++)
        eventually(sim, 3000 * MS, base_of(sim, i) >= first_lsn);
    for (uint8_t i = 0; i < 3; i++)
        expect(sim, keeps_sane_time(sim, i));
    /* Two that differ are no majority. */
    isolate(sim, follower(sim, leader, 2), true);
    set_clock(sim, wrong, -DAY_NS);
    sim_run_for(sim, 3 * BOUND_NS);
    expect(sim, goes_by_time(sim, leader, 0));
    isolate(sim, follower(sim, leader, 2), false);
    /* Set right it agrees again. */
    set_clock(sim, wrong, 0);
    sim_run_for(sim, 2 * BOUND_NS);
    expect(sim, told(sim, wrong, "agrees again") == 1);
    expect(sim, told(sim, leader, "+86400.0 s off what the others agree on") == 1);
    scene_end(sim);
}

/* All clocks jump ten days ahead, and back; then for good. */
static void
clocks_jump_and_return(struct sim *sim)
{
    uint8_t leader;
    uint64_t before_lsn;

    leader = scene_start(sim, 3, CAIRN_POLICY_CP);
    keep_for(sim, 5000 * MS);
    sim_run_for(sim, 2 * BOUND_NS);
    append_many(sim, leader, 7, 50, CAIRN_ACK_MAJORITY);
    set_all_clocks(sim, 10 * DAY_NS);
    sim_run_for(sim, BOUND_NS - 50 * MS);
    append_many(sim, leader, 8, 10, CAIRN_ACK_MAJORITY);
    set_all_clocks(sim, 0);
    sim_run_for(sim, 2 * BOUND_NS);
    for (uint8_t i = 0; i < 3; i++)
        expect(sim, base_of(sim, i) == 0 && goes_by_time(sim, i, 0) && told(sim, i, "was set by +864000.0 s") == 1);
    append_many(sim, leader, 9, 10, CAIRN_ACK_MAJORITY);
    set_all_clocks(sim, 10 * DAY_NS);
    sim_run_for(sim, 2000 * MS);
    before_lsn = place(sim, 9, 10);
    for (uint8_t i = 0; i < 3; i++)
        expect(sim, base_of(sim, i) == 0 && goes_by_time(sim, i, 10 * DAY_NS) && told(sim, i, "are believed") == 1);
    append_many(sim, leader, 10, 10, CAIRN_ACK_MAJORITY);
    /* Whoever leads next, also one that has slept through it, knows of the jump. */
    node_crash(&sim->nodes[leader]);
    scene_successor(sim, leader, WITHIN);
    sim_run_for(sim, 2 * SIM_TIMEOUT_NS);
    node_boot(&sim->nodes[leader]);
    eventually(sim, WITHIN, all_follow(sim) && !core_recovering(core_of(sim, leader)));
    scene_lead(sim, leader);
    sim_run_for(sim, 2 * BOUND_NS);
    expect(sim, base_of(sim, leader) < before_lsn);
    /* It all goes in its time. */
    eventually(sim, 8000 * MS, base_of(sim, leader) >= before_lsn);
    scene_end(sim);
}

/* A node that starts after a jump believes the later time at once. It leads, and the others do not believe it for as
 * long again, since they were cut off for a moment. */
static void
start_amid_a_jump(struct sim *sim)
{
    uint8_t leader, anew;

    leader = scene_start(sim, 3, CAIRN_POLICY_CP);
    anew = follower(sim, leader, 1);
    keep_for(sim, 3000 * MS);
    sim_run_for(sim, 2 * BOUND_NS);
    append_many(sim, leader, 7, 50, CAIRN_ACK_MAJORITY);
    set_all_clocks(sim, 10 * DAY_NS);
    sim_run_for(sim, 10 * MS);
    node_crash(&sim->nodes[anew]);
    node_boot(&sim->nodes[anew]);
    eventually(sim, WITHIN, all_follow(sim) && !core_recovering(core_of(sim, anew)));
    sim_run_for(sim, BOUND_NS / 4);
    isolate(sim, leader, true);
    isolate(sim, anew, true);
    sim_run_for(sim, 10 * SIM_TIMEOUT_NS);
    isolate(sim, anew, false);
    sim_run_for(sim, 2 * SIM_TIMEOUT_NS);
    isolate(sim, leader, false);
    eventually(sim, WITHIN, all_follow(sim));
    scene_lead(sim, anew);
    sim_run_for(sim, 3 * BOUND_NS);
    for (uint8_t i = 0; i < 3; i++)
        expect(sim, base_of(sim, i) == 0 && goes_by_time(sim, i, 10 * DAY_NS));
    /* The jump counts once, also where another has believed it first. */
    for (uint8_t i = 0; i < 3; i++)
        expect(sim, !node_is_up(&sim->nodes[i]) ||
                        clocks_lag_ns(&worker_of(sim, i)->clocks) < (uint64_t)(10 * DAY_NS) + BOUND_NS);
    /* It all goes in its time. */
    eventually(sim, 4000 * MS, base_of(sim, anew) >= place(sim, 7, 50));
    scene_end(sim);
}

/* The next leader's clock is a day behind, and later a day ahead of an earlier leader's: the trunk's clock rises. */
static void
leader_clock_behind(struct sim *sim)
{
    uint8_t leader;

    leader = scene_start(sim, 3, CAIRN_POLICY_CP);
    append_many(sim, leader, 7, 20, CAIRN_ACK_MAJORITY);
    for (uint32_t round = 0; round < 6 && !sim->failed; round++) {
        uint8_t next = follower(sim, leader, 1 + round % 2);

        set_clock(sim, next, round % 2 == 0 ? -DAY_NS : DAY_NS);
        scene_lead(sim, next);
        append_many(sim, next, 20 + round, 20, CAIRN_ACK_MAJORITY);
        leader = next;
    }
    /* Nobody agrees with anybody, so who starts goes by its own clock: what one has said the next does not fall behind. */
    for (uint8_t i = 0; i < 3; i++)
        set_clock(sim, i, i * DAY_NS);
    for (uint8_t i = 3; i-- > 0 && !sim->failed;) {
        node_crash(&sim->nodes[i]);
        sim_run_for(sim, 3 * SIM_TIMEOUT_NS);
        node_boot(&sim->nodes[i]);
        eventually(sim, WITHIN, all_follow(sim) && !core_recovering(core_of(sim, i)));
        scene_lead(sim, i);
        append_many(sim, i, 30 + i, 20, CAIRN_ACK_MAJORITY);
    }
    scene_end(sim);
}

/* Who began anew behind all that there was leads next; its clock is days behind. */
static void
base_brings_the_clock(struct sim *sim)
{
    /* The operator works at the first. */
    const uint8_t ahead = 1, away = 2;
    char rules[48];

    scene_start(sim, 3, CAIRN_POLICY_CP);
    /* Nobody agrees with anybody, so who starts goes by its own clock. */
    set_clock(sim, 0, 2 * DAY_NS);
    set_clock(sim, ahead, 4 * DAY_NS);
    node_crash(&sim->nodes[ahead]);
    sim_run_for(sim, 3 * SIM_TIMEOUT_NS);
    node_boot(&sim->nodes[ahead]);
    eventually(sim, WITHIN, all_follow(sim) && !core_recovering(core_of(sim, ahead)));
    scene_lead(sim, ahead);
    isolate(sim, away, true);
    sim_run_for(sim, 3 * SIM_TIMEOUT_NS);
    append_many(sim, ahead, 8, 200, CAIRN_ACK_MAJORITY);
    sim_run_for(sim, 50 * MS);
    snprintf(rules, sizeof(rules), "\"trim_before\":%lu", (unsigned long)core_last_lsn(core_of(sim, ahead)) + 1);
    /* Who is asked first may be the one that is away. */
    for (int tries = 0; tries < 10 && base_of(sim, ahead) != core_last_lsn(core_of(sim, ahead)); tries++) {
        client_die(sim, &sim->clients[SIM_CLIENTS]);
        sim_run_for(sim, 40 * MS);
        catalog_write(sim, 0, "trim", rules);
        sim_run_for(sim, 40 * MS);
    }
    expect(sim, base_of(sim, ahead) == core_last_lsn(core_of(sim, ahead)));
    isolate(sim, away, false);
    eventually(sim, WITHIN, base_of(sim, away) == base_of(sim, ahead));
    scene_lead(sim, away);
    append_many(sim, away, 9, 20, CAIRN_ACK_MAJORITY);
    scene_end(sim);
}

static void
add_to_view(void *context, const struct cairn_result *entry)
{
    if (entry->entry.key_bytes > 0)
        cairn_view_add(context, entry);
}

static void
keep_value(void *context, const void *key, size_t key_bytes, const struct cairn_value *values, size_t count)
{
    char *text = context;

    (void)key;
    (void)key_bytes;
    if (count == 1)
        snprintf(text, 16, "%.*s%s", (int)values[0].bytes_count, (const char *)values[0].bytes,
                 values[0].stamp.clock_doubtful ? "!" : "");
}

/* A node that starts cut off with a clock a day ahead writes alone; what it wrote comes to the trunk with its clock as it
 * is, marked, and is the last to win. */
static void
doubtful_clock(struct sim *sim)
{
    uint8_t leader, wrong;

    sim->plan.disk = true;
    sim->plan.disk_ns = 20 * US;
    leader = scene_start(sim, 3, CAIRN_POLICY_ADAPTIVE);
    wrong = follower(sim, leader, 1);
    node_crash(&sim->nodes[wrong]);
    isolate(sim, wrong, true);
    set_clock(sim, wrong, DAY_NS);
    node_boot(&sim->nodes[wrong]);
    eventually(sim, WITHIN,
               node_log_of(&sim->nodes[wrong], LOG) != NULL &&
                   node_log_of(&sim->nodes[wrong], LOG)->mode == CAIRN_MODE_AP);
    expect(sim, append_keyed(sim, wrong, "k", "wrong", NULL) == CAIRN_OK);
    sim_run_for(sim, 5 * MS);
    leader = scene_leader(sim);
    expect(sim, append_keyed(sim, leader, "k", "right", NULL) == CAIRN_OK);
    isolate(sim, wrong, false);
    scene_end(sim);
    for (uint8_t i = 0; i < 3; i++) {
        struct cairn_view *view = cairn_view_create(CAIRN_RESOLVE_LWW);
        char text[16] = "";

        expect(sim, scene_read_all(sim, i, NULL, add_to_view, view) == CAIRN_OK);
        cairn_view_each(view, keep_value, text);
        cairn_view_free(view);
        expect(sim, strcmp(text, "right") == 0);
        expect(sim, goes_by_time(sim, i, 0));
        expect(sim, keeps_sane_time(sim, i));
    }
}

const struct scenario scenarios_clocks[] = {
    {"clock-a-day-ahead", "a node whose clock is a day ahead deletes nothing and advances nobody", clock_a_day_ahead},
    {"clocks-jump-and-return", "when all clocks jump nothing is older by it, whether they return or not",
     clocks_jump_and_return},
    {"start-amid-a-jump", "nor by who starts, and believes it, before the others do", start_amid_a_jump},
    {"leader-clock-behind", "along the trunk the clock rises, whoever leads", leader_clock_behind},
    {"base-brings-the-clock", "also by who has but the trunk's beginning", base_brings_the_clock},
    {"doubtful-clock", "what was written by a wrong clock is kept, marked, and the last to win", doubtful_clock},
    {0},
};
