#include "control/admin_places.h"

#include <assert.h>

#define KEPT_FOR_ADMINISTRATORS 8
/* For one user who is no administrator, so that another finds a place too. */
#define CONNECTIONS_OF_ONE_MAX 44

void
places_init(struct places *places, const struct admin_handler *handler)
{
    places->handler = handler;
    for (int i = 0; i < PLACES_MAX; i++)
        places->connections[i].socket = -1;
}

/* Which connections may go for a newcomer: administrators' or not; of any user, or of this one alone. */
struct passing {
    bool administrators, of_one;
    uid_t uid;
};

/* The connection that has been idle longest, is attached to nothing, and has had a turn. */
static struct connection *
idlest(struct places *places, const struct passing *passing, uint64_t now_ns)
{
    struct connection *found = NULL;

    for (int i = 0; i < PLACES_MAX; i++) {
        struct connection *connection = &places->connections[i];

        if (connection->socket < 0 || connection->state != NULL ||
            connection->administrator > passing->administrators || connection->stirred_ns >= now_ns ||
            (passing->of_one && connection->uid != passing->uid))
            continue;
        if (found == NULL || connection->administrator < found->administrator ||
            (connection->administrator == found->administrator && connection->stirred_ns < found->stirred_ns))
            found = connection;
    }
    assert(found == NULL || (found->socket >= 0 && found->state == NULL));
    return found;
}

struct connection *
places_find(struct places *places, bool administrator, uid_t uid, uint64_t now_ns)
{
    struct connection *free_place = NULL, *idle;
    int others = 0, of_one = 0;
    struct passing passing;

    for (int i = 0; i < PLACES_MAX; i++) {
        const struct connection *connection = &places->connections[i];

        if (connection->socket < 0)
            free_place = &places->connections[i];
        others += connection->socket >= 0 && !connection->administrator;
        of_one += connection->socket >= 0 && connection->uid == uid;
    }
    assert(others <= PLACES_MAX - KEPT_FOR_ADMINISTRATORS);
    assert(administrator || of_one <= CONNECTIONS_OF_ONE_MAX);
    passing = (struct passing){administrator, !administrator && of_one >= CONNECTIONS_OF_ONE_MAX, uid};
    if (free_place != NULL && !passing.of_one && (administrator || others < PLACES_MAX - KEPT_FOR_ADMINISTRATORS))
        return free_place;
    idle = idlest(places, &passing, now_ns);
    if (idle != NULL)
        connection_close(idle, places->handler);
    assert(idle == NULL || (idle->socket < 0 && idle->administrator <= administrator));
    return idle;
}

bool
places_end_idle(struct places *places, uint64_t now_ns)
{
    const struct passing anybody = {.administrators = true};
    struct connection *idle = idlest(places, &anybody, now_ns);

    if (idle != NULL)
        connection_close(idle, places->handler);
    return idle != NULL;
}

void
places_end_all(struct places *places)
{
    for (int i = 0; i < PLACES_MAX; i++) {
        if (places->connections[i].socket >= 0)
            connection_close(&places->connections[i], places->handler);
    }
}
