/* The node's clocks: what heartbeats tell of others' goes to control/clocks.h, what is news of it to people; and the
 * hybrid logical clocks that entries are stamped with (docs/cap.md, Clocks). */
#include "hlc.h"

#include <assert.h>

#include "events.h"
#include "look.h"
#include "state.h"

/* A heartbeat may come every 50 us; clocks that were set differ by a second at least. */
#define JUDGE_EVERY_NS 10000000u

/* Together, so that no pause between polls counts for a jump. */
static uint64_t
wall_and_now(const struct node *node, uint64_t *now_ns)
{
    const struct time_source *time = node->config.time;

    *now_ns = time->monotonic_ns(time->context);
    return time->wall_ns(time->context);
}

void
node_clocks_start(struct node *node)
{
    uint64_t now_ns, wall_ns = wall_and_now(node, &now_ns);
    struct clocks_config config = {
        .self = node->self,
        .nodes = node->nodes,
        .members = node->present,
        .bound_ns = cluster_clock_bound_ns(node->config.cluster),
    };

    clocks_init(&node->clocks, &config, wall_ns, now_ns);
    node->producer_max = producer_plausible_max(wall_ns);
}

static double
seconds(int64_t ns)
{
    return (double)ns / 1e9;
}

int64_t
node_clock_ahead_ns(const struct node *node, uint8_t of)
{
    const struct clocks *clocks = &node->clocks;

    if (!(clocks->told >> of & 1))
        return 0;
    return clocks->peers[of].offset_ns - (clocks->agreed ? clocks->agreed_offset_ns : clocks->offset_ns);
}

static void
tell_wrong(struct node *node, uint8_t of)
{
    const char *name = node->config.cluster->names[of];

    if (of == node->self)
        node_event(node, EVENT_CLOCK, NULL, of, 0, 0,
                   "%s's clock, this machine's, is %+.1f s off what the others agree on: no log is trimmed by age here",
                   name, seconds(node_clock_ahead_ns(node, of)));
    else
        node_event(node, EVENT_CLOCK, NULL, of, 0, 0, "%s's clock is %+.1f s off %s", name,
                   seconds(node_clock_ahead_ns(node, of)),
                   node->clocks.agreed ? "what the others agree on" : "this node's, and no majority agrees");
}

static void
tell(struct node *node, const struct clocks_news *news)
{
    if (news->set_ns != 0)
        node_event(node, EVENT_CLOCK, NULL, node->self, 0, 0,
                   "the wall clock of %s's machine was set by %+.1f s: nothing is trimmed by age for a while",
                   node->name, seconds(news->set_ns));
    if (news->believed_ns != 0)
        node_event(node, EVENT_CLOCK, NULL, node->self, 0, 0,
                   "%+.1f s are believed, since a majority has agreed on them for %.1f s", seconds(news->believed_ns),
                   seconds((int64_t)node->clocks.config.bound_ns));
    for (uint8_t i = 0; i < node->nodes; i++) {
        if (news->wrong >> i & 1)
            tell_wrong(node, i);
        if (news->right >> i & 1)
            node_event(node, EVENT_CLOCK, NULL, i, 0, 0, "%s's clock agrees again", node->config.cluster->names[i]);
    }
}

void
node_clocks_beat(struct node *node, uint64_t beat_ns)
{
    struct clocks_news news;
    uint64_t now_ns, wall_ns;

    if (beat_ns < node->clocks_ns)
        return;
    node->clocks_ns = beat_ns + JUDGE_EVERY_NS;
    wall_ns = wall_and_now(node, &now_ns);
    news = clocks_judge(&node->clocks, node->hears, wall_ns, now_ns);
    tell(node, &news);
    node->producer_max = producer_plausible_max(clocks_time_ns(&node->clocks, now_ns));
}

void
node_clocks_tell(const struct node *node, struct wire_heartbeat *heartbeat, uint64_t now_ns)
{
    struct clocks_word word = clocks_word(&node->clocks, now_ns);

    heartbeat->wall_ns = word.wall_ns;
    heartbeat->believed_ns = word.believed_ns;
    heartbeat->lag_ns = word.lag_ns;
}

void
node_clocks_take(struct node *node, uint8_t from, const struct wire_heartbeat *heartbeat)
{
    uint64_t now_ns = node_now_ns(node);
    struct clocks_word word = {
        .wall_ns = heartbeat->wall_ns,
        .believed_ns = heartbeat->believed_ns,
        .lag_ns = heartbeat->lag_ns,
    };

    clocks_told(&node->clocks, from, &word, now_ns);
    if (heartbeat->wall_ns > node->heard_hlc && !clocks_is_ahead(&node->clocks, heartbeat->wall_ns, now_ns))
        node->heard_hlc = heartbeat->wall_ns;
}

/* What is received advances the hybrid clock, unless it is beyond the bound: then it advances nobody's. */
void
node_take_hlc(struct node *node, struct node_log *log, uint64_t hlc)
{
    if (hlc > log->hlc && !clocks_is_ahead(&node->clocks, hlc, node->task.now_ns))
        log->hlc = hlc;
}

uint64_t
node_hlc(struct node *node, struct node_log *log, uint64_t now_ns)
{
    uint64_t hlc = clocks_time_ns(&node->clocks, now_ns);

    if (hlc < node->heard_hlc)
        hlc = node->heard_hlc;
    log->hlc = hlc > log->hlc ? hlc : log->hlc + 1;
    return log->hlc;
}

/* Along a trunk the clock never falls, whoever leads: also not where an earlier leader's was wrong. */
uint64_t
node_trunk_hlc(struct node *node, struct node_log *log, uint32_t count, uint64_t now_ns)
{
    uint64_t hlc = node_hlc(node, log, now_ns);

    assert(count > 0);
    if (hlc <= log->trunk_hlc)
        hlc = log->trunk_hlc + 1;
    log->trunk_hlc = hlc + count - 1;
    return hlc;
}

/* Entries of a branch come to the trunk: their own clocks stay as they were written. */
void
node_stamp(struct node *node, struct node_log *log, struct block *block)
{
    uint64_t now_ns = node->task.now_ns, last_hlc = block->hlc + block->count - 1;

    assert(block->trunk_hlc == 0 && block->count > 0);
    block->flags = clocks_is_ahead(&node->clocks, last_hlc, now_ns) ? BLOCK_CLOCK_DOUBTFUL : 0;
    node_take_hlc(node, log, last_hlc);
    block->trunk_hlc = node_trunk_hlc(node, log, block->count, now_ns);
}
