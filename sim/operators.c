/* What people do to the directory of a node that is down: take it away, put an old copy in its place, start it once without
 * its volume. All of it to one node, the one whose medium may decay: what a node promises rests on the others then. */
#include "sim/operators.h"

#include "sim/disk.h"
#include "sim/faults.h"
#include "sim/node.h"
#include "sim/random.h"
#include "sim/shelf.h"
#include "sim/sim.h"
#include "sim/trace.h"

static bool
may_happen(const struct sim *sim, enum fault_kind kind)
{
    return (sim->plan.faults >> kind & 1) != 0;
}

static void
happens(struct sim *sim, struct sim_node *node, enum fault_kind kind, const char *what)
{
    sim->counts.kinds |= 1u << kind;
    sim->counts.disk_faults++;
    /* What it had acknowledged alone may be gone with it. */
    node->disk.damaged = true;
    trace_add(sim, TRACE_FAULT, node->self, 0, "%s", what);
}

static void
wipe(struct sim *sim, struct sim_node *node)
{
    happens(sim, node, FAULT_WIPED, "its directory is gone");
    disk_wipe(node);
    node->identified = false;
}

/* One time it is copied, another time the copy takes its place. */
static void
copy_or_put_back(struct sim *sim, struct sim_node *node)
{
    if (!node->shelf.used) {
        trace_add(sim, TRACE_FAULT, node->self, 0, "its directory is copied");
        disk_shelve(node, true);
        return;
    }
    happens(sim, node, FAULT_OLD_COPY, "an old copy of its directory is put back");
    disk_unshelve(node);
}

static void
lose_volume(struct sim *sim, struct sim_node *node)
{
    happens(sim, node, FAULT_VOLUME, node->shelf.used ? "its volume is there again" : "its volume is not there");
    if (node->shelf.used)
        disk_unshelve(node);
    else
        disk_shelve(node, false);
}

void
operator_visits(struct sim *sim, struct sim_node *node)
{
    static const enum fault_kind kinds[] = {FAULT_WIPED, FAULT_OLD_COPY, FAULT_VOLUME};
    enum fault_kind kind = kinds[random_under(&sim->operators, 3)];

    if (node->self != sim->plan.seed % sim->plan.nodes || sim->healing || !may_happen(sim, kind) ||
        random_under(&sim->operators, 3) != 0)
        return;
    if (kind == FAULT_WIPED)
        wipe(sim, node);
    else if (kind == FAULT_OLD_COPY && sim->plan.disk)
        copy_or_put_back(sim, node);
    else if (kind == FAULT_VOLUME && sim->plan.disk)
        lose_volume(sim, node);
}
