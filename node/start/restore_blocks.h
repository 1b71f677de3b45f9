/* Takes single blocks of the journal, in the order in which they were written, into a durable log. The starting thread's.
 * false: the block does not fit what was said before. */
#ifndef NODE_START_RESTORE_BLOCKS_H
#define NODE_START_RESTORE_BLOCKS_H

#include "dataplane/journal.h"

struct node_log;
struct worker;

bool restore_entries(struct worker *worker, struct node_log *log, const struct journal_block *head, const uint8_t *body,
                     uint64_t place);
/* The block is damaged: the log is known to have reached to its last entry. */
void restore_lost(struct node_log *log, const struct journal_block *head);
bool restore_branch(struct worker *worker, struct node_log *log, const struct journal_block *head, const uint8_t *body,
                    uint64_t place);
void restore_tail(struct worker *worker, struct node_log *log, const struct journal_block *head);
bool restore_producers(struct node_log *log, const struct journal_block *head, const struct producer_row *rows);
bool restore_base(struct worker *worker, struct node_log *log, const struct journal_block *head,
                  const struct journal_base *body);
/* The trunk begins there, with nothing before. */
bool restore_begin(struct worker *worker, struct node_log *log, const struct journal_base *body);

/* What former lives promised is not in the journal, or not all of it. */
bool restore_forgot(const struct worker *worker);
/* All has been read: the log stands where the disk left it, and says what it lacks, or may lack. false: the memory is too
 * small for it. */
bool restore_finish(struct worker *worker, struct node_log *log, uint64_t now_ns);

#endif
