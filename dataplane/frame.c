#include "dataplane/frame.h"

#include <assert.h>
#include <string.h>

#include "assert_costly.h"

#define MAC_BYTES 6
#define TYPE_AT 12
#define IP_AT 14
#define SOURCE_IP_AT 26
#define TARGET_IP_AT 30
#define IP_BYTES 4
#define UDP_AT 34
#define TARGET_PORT_AT 36

_Static_assert(IP_AT == TYPE_AT + 2, "the type stands right before");
_Static_assert(SOURCE_IP_AT == IP_AT + 12 && TARGET_IP_AT == SOURCE_IP_AT + IP_BYTES, "RFC 791");
_Static_assert(UDP_AT == IP_AT + 20 && TARGET_PORT_AT == UDP_AT + 2, "an IPv4 header without options");
_Static_assert(UDP_AT + 8 == FRAME_HEAD_BYTES, "the message follows");

static void
put16(uint8_t *at, uint32_t value)
{
    assert_costly(value <= UINT16_MAX);
    at[0] = (uint8_t)(value >> 8);
    at[1] = (uint8_t)value;
}

static uint32_t
get16(const uint8_t *at)
{
    return ((uint32_t)at[0] << 8) | at[1];
}

/* RFC 1071, not folded. */
static uint32_t
sum16(const uint8_t *bytes, size_t size_bytes)
{
    uint32_t sum = 0;

    assert_costly(size_bytes % 2 == 0);
    for (size_t i = 0; i + 1 < size_bytes; i += 2)
        sum += get16(bytes + i);
    return sum;
}

static uint16_t
fold(uint32_t sum)
{
    while (sum >> 16)
        sum = (sum & 0xffff) + (sum >> 16);
    return (uint16_t)~sum;
}

void
frame_template_init(struct frame_template *template, uint8_t from, uint8_t to, uint8_t worker)
{
    uint8_t *head = template->head;

    assert(from != to);
    memset(template, 0, sizeof(*template));
    /* Locally administered MACs and a private net. */
    memcpy(head, (uint8_t[]){0x02, 0xca, 0, 0, 0, (uint8_t)(to + 1)}, 6);
    memcpy(head + 6, (uint8_t[]){0x02, 0xca, 0, 0, 0, (uint8_t)(from + 1)}, 6);
    put16(head + 12, 0x0800);
    head[IP_AT] = 0x45;
    put16(head + IP_AT + 6, 0x4000); /* do not fragment */
    head[IP_AT + 8] = 64;
    head[IP_AT + 9] = 17;
    memcpy(head + IP_AT + 12, (uint8_t[]){10, 202, 0, (uint8_t)(from + 1)}, 4);
    memcpy(head + IP_AT + 16, (uint8_t[]){10, 202, 0, (uint8_t)(to + 1)}, 4);
    put16(head + UDP_AT, FRAME_UDP_PORT + worker);
    put16(head + UDP_AT + 2, FRAME_UDP_PORT + worker);
    template->checksum = sum16(head + IP_AT, 20);
}

void
frame_write(const struct frame_template *template, uint8_t *out, size_t payload_bytes)
{
    uint32_t ip_bytes = (uint32_t)payload_bytes + 28;

    assert_costly(payload_bytes <= UINT16_MAX - 28);
    memcpy(out, template->head, FRAME_HEAD_BYTES);
    put16(out + IP_AT + 2, ip_bytes);
    put16(out + IP_AT + 10, fold(template->checksum + ip_bytes));
    put16(out + UDP_AT + 4, (uint32_t)payload_bytes + 8);
    /* As payload_of() looks at it. */
    assert_costly(fold(sum16(out + IP_AT, 20)) == 0);
}

/* What its sender meant, whoever it is for: NULL where it is not IPv4 and UDP, or does not hold together. */
static const uint8_t *
payload_of(const uint8_t *frame, size_t size_bytes, size_t *payload_bytes)
{
    uint32_t ip_bytes, udp_bytes;

    assert_costly(size_bytes >= FRAME_HEAD_BYTES);
    if (get16(frame + TYPE_AT) != 0x0800 || frame[IP_AT] != 0x45 || frame[IP_AT + 9] != 17)
        return NULL;
    if (fold(sum16(frame + IP_AT, 20)) != 0)
        return NULL;
    ip_bytes = get16(frame + IP_AT + 2);
    udp_bytes = get16(frame + UDP_AT + 4);
    if (udp_bytes < 8 || ip_bytes != udp_bytes + 20 || ip_bytes + IP_AT > size_bytes)
        return NULL;
    *payload_bytes = udp_bytes - 8;
    assert_costly(FRAME_HEAD_BYTES + *payload_bytes <= size_bytes);
    return frame + FRAME_HEAD_BYTES;
}

enum frame_verdict
frame_open(const struct frame_template *own, const uint8_t *frame, size_t size_bytes, const uint8_t **payload,
           size_t *payload_bytes)
{
    const uint8_t *head = own->head;

    if (size_bytes < FRAME_HEAD_BYTES)
        return FRAME_FORM;
    if (memcmp(frame, head + MAC_BYTES, MAC_BYTES) != 0)
        return FRAME_MAC;
    *payload = payload_of(frame, size_bytes, payload_bytes);
    if (*payload == NULL)
        return FRAME_FORM;
    if (memcmp(frame + TARGET_IP_AT, head + SOURCE_IP_AT, IP_BYTES) != 0)
        return FRAME_IP;
    if (get16(frame + TARGET_PORT_AT) != get16(head + TARGET_PORT_AT))
        return FRAME_PORT;
    return FRAME_OK;
}

bool
frame_is_from(const struct frame_template *own, const uint8_t *frame)
{
    return memcmp(frame + MAC_BYTES, own->head, MAC_BYTES) == 0 &&
           memcmp(frame + SOURCE_IP_AT, own->head + TARGET_IP_AT, IP_BYTES) == 0;
}
