/* The node's clocks: what heartbeats tell of others' goes to rules/clocks.h, what is news of it to people; and the
 * hybrid logical clocks that entries are stamped with (docs/cap.md, Clocks). */
#include "node/worker/hlc.h"

#include <assert.h>

#include "assert_costly.h"
#include "node/events.h"
#include "node/look.h"
#include "node/worker/worker.h"

/* A heartbeat may come every 50 us; clocks that were set differ by a second at least. */
#define JUDGE_EVERY_NS 10000000u

/* Both clocks are read together, so that no pause between polls counts for a jump. */
static uint64_t
wall_and_now(const struct worker *worker, uint64_t *now_ns)
{
    const struct time_source *time = worker->config->time;

    *now_ns = time->monotonic_ns(time->context);
    return time->wall_ns(time->context);
}

void
node_clocks_start(struct worker *worker)
{
    uint64_t now_ns, wall_ns = wall_and_now(worker, &now_ns);
    struct clocks_config config = {
        .self = worker->self,
        .nodes = worker->nodes,
        .members = worker->present,
        .bound_ns = cluster_clock_bound_ns(worker->config->cluster),
    };

    assert(config.members >> config.self & 1);
    clocks_init(&worker->clocks, &config, wall_ns, now_ns);
    worker->producer_max = producer_plausible_max(wall_ns);
    assert(worker->producer_max <= PRODUCER_MAX);
}

static double
seconds(int64_t ns)
{
    return (double)ns / 1e9;
}

int64_t
node_clock_ahead_ns(const struct worker *worker, uint8_t of)
{
    const struct clocks *clocks = &worker->clocks;

    assert(of < clocks->config.nodes);
    assert(clocks->told >> worker->self & 1);
    if (!(clocks->told >> of & 1))
        return 0;
    return clocks->peers[of].offset_ns - (clocks->agreed ? clocks->agreed_offset_ns : clocks->offset_ns);
}

static void
tell_wrong(struct worker *worker, uint8_t of)
{
    const char *name = worker->config->cluster->names[of];

    assert(worker->clocks.wrong >> of & 1);
    if (of == worker->self)
        node_event(worker, EVENT_CLOCK, NULL, of, 0, 0,
                   "%s's clock, this machine's, is %+.1f s off what the others agree on: no log is trimmed by age here",
                   name, seconds(node_clock_ahead_ns(worker, of)));
    else
        node_event(worker, EVENT_CLOCK, NULL, of, 0, 0, "%s's clock is %+.1f s off %s", name,
                   seconds(node_clock_ahead_ns(worker, of)),
                   worker->clocks.agreed ? "what the others agree on" : "this node's, and no majority agrees");
}

static void
tell(struct worker *worker, const struct clocks_news *news)
{
    assert((news->wrong & news->right) == 0);
    assert((news->right & worker->clocks.wrong) == 0);
    /* The machine's clock is the same to all workers. */
    if (!worker_is_first(worker))
        return;
    if (news->set_ns != 0)
        node_event(worker, EVENT_CLOCK, NULL, worker->self, 0, 0,
                   "the wall clock of %s's machine was set by %+.1f s: nothing is trimmed by age for a while",
                   worker->name, seconds(news->set_ns));
    if (news->believed_ns != 0)
        node_event(worker, EVENT_CLOCK, NULL, worker->self, 0, 0,
                   "%+.1f s are believed, since a majority has agreed on them for %.1f s", seconds(news->believed_ns),
                   seconds((int64_t)worker->clocks.config.bound_ns));
    for (uint8_t i = 0; i < worker->nodes; i++) {
        if (news->wrong >> i & 1)
            tell_wrong(worker, i);
        if (news->right >> i & 1)
            node_event(worker, EVENT_CLOCK, NULL, i, 0, 0, "%s's clock agrees again",
                       worker->config->cluster->names[i]);
    }
}

