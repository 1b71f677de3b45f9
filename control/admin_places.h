/* Who has a place at the admin socket: some places are kept for administrators, and no other user gets all the rest.
 * Where a place is wanted, the connection that has been idle longest goes, unless it is attached. */
#ifndef CONTROL_ADMIN_PLACES_H
#define CONTROL_ADMIN_PLACES_H

#include "control/admin_connection.h"

#define PLACES_MAX 96

struct places {
    const struct admin_handler *handler; /* outlives them */
    struct connection connections[PLACES_MAX];
};

void places_init(struct places *places, const struct admin_handler *handler);

/* A free place for a newcomer; a connection that is idle may have to go for it. NULL: there is none. */
struct connection *places_find(struct places *places, bool administrator, uid_t uid, uint64_t now_ns);

/* Ends the connection that has been idle longest, whoever's it is. false: none is idle. */
bool places_end_idle(struct places *places, uint64_t now_ns);

void places_end_all(struct places *places);

#endif
