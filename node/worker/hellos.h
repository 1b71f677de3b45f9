/* Hellos leave: who this node is, and what it knows of others. The first worker's. */
#ifndef NODE_WORKER_HELLOS_H
#define NODE_WORKER_HELLOS_H

#include <stdint.h>

struct worker;

/* Once all that it says is kept: else it would be forgotten by a crash. */
void hello_tell(struct worker *worker, uint8_t peer, uint64_t now_ns);
/* The same to who has said one, so often between two beats at most. */
void hello_reply(struct worker *worker, uint8_t peer, uint64_t now_ns);
/* What is agreed on, for who has no logs to read it from. */
void hello_teach(struct worker *worker, uint8_t peer, uint64_t now_ns);

#endif
