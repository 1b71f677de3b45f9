#include "rules/clocks.h"

#include <assert.h>
#include <string.h>

/* No clock of a machine that is read as 1970 or later is beyond this (2116): sums of two fit. */
#define CLOCK_MAX_NS (1ull << 62)
/* A wall clock that moves by so much was set; less comes from how clocks are read. */
#define SET_NS 1000000000
#define FALL_SHARE 16
/* A clock is told to be wrong after so long: a node that was paused reads old heartbeats first. */
#define WRONG_AFTER_NS 1000000000u

static int64_t
offset_of(uint64_t wall_ns, uint64_t now_ns)
{
    if (wall_ns > CLOCK_MAX_NS)
        wall_ns = CLOCK_MAX_NS;
    assert(now_ns <= CLOCK_MAX_NS);
    return (int64_t)wall_ns - (int64_t)now_ns;
}

static uint64_t
apart(int64_t left_ns, int64_t right_ns)
{
    return left_ns > right_ns ? (uint64_t)left_ns - (uint64_t)right_ns : (uint64_t)right_ns - (uint64_t)left_ns;
}

/* Between any two changes. */
static void
assert_clocks(const struct clocks *clocks)
{
    assert(clocks->age_offset_ns <= clocks->low_offset_ns && clocks->low_offset_ns <= clocks->offset_ns);
    assert(clocks->told >> clocks->config.self & 1 && (clocks->wrong & ~clocks->told) == 0);
    assert(clocks->settled || (clocks->jump_ns == 0 && clocks->calm_ns == 0));
}

static uint32_t
members_count(const struct clocks *clocks)
{
    uint32_t count = clocks->config.members == 0 ? clocks->config.nodes
                                                 : (uint32_t)__builtin_popcount(clocks->config.members);

    assert(count >= 1 && count <= clocks->config.nodes);
    return count;
}

static bool
are_near(const struct clocks *clocks, int64_t left_ns, int64_t right_ns)
{
    return apart(left_ns, right_ns) <= clocks->config.bound_ns;
}

void
clocks_init(struct clocks *clocks, const struct clocks_config *config, uint64_t wall_ns, uint64_t now_ns)
{
    assert(config->nodes >= 1 && config->nodes <= CAIRN_NODES_MAX && config->self < config->nodes);
    assert(config->bound_ns > 0);
    memset(clocks, 0, sizeof(*clocks));
    clocks->config = *config;
    clocks->told = (cairn_node_set)1 << config->self;
    clocks->offset_ns = offset_of(wall_ns, now_ns);
    clocks->age_offset_ns = clocks->low_offset_ns = clocks->peers[config->self].offset_ns = clocks->offset_ns;
    assert_clocks(clocks);
}

void
clocks_reconfigure(struct clocks *clocks, const struct clocks_config *config)
{
    assert(config->self == clocks->config.self && config->nodes >= clocks->config.nodes);
    assert(config->members >> config->self & 1);
    clocks->config = *config;
    clocks->told &= config->members;
    clocks->wrong &= config->members;
    assert_clocks(clocks);
}

/* A word that was long on its way, or waited here for a thread that did not run, tells of a clock that is behind by as much:
 * nothing makes one seem ahead. So the highest counts at once, and what falls by less than a clock that was set does is
 * followed slowly (the filter for the least delay of RFC 5905, section 10, in small). */
static int64_t
filtered(int64_t former_ns, int64_t offset_ns)
{
    int64_t next_ns;

    if (offset_ns >= former_ns || former_ns - offset_ns >= SET_NS)
        return offset_ns;
    next_ns = former_ns - (former_ns - offset_ns) / FALL_SHARE;
    assert(next_ns > offset_ns && next_ns <= former_ns);
    return next_ns;
}

void
clocks_told(struct clocks *clocks, uint8_t peer, const struct clocks_word *word, uint64_t now_ns)
{
    struct clocks_peer *told = &clocks->peers[peer];
    int64_t offset_ns = offset_of(word->wall_ns, now_ns);

    assert(peer < clocks->config.nodes && peer != clocks->config.self);
    told->offset_ns = clocks->told >> peer & 1 ? filtered(told->offset_ns, offset_ns) : offset_ns;
    clocks->told |= (cairn_node_set)1 << peer;
    told->believes = word->believed_ns != 0;
    told->believed_offset_ns = offset_of(word->believed_ns, now_ns);
    told->lag_ns = word->lag_ns;
}

void
clocks_forget(struct clocks *clocks, uint8_t peer)
{
    assert(peer < clocks->config.nodes && peer != clocks->config.self);
    clocks->told &= ~((cairn_node_set)1 << peer);
    clocks->wrong &= ~((cairn_node_set)1 << peer);
    clocks->peers[peer] = (struct clocks_peer){0};
    assert_clocks(clocks);
}

