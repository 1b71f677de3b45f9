/* What every part of the simulator says and plans by: a violation, what will happen, a log's name. */
#include "sim/sim.h"

#include <stdarg.h>
#include <stdio.h>

#include "sim/queue.h"
#include "sim/trace.h"

const char *
sim_log_name(uint32_t log)
{
    static const char *const names[] = {"_catalog", "a", "b"};

    return log < sizeof(names) / sizeof(*names) ? names[log] : "?";
}

void
sim_violation(struct sim *sim, const char *format, ...)
{
    va_list arguments;

    if (sim->failed)
        return;
    sim->failed = true;
    va_start(arguments, format);
    vsnprintf(sim->reason, sizeof(sim->reason), format, arguments);
    va_end(arguments);
    trace_add(sim, TRACE_NOTE, 0, 0, "VIOLATION");
}

void
sim_plan_happening(struct sim *sim, uint64_t in_ns, enum happening_kind kind, uint8_t node, uint8_t peer,
                   uint32_t index, uint32_t value)
{
    queue_push(&sim->queue, sim->now_ns + in_ns,
               (struct happening){.value = value, .index = index, .kind = (uint8_t)kind, .node = node, .peer = peer});
}
