#include "node/worker/sight.h"

#include <assert.h>
#include <string.h>

#include "node/worker/hlc.h"
#include "node/worker/worker.h"

static uint16_t
units_since(uint64_t heard_ns, uint64_t now_ns)
{
    uint64_t units = (now_ns - heard_ns) / SIGHT_UNIT_NS;

    return heard_ns == 0 || units > SIGHT_LONG ? SIGHT_LONG : (uint16_t)units;
}

/* For readers of other threads, by a sequence lock: odd while it changes. */
static void
show(struct sights *sights)
{
    uint32_t sequence = atomic_load_explicit(&sights->sequence, memory_order_relaxed);

    /* One writes, and has written all of it. */
    assert((sequence & 1) == 0);
    atomic_store_explicit(&sights->sequence, sequence + 1, memory_order_relaxed);
    atomic_thread_fence(memory_order_release);
    memcpy(sights->shown, sights->now, sizeof(sights->shown));
    sights->patience_shown = sights->patience;
    atomic_thread_fence(memory_order_release);
    atomic_store_explicit(&sights->sequence, sequence + 2, memory_order_release);
}

void
sight_review(struct worker *worker, uint64_t now_ns)
{
    struct sight *own = &worker->sights.now[worker->self];

    assert((worker->hears >> worker->self & 1) && (worker->reach & ~worker->hears) == 0);
    *own = (struct sight){.told_ns = now_ns, .hears = worker->hears, .health = health_told(worker)};
    detector_patience(&worker->detector, &worker->sights.patience);
    for (uint8_t peer = 0; peer < worker->nodes; peer++)
        own->heard[peer] = peer == worker->self ? 0 : units_since(worker->detector.peers[peer].heard_ns, now_ns);
    for (uint32_t i = 0; i < worker->logs_count; i++)
        own->modes[worker->logs[i]->mode]++;
    for (uint8_t i = 0; i < worker->nodes; i++)
        worker->sights.now[i].clock_ns = node_clock_ahead_ns(worker, i);
    show(&worker->sights);
}

void
sight_tell(struct worker *worker, struct wire_heartbeat *heartbeat, uint64_t now_ns)
{
    const struct sight *own = &worker->sights.now[worker->self];

    if (own->hears != worker->hears || own->told_ns == 0)
        sight_review(worker, now_ns);
    assert(own->hears == worker->hears);
    heartbeat->hears = own->hears;
    memcpy(heartbeat->heard, own->heard, sizeof(heartbeat->heard));
    memcpy(heartbeat->modes, own->modes, sizeof(heartbeat->modes));
    heartbeat->health = own->health;
}

void
sight_take(struct worker *worker, uint8_t from, const struct wire_heartbeat *heartbeat, uint64_t now_ns)
{
    struct sight *sight = &worker->sights.now[from];

    assert(from < worker->nodes && from != worker->self);
    sight->told_ns = now_ns;
    sight->hears = (cairn_node_set)heartbeat->hears;
    memcpy(sight->heard, heartbeat->heard, sizeof(sight->heard));
    memcpy(sight->modes, heartbeat->modes, sizeof(sight->modes));
    sight->health = heartbeat->health;
}

void
sights_read(const struct worker *worker, struct sight *out, struct detector_patience *patience)
{
    const struct sights *sights = &worker->sights;
    uint32_t before, after;

    do {
        before = atomic_load_explicit(&sights->sequence, memory_order_acquire);
        memcpy(out, sights->shown, sizeof(sights->shown));
        if (patience != NULL)
            *patience = sights->patience_shown;
        atomic_thread_fence(memory_order_acquire);
        after = atomic_load_explicit(&sights->sequence, memory_order_relaxed);
    } while ((before & 1) != 0 || before != after);
}
