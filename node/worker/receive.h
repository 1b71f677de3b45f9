/* What comes from peers. */
#ifndef NODE_WORKER_RECEIVE_H
#define NODE_WORKER_RECEIVE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct batch;
struct block;

/* Reads lengths and identities of the batch's records and checks their checksums. */
bool batch_read(struct batch *batch, const uint8_t *records, const struct block *block);
bool node_receive(void *context, uint8_t peer, const uint8_t *message, size_t size_bytes, uint64_t now_ns);

#endif
