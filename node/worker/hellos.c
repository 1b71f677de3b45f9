/* Hellos leave: who this node is, and what it knows of others. */
#include "node/worker/hellos.h"

#include <assert.h>

#include "node/state.h"
#include "node/worker/frames.h"
#include "node/worker/worker.h"

#define REPLIES_PER_BEAT 4u

/* A hello that says what is not kept yet must not leave: it would be forgotten by a crash. */
static bool
may_tell(const struct introduction *introduction)
{
    assert(introduction->lives.kept_version <= introduction->lives.version);
    assert(introduction->lives.life_version <= introduction->lives.version);
    return introduction->lives.standing != STANDING_MEMBER ||
           introduction->lives.kept_version >= introduction->lives.life_version;
}

/* How far each worker's journal is. */
static void
gather_places(const struct worker *worker, uint64_t *places)
{
    const struct node *node = worker->node;

    /* No journal is ever told to have come less far than before: who was told would call that forgotten. */
    assert(places[0] <= ends_place(worker));
    places[0] = ends_place(worker);
    for (uint8_t number = 1; number < node->workers_count; number++) {
        uint64_t before = places[number];

        places[number] = atomic_load_explicit(&node->workers[number]->told_place, memory_order_relaxed);
        assert(before <= places[number]);
    }
}

void
hello_tell(struct worker *worker, uint8_t peer, uint64_t now_ns)
{
    struct introduction *introduction = &worker->node->introduction;
    struct peer_life *about = &introduction->lives.peers[peer];
    struct rte_mbuf *frame;
    struct hello hello;

    assert(worker_is_first(worker) && peer != worker->self);
    assert(about->told_worker < worker->node->workers_count);
    assert(introduction->told_beat[peer] <= introduction->beats);
    if (!may_tell(introduction) || (frame = port_frame(&worker->ports[peer])) == NULL)
        return;
    if (worker->disk != NULL && introduction_phase(introduction) == PHASE_INSIDE)
        gather_places(worker, introduction->lives.places);
    lives_tell(&introduction->lives, peer, &hello);
    about->told_worker = (uint8_t)((about->told_worker + 1) % worker->node->workers_count);
    introduction->told_beat[peer] = introduction->beats;
    send_frame(worker, peer, frame,
               codec_encode_hello(&worker->codec, peer, &hello, sizeof(hello), rte_pktmbuf_mtod(frame, uint8_t *)),
               now_ns);
}

void
hello_teach(struct worker *worker, uint8_t peer, uint64_t now_ns)
{
    struct introduction *introduction = &worker->node->introduction;
    struct rte_mbuf *frame;
    struct lesson lesson;

    assert(worker_is_first(worker) && peer != worker->self);
    assert(introduction->replies[peer] <= REPLIES_PER_BEAT);
    if (!may_tell(introduction) || introduction->replies[peer] > 1 ||
        (frame = port_frame(&worker->ports[peer])) == NULL)
        return;
    lives_teach(&introduction->lives, &lesson);
    send_frame(worker, peer, frame,
               codec_encode_hello(&worker->codec, peer, &lesson, sizeof(lesson), rte_pktmbuf_mtod(frame, uint8_t *)),
               now_ns);
}

void
hello_reply(struct worker *worker, uint8_t peer, uint64_t now_ns)
{
    struct introduction *introduction = &worker->node->introduction;

    assert(introduction->replies[peer] <= REPLIES_PER_BEAT);
    /* At the next beat they are counted anew. */
    introduction->due_beat = 0;
    if (introduction->replies[peer] >= REPLIES_PER_BEAT)
        return;
    introduction->replies[peer]++;
    hello_tell(worker, peer, now_ns);
}