void
node_clocks_beat(struct worker *worker, uint64_t beat_ns)
{
    struct clocks_news news;
    uint64_t now_ns, wall_ns;

    if (beat_ns < worker->clocks_ns)
        return;
    worker->clocks_ns = beat_ns + JUDGE_EVERY_NS;
    wall_ns = wall_and_now(worker, &now_ns);
    news = clocks_judge(&worker->clocks, worker->hears, wall_ns, now_ns);
    tell(worker, &news);
    worker->producer_max = producer_plausible_max(clocks_time_ns(&worker->clocks, now_ns));
    assert(worker->producer_max <= PRODUCER_MAX);
}

void
node_clocks_tell(const struct worker *worker, struct wire_heartbeat *heartbeat, uint64_t now_ns)
{
    struct clocks_word word = clocks_word(&worker->clocks, now_ns);

    /* The clock that entries age by is never ahead: the lag has no sign. */
    assert(worker->clocks.age_offset_ns <= worker->clocks.offset_ns);
    heartbeat->wall_ns = word.wall_ns;
    heartbeat->believed_ns = word.believed_ns;
    heartbeat->lag_ns = word.lag_ns;
}

void
node_clocks_take(struct worker *worker, uint8_t from, const struct wire_heartbeat *heartbeat)
{
    uint64_t now_ns = node_now_ns(worker->node);
    struct clocks_word word = {
        .wall_ns = heartbeat->wall_ns,
        .believed_ns = heartbeat->believed_ns,
        .lag_ns = heartbeat->lag_ns,
    };

    clocks_told(&worker->clocks, from, &word, now_ns);
    if (heartbeat->wall_ns > worker->heard_hlc && !clocks_is_ahead(&worker->clocks, heartbeat->wall_ns, now_ns))
        worker->heard_hlc = heartbeat->wall_ns;
}

/* What is received advances the hybrid clock, unless it is beyond the bound: then it advances nobody's. */
void
node_take_hlc(struct worker *worker, struct node_log *log, uint64_t hlc)
{
    if (hlc > log->hlc && !clocks_is_ahead(&worker->clocks, hlc, worker->task.now_ns))
        log->hlc = hlc;
}

/* The next clock of so many entries behind that one. At the end of all clocks, where only a forged one can have led, it stays: what
 * is written must be such as a start, and every peer, takes. */
static uint64_t
behind(uint64_t last_hlc, uint64_t hlc, uint32_t count)
{
    if (hlc <= last_hlc)
        hlc = last_hlc + 1;
    return hlc_plausible(hlc, count) ? hlc : HLC_MAX - count;
}

uint64_t
node_hlc(struct worker *worker, struct node_log *log, uint64_t now_ns)
{
    uint64_t hlc = clocks_time_ns(&worker->clocks, now_ns), last_hlc = log->hlc;

    if (hlc < worker->heard_hlc)
        hlc = worker->heard_hlc;
    log->hlc = behind(last_hlc, hlc, 1);
    assert_costly(log->hlc > last_hlc || log->hlc == HLC_MAX - 1);
    return log->hlc;
}

/* Along a trunk the clock never falls, whoever leads: also not where an earlier leader's was wrong. */
uint64_t
node_trunk_hlc(struct worker *worker, struct node_log *log, uint32_t count, uint64_t now_ns)
{
    uint64_t hlc = node_hlc(worker, log, now_ns), last_hlc = log->trunk_hlc;

    assert(count > 0);
    hlc = behind(last_hlc, hlc, count);
    log->trunk_hlc = hlc + count - 1;
    assert_costly(hlc > last_hlc || log->trunk_hlc == HLC_MAX - 1);
    return hlc;
}

/* Entries of a branch come to the trunk: their own clocks stay as they were written. */
void
node_stamp(struct worker *worker, struct node_log *log, struct block *block)
{
    uint64_t now_ns = worker->task.now_ns, last_hlc = block->hlc + block->count - 1;

    assert(block->trunk_hlc == 0 && block->count > 0);
    block->flags = clocks_is_ahead(&worker->clocks, last_hlc, now_ns) ? BLOCK_CLOCK_DOUBTFUL : 0;
    node_take_hlc(worker, log, last_hlc);
    block->trunk_hlc = node_trunk_hlc(worker, log, block->count, now_ns);
    assert(block->trunk_hlc + block->count - 1 == log->trunk_hlc);
}