/* The offsets of the nodes in the set, rising. Returns how many there are. */
static uint32_t
offsets_of(const struct clocks *clocks, cairn_node_set nodes, int64_t *offsets)
{
    uint32_t count = 0;

    for (uint8_t i = 0; i < clocks->config.nodes; i++) {
        uint32_t at = count;

        if (!(nodes >> i & 1))
            continue;
        for (; at > 0 && offsets[at - 1] > clocks->peers[i].offset_ns; at--)
            offsets[at] = offsets[at - 1];
        offsets[at] = clocks->peers[i].offset_ns;
        count++;
        assert(offsets[0] <= offsets[at] && offsets[at] <= offsets[count - 1]);
    }
    return count;
}

/* Finds the most clocks that are within the bound of each other, the earliest where several are as many. Where they are
 * more than half of all nodes', the time is their median. */
static void
agree(struct clocks *clocks, cairn_node_set heard)
{
    int64_t offsets[CAIRN_NODES_MAX];
    uint32_t count = offsets_of(clocks, heard & clocks->told, offsets), most = 0, first = 0;

    for (uint32_t low = 0, high = 0; high < count; high++) {
        while (!are_near(clocks, offsets[low], offsets[high]))
            low++;
        if (high - low + 1 > most) {
            most = high - low + 1;
            first = low;
        }
    }
    assert(count >= 1 && first + most <= count && are_near(clocks, offsets[first], offsets[first + most - 1]));
    clocks->agreed = most > members_count(clocks) / 2;
    if (clocks->agreed)
        clocks->agreed_offset_ns = offsets[first + (most - 1) / 2];
}

/* The clock that entries age by falls with the time, and does not rise with it. */
static void
believe(struct clocks *clocks, int64_t offset_ns, uint64_t now_ns)
{
    if (offset_ns > clocks->low_offset_ns + SET_NS) {
        clocks->risen_ns = now_ns + (uint64_t)offset_ns;
        clocks->low_offset_ns = offset_ns;
    }
    if (clocks->low_offset_ns > offset_ns)
        clocks->low_offset_ns = offset_ns;
    clocks->offset_ns = offset_ns;
    if (clocks->age_offset_ns > offset_ns)
        clocks->age_offset_ns = offset_ns;
    assert_clocks(clocks);
}

/* The first that is agreed after a start is the time, and nothing was believed before it. */
static void
settle(struct clocks *clocks)
{
    assert(clocks->agreed && clocks->jump_ns == 0);
    clocks->settled = true;
    clocks->offset_ns = clocks->age_offset_ns = clocks->low_offset_ns = clocks->agreed_offset_ns;
    clocks->risen_ns = 0;
}

/* A peer that believes another time has not come to a jump yet, or this node has not. */
static bool
believes_otherwise(const struct clocks *clocks, const struct clocks_peer *peer)
{
    return peer->believes && !are_near(clocks, peer->believed_offset_ns, clocks->offset_ns);
}

static bool
somebody_believes_otherwise(const struct clocks *clocks, cairn_node_set heard)
{
    for (uint8_t i = 0; i < clocks->config.nodes; i++) {
        if ((heard & clocks->told) >> i & 1 && believes_otherwise(clocks, &clocks->peers[i]))
            return true;
    }
    return false;
}

/* This node may have slept through jumps that others know of, or it started after a jump that they believe only now.
 * Everybody comes to have the longest lag: things are kept longer by it, so anybody may tell it. A lag is behind what
 * its sender believes, so it says nothing to a node that believes another time. */
static void
hear_lags(struct clocks *clocks, cairn_node_set heard, uint64_t now_ns)
{
    uint64_t lag_ns = 0;

    for (uint8_t i = 0; i < clocks->config.nodes; i++) {
        const struct clocks_peer *peer = &clocks->peers[i];

        if ((heard & clocks->told) >> i & 1 && peer->believes && !believes_otherwise(clocks, peer) &&
            peer->lag_ns > lag_ns)
            lag_ns = peer->lag_ns;
    }
    /* Whatever is told, the clock that entries age by is not before 1970. */
    if (lag_ns > clocks_time_ns(clocks, now_ns))
        lag_ns = clocks_time_ns(clocks, now_ns);
    if (lag_ns <= clocks_lag_ns(clocks) + SET_NS)
        return;
    clocks->age_offset_ns = clocks->offset_ns - (int64_t)lag_ns;
    assert_clocks(clocks);
    clocks->risen_ns = now_ns + (uint64_t)clocks->offset_ns;
}

/* Returns by how much the time that is believed jumps; 0: it does not. */
static int64_t
follow(struct clocks *clocks, cairn_node_set heard, uint64_t now_ns)
{
    int64_t own_ns = clocks->peers[clocks->config.self].offset_ns, jump_ns;

    if (clocks->agreed && !clocks->settled)
        settle(clocks);
    if (!clocks->agreed && are_near(clocks, own_ns, clocks->offset_ns))
        believe(clocks, own_ns, now_ns);
    if (clocks->agreed && are_near(clocks, clocks->agreed_offset_ns, clocks->offset_ns))
        believe(clocks, clocks->agreed_offset_ns, now_ns);
    if (clocks->agreed)
        hear_lags(clocks, heard, now_ns);
    if (!clocks->agreed || are_near(clocks, clocks->agreed_offset_ns, clocks->offset_ns)) {
        clocks->jump_ns = 0;
        return 0;
    }
    if (clocks->jump_ns == 0 || !are_near(clocks, clocks->jump_offset_ns, clocks->agreed_offset_ns)) {
        clocks->jump_ns = now_ns;
        clocks->jump_offset_ns = clocks->agreed_offset_ns;
    }
    assert(clocks->settled);
    if (now_ns - clocks->jump_ns < clocks->config.bound_ns)
        return 0;
    jump_ns = clocks->agreed_offset_ns - clocks->offset_ns;
    believe(clocks, clocks->agreed_offset_ns, now_ns);
    clocks->jump_ns = 0;
    return jump_ns;
}

