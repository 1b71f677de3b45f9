/* A log has stopped because its replicas contradict each other, and an administrator has decided whose history goes on
 * (docs/identity.md, Histories that contradict):
 *
 *   cairn log adopt NAME --from NODE    an entry of the catalog: that node leads the log in the term that the entry names, and
 *                                       votes alone; every other gives up what it holds once it hears that leader.
 *
 * A replica whose trunk ends in that term or a later one has carried it out, whatever restarts there were between; so no more
 * need be kept than the trunk itself, and what stopped it, which is forgotten last.
 */
#ifndef NODE_WORKER_ADOPTION_H
#define NODE_WORKER_ADOPTION_H

#include <stdint.h>

struct worker;

/* Worker, now and then. */
void adoption_review(struct worker *worker, uint64_t now_ns);

#endif
