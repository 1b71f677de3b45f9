/* Events as they are kept, and those that the control thread has itself. */
#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "node/control/control.h"
#include "node/look.h"

void
keep_event(struct control *control, const struct node_event *event)
{
    control->events[control->events_count++ % EVENTS_KEPT] = *event;
    control->events_by_kind[event->kind]++;
    assert(control->events_by_kind[event->kind] <= control->events_count);
}

void
control_event(struct node *node, const struct node_event *event)
{
    struct control *control = node->control;

    pthread_mutex_lock(&control->lock);
    keep_event(control, event);
    pthread_mutex_unlock(&control->lock);
}

void
control_tell(struct node *node, enum event_kind kind, const char *reason, ...)
{
    struct node_event event = {.t_ns = node_now_ns(node), .kind = kind, .log = UINT32_MAX, .peer = node->self};
    va_list arguments;

    va_start(arguments, reason);
    vsnprintf(event.reason, sizeof(event.reason), reason, arguments);
    va_end(arguments);
    control_event(node, &event);
}
