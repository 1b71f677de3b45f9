/* Which files of the journal are needed no more. The worker's, at each heartbeat. */
#ifndef NODE_WORKER_FILES_H
#define NODE_WORKER_FILES_H

struct worker;

void review_files(struct worker *worker);
/* What was let in and never written claims no space any more. */
void review_claims(struct worker *worker);

#endif