/* Is the node's clock off what is agreed? Where nothing is: is a peer's off what this node believes? */
static bool
is_off(const struct clocks *clocks, uint8_t node)
{
    int64_t time_ns = clocks->agreed ? clocks->agreed_offset_ns : clocks->offset_ns;

    if (!clocks->agreed && node == clocks->config.self)
        return (clocks->wrong >> node & 1) != 0;
    return !are_near(clocks, clocks->peers[node].offset_ns, time_ns);
}

static void
name_wrong(struct clocks *clocks, cairn_node_set heard, uint64_t now_ns, struct clocks_news *news)
{
    for (uint8_t i = 0; i < clocks->config.nodes; i++) {
        cairn_node_set bit = (cairn_node_set)1 << i;
        struct clocks_peer *peer = &clocks->peers[i];

        if (!(heard & clocks->told & bit))
            continue;
        if (!is_off(clocks, i)) {
            news->right |= clocks->wrong & bit;
            clocks->wrong &= ~bit;
            peer->off_ns = 0;
            continue;
        }
        if (peer->off_ns == 0)
            peer->off_ns = now_ns;
        if (now_ns - peer->off_ns >= WRONG_AFTER_NS && !(clocks->wrong & bit)) {
            news->wrong |= bit;
            clocks->wrong |= bit;
        }
    }
}

struct clocks_news
clocks_judge(struct clocks *clocks, cairn_node_set heard, uint64_t wall_ns, uint64_t now_ns)
{
    struct clocks_peer *own = &clocks->peers[clocks->config.self];
    int64_t offset_ns = offset_of(wall_ns, now_ns);
    struct clocks_news news = {0};
    bool differ;

    if (apart(offset_ns, own->offset_ns) >= SET_NS)
        news.set_ns = offset_ns - own->offset_ns;
    own->offset_ns = offset_ns;
    heard |= (cairn_node_set)1 << clocks->config.self;
    agree(clocks, heard);
    news.believed_ns = follow(clocks, heard, now_ns);
    name_wrong(clocks, heard, now_ns, &news);
    differ = somebody_believes_otherwise(clocks, heard);
    /* Until a peer believes the same time it may write by the former one. */
    if (differ && clocks->risen_ns != 0)
        clocks->risen_ns = clocks_time_ns(clocks, now_ns);
    /* A node that is cut off for a moment has no reason to doubt what it knew. */
    if (clocks->jump_ns != 0 || own->off_ns != 0 || news.set_ns != 0 || differ)
        clocks->calm_ns = 0;
    else if (clocks->agreed && clocks->calm_ns == 0)
        clocks->calm_ns = now_ns;
    assert(!clocks->agreed || (clocks->settled && (clocks->jump_ns == 0) ==
                                                      are_near(clocks, clocks->agreed_offset_ns, clocks->offset_ns)));
    assert((news.wrong & news.right) == 0);
    assert_clocks(clocks);
    return news;
}

uint64_t
clocks_lag_ns(const struct clocks *clocks)
{
    assert(clocks->age_offset_ns <= clocks->offset_ns);
    return (uint64_t)(clocks->offset_ns - clocks->age_offset_ns);
}

struct clocks_word
clocks_word(const struct clocks *clocks, uint64_t now_ns)
{
    return (struct clocks_word){
        .wall_ns = now_ns + (uint64_t)clocks->peers[clocks->config.self].offset_ns,
        .believed_ns = clocks->settled ? clocks_time_ns(clocks, now_ns) : 0,
        .lag_ns = clocks_lag_ns(clocks),
    };
}

uint64_t
clocks_old_before_ns(const struct clocks *clocks, uint64_t age_ns, uint64_t now_ns)
{
    uint64_t time_ns = clocks_time_ns(clocks, now_ns), lag_ns = clocks_lag_ns(clocks);
    /* What is told of a lag may be more than there has been time, a moment before it was heard. */
    uint64_t aged_ns = time_ns > lag_ns ? time_ns - lag_ns : 0;

    if (!clocks->agreed || clocks->calm_ns == 0 || now_ns - clocks->calm_ns < clocks->config.bound_ns)
        return 0;
    /* All that is older was written before the time rose without the other clock, or is old by both. */
    if (clocks->risen_ns != 0 && (time_ns < age_ns || time_ns - age_ns < clocks->risen_ns))
        time_ns = aged_ns;
    return time_ns > age_ns ? time_ns - age_ns : 0;
}
