/* One frame to one peer. */
#include "node/worker/frames.h"

#include "assert_costly.h"
#include "node/worker/worker.h"

/* A frame that is all head. */
void
send_head(struct port *port, struct rte_mbuf *frame, size_t size_bytes, uint64_t now_ns, bool wake)
{
    assert_costly(size_bytes > 0 && size_bytes <= frame->buf_len);
    frame->data_len = (uint16_t)size_bytes;
    frame->pkt_len = frame->data_len;
    port_send(port, frame, now_ns, wake);
}

void
send_frame(struct worker *worker, uint8_t peer, struct rte_mbuf *frame, size_t size_bytes, uint64_t now_ns)
{
    assert_costly(peer != worker->self);
    send_head(&worker->ports[peer], frame, size_bytes, now_ns, true);
}
