#include "node/control/bells.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <urcu/urcu-qsbr.h>

#include "control/identity_file.h"
#include "node/control/control.h"

/* A peer that is not there is asked again so soon, and then ever later. */
#define AGAIN_MIN_NS 50000000u
#define AGAIN_MAX_NS 1000000000u
/* A peer that has a backlog, or hangs, is given so long. */
#define ASKED_FOR_NS 500000000u

static struct peer_bell *
bell_of(const struct worker *worker, uint8_t peer)
{
    return &worker->node->control->bells.of[worker->task.number][peer];
}

/* The worker takes it from here. The one before stays mapped until no worker can have it in hand. */
static void
exchange(struct worker *worker, uint8_t peer, struct doorbell *bell)
{
    struct peer_bell *known = bell_of(worker, peer);
    struct doorbell *former = known->bell;

    assert(former == atomic_load_explicit(&worker->peer_bells[peer], memory_order_relaxed));
    assert(former == NULL || former != bell);
    known->bell = bell;
    atomic_store_explicit(&worker->peer_bells[peer], bell, memory_order_release);
    if (former == NULL)
        return;
    urcu_qsbr_synchronize_rcu();
    doorbell_unmap(former);
}

static void
take_answer(struct worker *worker, uint8_t peer)
{
    struct peer_bell *known = bell_of(worker, peer);
    const char *life = json_string_value(json_object_get(known->call.answer, "life"));
    struct cairn_id id;
    struct doorbell *bell;

    assert(known->call.state == CALL_DONE);
    if (life == NULL || !cairn_id_parse(life, &id) || known->call.passed_fds[0] < 0)
        return;
    bell = doorbell_map(known->call.passed_fds[0]);
    if (bell == NULL)
        return;
    known->life = id;
    exchange(worker, peer, bell);
}

static void
ask(const struct worker *worker, uint8_t peer)
{
    char path[384];

    assert(peer != worker->self && bell_of(worker, peer)->call.state == CALL_NONE);
    snprintf(path, sizeof(path), "%s/%s.sock", worker->config->directory, worker->config->cluster->names[peer]);
    call_begin(&bell_of(worker, peer)->call, path,
               json_pack("{s:s,s:i}", "cmd", "bell", "worker", worker->task.number));
}

/* Is the bell that is known that of the life that is heard there? Where the peer is not heard any bell will do. */
static bool
is_current(const struct peer_bell *known, const struct standing_view *view, uint8_t peer)
{
    return known->bell != NULL &&
           (!(view->introduced >> peer & 1) || cairn_id_equal(&known->life, &view->lives[peer].id));
}

static void
step(struct worker *worker, const struct standing_view *view, uint8_t peer, uint64_t now_ns)
{
    struct peer_bell *known = bell_of(worker, peer);

    if (known->call.state == CALL_NONE) {
        if (is_current(known, view, peer)) {
            known->wait_ns = 0;
            return;
        }
        if (now_ns < known->due_ns)
            return;
        known->wait_ns = known->wait_ns == 0 ? AGAIN_MIN_NS : 2 * known->wait_ns;
        if (known->wait_ns > AGAIN_MAX_NS)
            known->wait_ns = AGAIN_MAX_NS;
        assert(known->wait_ns >= AGAIN_MIN_NS && known->wait_ns <= AGAIN_MAX_NS);
        known->due_ns = now_ns + (known->wait_ns < ASKED_FOR_NS ? ASKED_FOR_NS : known->wait_ns);
        ask(worker, peer);
    }
    if (!call_step(&known->call) && now_ns < known->due_ns)
        return;
    if (known->call.state == CALL_DONE)
        take_answer(worker, peer);
    call_end(&known->call);
    assert(known->call.state == CALL_NONE);
    known->due_ns = now_ns + known->wait_ns;
}

void
bells_step(struct node *node, uint64_t now_ns)
{
    struct standing_view view;

    if (node->config.directory == NULL)
        return;
    introduction_show(node, &view);
    for (uint8_t peer = 0; peer < view.agreed.now.nodes; peer++) {
        if (peer == node->self || !(agreed_present(&view.agreed) >> peer & 1))
            continue;
        for (uint8_t number = 0; number < node->workers_count; number++)
            step(node->workers[number], &view, peer, now_ns);
    }
}

static void
end(struct worker *worker, uint8_t peer)
{
    call_end(&bell_of(worker, peer)->call);
    if (bell_of(worker, peer)->bell != NULL)
        exchange(worker, peer, NULL);
    assert(atomic_load_explicit(&worker->peer_bells[peer], memory_order_relaxed) == NULL);
}

void
bells_end(struct node *node)
{
    for (uint8_t number = 0; number < node->workers_count; number++) {
        for (uint8_t peer = 0; peer < CAIRN_NODES_MAX; peer++)
            end(node->workers[number], peer);
    }
}
