/* What clients are answered. */
#ifndef NODE_WORKER_ANSWERS_H
#define NODE_WORKER_ANSWERS_H

#include "cairn/cairn.h"
#include "node/attachment.h"

struct answer;
struct node_log;
struct pending;
struct record;
struct worker;

/* Requests of the client's that have an answer coming. */
uint32_t answers_owed(const struct attachment *attachment);
bool answer_put(struct worker *worker, uint8_t attachment, uint32_t serial, const struct answer *answer,
                const struct record *record);
struct answer answer_to(const struct worker *worker, const struct node_log *log, uint64_t token,
                        enum cairn_error error);
void answer_error(struct worker *worker, struct node_log *log, const struct attachment *attachment, uint64_t token,
                  enum cairn_error error);
void answer_trunk(struct worker *worker, struct node_log *log, const struct pending *pending, bool repeated);
void answer_appended(struct worker *worker, struct node_log *log, const struct pending *pending);
void answer_branch(struct worker *worker, struct node_log *log, const struct pending *pending, uint32_t incarnation,
                   uint64_t seq, bool repeated);

#endif
