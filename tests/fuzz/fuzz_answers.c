/* A node that is somebody else: whatever stands in the ring of answers, its indices too, and changes between two looks, a
 * client gives out only what it is told it may give out, and stays within its memory. And whatever a node's socket says, in
 * whatever pieces, a call comes to its end. */
/* fuzz: client/client.c:fill,answer_sane,take_record,cairn_poll */
/* fuzz: client/call.c:take_passed,receive,has_room,understand,read_some,call_step */
/* fuzz: client/answer.c */
/* fuzz: client/connect.c:named,told,take_seats,make_client,number_of */
/* fuzz: wire/byte_ring.c:byte_ring_peek,byte_ring_pop */
/* fuzz: wire/record.c:record_measure,is_padded,record_intact */
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "cairn/token.h"
#include "client/client.h"
#include "client/dial.h"
#include "tests/fuzz/input.h"
#include "wire/byte_ring.h"
#include "wire/crc32c.h"
#include "wire/protocol.h"
#include "wire/record.h"

#define RING_BYTES 4096u
#define POLLS_MAX 600u

static struct byte_channel worker;

static void
check_entry(const struct cairn_entry *entry, uint8_t *sum)
{
    const uint8_t *key = entry->key, *payload = entry->payload;

    if (entry->key_bytes > CAIRN_KEY_BYTES_MAX || entry->payload_bytes > CAIRN_PAYLOAD_BYTES_MAX)
        abort();
    for (uint32_t i = 0; i < entry->key_bytes; i++)
        *sum ^= key[i];
    for (uint32_t i = 0; i < entry->payload_bytes; i++)
        *sum ^= payload[i];
}

static void
check_result(const struct cairn_result *result)
{
    static volatile uint8_t seen;
    struct cairn_token token = {0};
    uint8_t sum = 0;

    if (result->error >= CAIRN_ERRORS || cairn_error_name(result->error) == NULL || result->type > CAIRN_RESULT_END ||
        result->ack > CAIRN_ACK_ALL || cairn_ack_name(result->ack) == NULL)
        abort();
    if (result->type == CAIRN_RESULT_ENTRY)
        check_entry(&result->entry, &sum);
    cairn_token_note(&token, result);
    cairn_token_settle(&token, result);
    seen = sum;
    (void)seen;
}

/* So that the checksum is not all that is found: of what is taken for a record it is made right. */
static void
mend(uint8_t *bytes)
{
    struct record *record = (struct record *)(void *)bytes;

    if (record->payload_bytes <= RING_BYTES / 2 && record->key_bytes <= RING_BYTES / 2)
        record->crc32c = crc32c(0, &record->producer,
                                sizeof(*record) - offsetof(struct record, producer) + record->key_bytes +
                                    record->payload_bytes);
}

static void
write_some(struct input *input)
{
    uint32_t at = (uint32_t)draw(input, 2) % RING_BYTES & ~7u;

    draw_bytes(input, worker.out.data + at, 1 + draw(input, 1));
    if (draw(input, 1) & 1)
        mend(worker.out.data + at);
}

/* What an honest one would say, of any numbers. */
static void
say(struct input *input)
{
    uint32_t at = (uint32_t)atomic_load(&worker.out.shared->head) % RING_BYTES & ~7u;
    uint32_t size_bytes = (uint32_t)(sizeof(struct answer) + draw(input, 1) % 16 * 8);
    uint8_t *place = worker.out.data + at;

    memset(place, 0, size_bytes);
    draw_bytes(input, place + 4, size_bytes - 4);
    memcpy(place, &size_bytes, sizeof(size_bytes));
    if (size_bytes >= sizeof(struct answer) + sizeof(struct record))
        mend(place + sizeof(struct answer));
    atomic_fetch_add(&worker.out.shared->head, size_bytes);
}

static void
poll_ring(struct input *input)
{
    struct cairn_client client = {.socket = -1};

    memset(worker.memory, 0, 8192);
    byte_channel_mirror(&worker, &client.lanes[0].channel);
    client_lane_opened(&client, 0);
    for (uint32_t i = 0; i < POLLS_MAX && input->left > 0; i++) {
        struct cairn_result result = {.token = 0};
        int got;

        switch (draw(input, 1) % 4) {
        case 0:
            atomic_store(&worker.out.shared->head, number(input));
            break;
        case 1:
            write_some(input);
            break;
        default:
            say(input);
        }
        got = cairn_poll(&client, &result);
        if (got > 0)
            check_result(&result);
    }
    free(client.record);
}

