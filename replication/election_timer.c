/* How long a node waits for a leader, and for votes. */
#include "replication/state.h"

/* The wait for votes is doubled so often at most: to 128 timeouts, or more than a second of the profile `shared`. */
#define DOUBLINGS_MAX 7u
/* An only voter that cannot lead for another reason tries again so often in a timeout, and not at every turn. */
#define ALONE_SOONER 16u

/* xorshift64*; deterministic for a seed. */
static uint64_t
random_below(struct core *core, uint64_t bound)
{
    assert_costly(core->random != 0); /* it would stay so */
    core->random ^= core->random >> 12;
    core->random ^= core->random << 25;
    core->random ^= core->random >> 27;
    return bound == 0 ? 0 : (core->random * 0x2545f4914f6cdd1du) % bound;
}

/* How many times as long as others this node waits. */
static uint32_t
patience_times(const struct core *core)
{
    uint32_t times = core->patience_times > core->config.election_patience ? core->patience_times
                                                                           : core->config.election_patience;

    assert_costly(times >= core->patience_times && times >= core->config.election_patience);
    return times > 1 ? times : 1;
}

/* How long this node waits for a leader: as long as was agreed on, or what its machine takes. Leases never look at it. */
uint64_t
election_wait_ns(const struct core *core)
{
    assert(core->patience_ns == 0 || core->patience_ns >= core->config.election_timeout_ns);
    return core->patience_ns != 0 ? core->patience_ns : core->config.election_timeout_ns;
}

void
core_set_patience(struct core *core, uint64_t wait_ns, uint32_t times)
{
    core->patience_ns = wait_ns > core->config.election_timeout_ns ? wait_ns : core->config.election_timeout_ns;
    core->patience_times = times;
    assert_costly(election_wait_ns(core) >= core->config.election_timeout_ns);
    assert_costly(core_is_sound(core));
}

void
core_set_election_timeout(struct core *core, uint64_t election_timeout_ns)
{
    if (core->config.election_timeout_ns == election_timeout_ns)
        return;
    core->config.election_timeout_ns = election_timeout_ns;
    core->config.retransmit_ns = election_timeout_ns / 2;
    if (core->patience_ns != 0 && core->patience_ns < election_timeout_ns)
        core->patience_ns = election_timeout_ns;
    assert(election_wait_ns(core) >= election_timeout_ns);
    core_check(core);
}

/* Between one and two timeouts; the only voter has nobody to wait for. */
static uint64_t
drawn_wait_ns(struct core *core, uint64_t timeout_ns)
{
    uint64_t wait_ns = timeout_ns + random_below(core, timeout_ns);

    if (core_members(core)->voters == node_bit(core->config.self))
        wait_ns /= ALONE_SOONER;
    assert(wait_ns <= 2 * timeout_ns);
    return wait_ns * patience_times(core);
}

/* Draws anew how long this node waits before it campaigns. */
void
election_reset(struct core *core, uint64_t now_ns)
{
    assert(core->role != ROLE_LEADER);
    core->election_ns = now_ns + drawn_wait_ns(core, election_wait_ns(core));
    assert(core->election_ns >= now_ns);
}

/* A vote is answered when it is durable. Where that takes longer than the wait, nobody is elected before somebody else
 * campaigns: so each election without a leader leaves the next one twice the time (as PBFT's view changes do; Castro
 * and Liskov, OSDI '99, 4.5.2). */
void
election_wait_for_votes(struct core *core, uint64_t now_ns)
{
    uint32_t doublings = core->elections > 1 ? core->elections - 1 : 0;
    uint64_t wait_ns = drawn_wait_ns(core, core->config.election_timeout_ns), learned_ns = 0;

    if (doublings > DOUBLINGS_MAX)
        doublings = DOUBLINGS_MAX;
    /* What was learned may be fifty timeouts already, and is not doubled. */
    if (election_wait_ns(core) > core->config.election_timeout_ns)
        learned_ns = drawn_wait_ns(core, election_wait_ns(core));
    assert(core->role == ROLE_FOLLOWER || core->role == ROLE_CANDIDATE);
    assert(wait_ns <= UINT64_MAX >> DOUBLINGS_MAX);
    wait_ns <<= doublings;
    core->election_ns = now_ns + (wait_ns > learned_ns ? wait_ns : learned_ns);
}

/* The detector has already waited a timeout for this leader: only the jitter remains. */
void
election_soon(struct core *core, uint64_t now_ns)
{
    uint64_t soon_ns = now_ns + random_below(core, election_wait_ns(core) / 2);

    if (patience_times(core) > 1)
        soon_ns += election_wait_ns(core);

    assert(core->role == ROLE_FOLLOWER);
    if (core->election_ns > soon_ns)
        core->election_ns = soon_ns;
}
