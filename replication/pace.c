/* At what pace branches drain onto the trunk while clients append to it.
 *
 * While none do, as fast as the hand-off's window lets them. While some do, the leader says a rate with each answer, and
 * looks for the highest at which one append in a hundred still takes no longer than half as long again as one in a
 * hundred takes when nothing drains. Each append that is slower takes a little off the rate, each other adds so much
 * less that the two balance where 99 of 100 are in time. The usual time is found in the same way. All appends count,
 * those of one turn together: a look at one at a time would see a stall once, and not the many that waited for its end.
 * (Steps of unequal size as an estimate of a quantile: Ma, Muthukrishnan and Sandler, "Frugal Streaming for Estimating
 * Quantiles", 2013. A rate that follows the time taken rather than loss: Mittal et al., "TIMELY", SIGCOMM 2015.) */
#include "assert_costly.h"
#include "replication/state.h"

/* A million entries in a quarter of a minute, whatever the clients pay. */
#define RATE_LEAST 65536u
#define RATE_MOST 16777216u
#define RATE_FIRST 131072u
/* Appends until the usual time can be relied on. */
#define LEARN_ENTRIES 16384u
/* An append moves the rate by one part in so many, at most. */
#define STEP_PARTS 1024u
/* It moves the usual time by one part in a sixteenth of the appends that this is known from: a stall just before a merge is
 * not what is usual. */
#define LEARN_PARTS_MOST 16384u
#define WEIGHT_MOST 256u

/* What holds between any two events. */
static void
pace_assert(const struct pace *pace)
{
    assert_costly(pace->begun - pace->judged <= PACE_TURNS);
    assert_costly(pace->begun == pace->judged || pace->turns[(pace->begun - 1) % PACE_TURNS].lsn == pace->begun_lsn);
    assert_costly(pace->rate_per_s == 0 || (pace->rate_per_s >= RATE_LEAST && pace->rate_per_s <= RATE_MOST));
    assert_costly(pace->learned < LEARN_PARTS_MOST * 16 + WEIGHT_MOST);
    assert_costly(pace->learned != 0 || pace->usual_ps == 0);
}

/* Does a client append? */
static bool
is_live(struct core *core, uint64_t now_ns)
{
    assert(core->appended_lsn <= core->last_lsn);
    assert(core->live_lsn <= core->appended_lsn);
    if (core->appended_lsn != core->live_lsn)
        core->live_until_ns = now_ns + core->config.election_timeout_ns;
    core->live_lsn = core->appended_lsn;
    return now_ns < core->live_until_ns;
}

static uint32_t
draining(const struct core *core, uint64_t now_ns)
{
    uint32_t origins = 0;

    for (uint8_t origin = 0; origin < CAIRN_NODES_MAX; origin++)
        origins += core->pace.taken_ns[origin] != 0 &&
                   now_ns - core->pace.taken_ns[origin] < core->config.election_timeout_ns;
    return origins;
}

/* A batch of the origin's has been taken or looked at: entries a second it may go on with, 0: as many as it likes. */
uint32_t
pace_rate(struct core *core, uint8_t origin, uint64_t now_ns)
{
    struct pace *pace = &core->pace;
    bool resumed = draining(core, now_ns) == 0;
    uint32_t origins;

    assert(core->role == ROLE_LEADER);
    assert(resumed || pace->rate_per_s != 0);
    if (resumed || pace->rate_per_s == 0)
        pace->rate_per_s = RATE_FIRST;
    pace->taken_ns[origin] = now_ns != 0 ? now_ns : 1;
    pace_assert(pace);
    if (!is_live(core, now_ns))
        return 0;
    origins = draining(core, now_ns);
    assert(origins > 0 && origins <= CAIRN_NODES_MAX);
    /* 0 would be as fast as it likes. */
    assert(pace->rate_per_s / origins > 0);
    return pace->rate_per_s / origins;
}

static void
learn(struct pace *pace, uint64_t took_ns, uint64_t weight)
{
    uint64_t parts = pace->learned / 16 > STEP_PARTS ? pace->learned / 16 : STEP_PARTS;

    assert_costly(weight > 0 && weight <= WEIGHT_MOST);
    assert_costly(weight <= parts);
    if (pace->learned == 0)
        pace->usual_ps = took_ns * 1000;
    else if (took_ns * 1000 > pace->usual_ps)
        pace->usual_ps += pace->usual_ps * weight / parts + 1;
    else
        pace->usual_ps -= pace->usual_ps * weight / (parts * 99);
    pace->learned += pace->learned < LEARN_PARTS_MOST * 16 ? weight : 0;
}

static void
adapt(struct pace *pace, uint64_t took_ns, uint64_t weight)
{
    assert(pace->learned >= LEARN_ENTRIES);
    assert(pace->rate_per_s >= RATE_LEAST && pace->rate_per_s <= RATE_MOST);
    assert(weight > 0 && weight < STEP_PARTS);
    if (took_ns * 1000 > pace->usual_ps + pace->usual_ps / 2)
        pace->rate_per_s -= (uint32_t)(pace->rate_per_s * weight / STEP_PARTS);
    else
        pace->rate_per_s += (uint32_t)(pace->rate_per_s * weight / (STEP_PARTS * 99));
    if (pace->rate_per_s < RATE_LEAST)
        pace->rate_per_s = RATE_LEAST;
    if (pace->rate_per_s > RATE_MOST)
        pace->rate_per_s = RATE_MOST;
}

/* The appends of one turn are committed. */
static void
judge(struct pace *pace, const struct pace_turn *turn, bool drains, uint64_t now_ns)
{
    if (drains && pace->learned >= LEARN_ENTRIES)
        adapt(pace, now_ns - turn->begun_ns, turn->entries);
    else
        learn(pace, now_ns - turn->begun_ns, turn->entries);
}

void
pace_commit(struct core *core, uint64_t now_ns)
{
    struct pace *pace = &core->pace;

    assert_costly(core->role == ROLE_LEADER);
    assert_costly(core->appended_lsn <= core->last_lsn);
    assert_costly(pace->begun_lsn <= core->appended_lsn);
    pace_assert(pace);
    while (pace->judged != pace->begun && pace->turns[pace->judged % PACE_TURNS].lsn <= core->commit_lsn)
        judge(pace, &pace->turns[pace->judged++ % PACE_TURNS], draining(core, now_ns) > 0, now_ns);
    if (core->appended_lsn > core->commit_lsn && core->appended_lsn > pace->begun_lsn &&
        pace->begun - pace->judged < PACE_TURNS) {
        uint64_t entries = pace->begun_lsn != 0 ? core->appended_lsn - pace->begun_lsn : 1;

        pace->turns[pace->begun++ % PACE_TURNS] = (struct pace_turn){
            .lsn = core->appended_lsn,
            .begun_ns = now_ns,
            .entries = (uint32_t)(entries < WEIGHT_MOST ? entries : WEIGHT_MOST)};
        pace->begun_lsn = core->appended_lsn;
        pace_assert(pace);
    }
}

void
pace_start(struct core *core)
{
    assert(core->role == ROLE_LEADER && core->leader == core->config.self);
    memset(&core->pace, 0, sizeof(core->pace));
    /* What was appended in an earlier term may have been cut off since. */
    core->appended_lsn = core->live_lsn = 0;
}