/* Memory that is no ring's, or as large as one is; something else than memory. */
static int
descriptor(struct input *input)
{
    static const off_t sizes[] = {0, 4096, 8192, 8192 + 4096, 8192 + 8192, 8192 + 2 * 65536, 8192 + 3 * 4096};
    uint64_t kind = draw(input, 1) % 9;
    int fd = kind == 8 ? open("/dev/null", O_RDWR) : memfd_create("fuzz", MFD_ALLOW_SEALING);

    if (kind < sizeof(sizes) / sizeof(*sizes) && ftruncate(fd, sizes[kind]) != 0)
        abort();
    if (draw(input, 1) & 1)
        fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK);
    return fd;
}

/* With up to three descriptors. */
static bool
send_with(int socket, struct input *input, const uint8_t *bytes, size_t size_bytes)
{
    struct iovec part = {.iov_base = (void *)(uintptr_t)bytes, .iov_len = size_bytes};
    char control[CMSG_SPACE(3 * sizeof(int))] = {0};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
    size_t count = draw(input, 1) % 4;
    int fds[3];
    bool sent;

    for (size_t i = 0; i < count; i++)
        fds[i] = descriptor(input);
    if (count > 0) {
        message.msg_control = control;
        message.msg_controllen = CMSG_SPACE(count * sizeof(int));
        *CMSG_FIRSTHDR(&message) = (struct cmsghdr){
            .cmsg_len = CMSG_LEN(count * sizeof(int)), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS};
        memcpy(CMSG_DATA(CMSG_FIRSTHDR(&message)), fds, count * sizeof(int));
    }
    sent = sendmsg(socket, &message, MSG_NOSIGNAL) >= 0;
    for (size_t i = 0; i < count; i++)
        close(fds[i]);
    return sent;
}

/* The answer comes whole, or in two pieces, and then the node hangs up. What it comes with is at the input's end. */
static void
hear_socket(struct input *input, bool attaches)
{
    struct dial dial = {.call.state = CALL_NONE};
    char detail[256];
    uint32_t id = 0;
    struct input with = {input->at + (input->left > 8 ? input->left - 8 : 0), input->left > 8 ? 8 : 0};
    size_t first = 0;
    int ends[2];

    input->left -= with.left;
    if (draw(input, 1) & 1)
        first = draw(input, 2) % (input->left + 1);
    if (socketpair(AF_UNIX, SOCK_STREAM, 0, ends) != 0)
        abort();
    dial.client = calloc(1, sizeof(*dial.client));
    dial.client->socket = ends[0];
    if (attaches) {
        struct cairn_client *former = dial.client;

        former->socket = dup(ends[0]);
        call_begin_over(&dial.call, ends[0], json_object());
        dial.call.borrowed = false; /* as one that it has dialled itself */
        dial.client = NULL;
        if (!send_with(ends[1], &with, input->at, first) ||
            dial_attach(&dial, "", false, detail, sizeof(detail)) == CAIRN_AGAIN)
            (void)!send_with(ends[1], &with, input->at + first, input->left - first);
        shutdown(ends[1], SHUT_WR);
        dial_attach(&dial, "", false, detail, sizeof(detail));
        if (dial.seats.count > CAIRN_NODES_MAX)
            abort();
        dial_end(&dial);
        cairn_disconnect(former);
    } else {
        if (write(ends[1], input->at, first) < 0 || dial_open(&dial, "a", &id, detail, sizeof(detail)) == CAIRN_AGAIN)
            (void)!write(ends[1], input->at + first, input->left - first);
        shutdown(ends[1], SHUT_WR);
        dial_open(&dial, "a", &id, detail, sizeof(detail));
        dial_end(&dial);
    }
    close(ends[1]);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input input = {data, size};
    uint64_t which = draw(&input, 1) % 8;

    if (worker.memory == NULL && byte_channel_make(&worker, RING_BYTES) != 0)
        abort();
    if (which < 2)
        hear_socket(&input, which == 0);
    else
        poll_ring(&input);
    return 0;
}
