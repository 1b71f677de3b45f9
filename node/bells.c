#include "bells.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <urcu/urcu-qsbr.h>

#include "control.h"
#include "identity_file.h"

/* Who is not there is asked again so soon, and then ever later. */
#define AGAIN_MIN_NS 50000000u
#define AGAIN_MAX_NS 1000000000u
/* Who has a backlog, or hangs, is left to its time. */
#define ASKED_FOR_NS 500000000u

/* The worker takes it from here. The one before stays mapped until no worker can have it in hand. */
static void
exchange(struct worker *worker, uint8_t peer, struct doorbell *bell)
{
    struct peer_bell *known = &worker->node->control->bells.of[peer];
    struct doorbell *former = known->bell;

    known->bell = bell;
    atomic_store_explicit(&worker->peer_bells[peer], bell, memory_order_release);
    if (former == NULL)
        return;
    urcu_qsbr_synchronize_rcu();
    doorbell_unmap(former);
}

static void
take_answer(struct node *node, uint8_t peer)
{
    struct peer_bell *known = &node->control->bells.of[peer];
    const char *life = json_string_value(json_object_get(known->call.answer, "life"));
    struct cairn_id id;
    struct doorbell *bell;

    if (life == NULL || !cairn_id_parse(life, &id) || known->call.passed_fds[0] < 0)
        return;
    bell = doorbell_map(known->call.passed_fds[0]);
    if (bell == NULL)
        return;
    known->life = id;
    exchange(node->workers[0], peer, bell);
}

static void
ask(struct node *node, uint8_t peer)
{
    char path[384];

    snprintf(path, sizeof(path), "%s/%s.sock", node->config.directory, node->config.cluster->names[peer]);
    call_begin(&node->control->bells.of[peer].call, path, json_pack("{s:s}", "cmd", "bell"));
}

/* Is the bell that is known that of the life that is heard there? Of a peer that is not heard any will do. */
static bool
is_current(const struct peer_bell *known, const struct standing_view *view, uint8_t peer)
{
    return known->bell != NULL &&
           (!(view->introduced >> peer & 1) || cairn_id_equal(&known->life, &view->lives[peer].id));
}

static void
step(struct node *node, const struct standing_view *view, uint8_t peer, uint64_t now_ns)
{
    struct peer_bell *known = &node->control->bells.of[peer];

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
        known->due_ns = now_ns + (known->wait_ns < ASKED_FOR_NS ? ASKED_FOR_NS : known->wait_ns);
        ask(node, peer);
    }
    if (!call_step(&known->call) && now_ns < known->due_ns)
        return;
    if (known->call.state == CALL_DONE)
        take_answer(node, peer);
    call_end(&known->call);
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
        if (peer != node->self && (agreed_present(&view.agreed) >> peer & 1))
            step(node, &view, peer, now_ns);
    }
}

void
bells_end(struct node *node)
{
    for (uint8_t peer = 0; peer < CAIRN_NODES_MAX; peer++) {
        struct peer_bell *known = &node->control->bells.of[peer];

        call_end(&known->call);
        if (known->bell != NULL)
            exchange(node->workers[0], peer, NULL);
    }
}
