#include "dataplane/neighbour.h"

#include <assert.h>
#include <string.h>

#define ETHERNET_BYTES 14u
#define IP_BYTES 20u
#define ARP_BYTES 28u
#define ICMP_AT (ETHERNET_BYTES + IP_BYTES)
#define ICMP_BYTES_MIN 8u

_Static_assert(ICMP_AT + ICMP_BYTES_MIN == FRAME_HEAD_BYTES, "as long as UDP's header, and in its place");

static const uint8_t *
host_mac(const struct frame_template *host)
{
    return host->head + 6;
}

static const uint8_t *
host_ip(const struct frame_template *host)
{
    return host->head + ETHERNET_BYTES + 12;
}

/* To this host's station alone? */
static bool
is_unicast(const struct frame_template *host, const uint8_t *frame)
{
    return memcmp(frame, host_mac(host), 6) == 0;
}

static bool
is_broadcast(const uint8_t *frame)
{
    static const uint8_t everybody[6] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};

    return memcmp(frame, everybody, sizeof(everybody)) == 0;
}

static void
turn_round(const struct frame_template *host, uint8_t *frame)
{
    memcpy(frame, frame + 6, 6);
    memcpy(frame + 6, host_mac(host), 6);
}

/* Who has our address? */
static bool
answer_arp(const struct frame_template *host, uint8_t *frame, size_t size_bytes)
{
    _Static_assert(ARP_BYTES == 8 + 2 * (6 + 4), "what is asked, and two addresses each");
    /* Ethernet, IPv4, lengths 6 and 4, a request. */
    static const uint8_t request[8] = {0, 1, 8, 0, 6, 4, 0, 1};
    uint8_t *arp = frame + ETHERNET_BYTES;

    if (size_bytes < ETHERNET_BYTES + ARP_BYTES || !(is_unicast(host, frame) || is_broadcast(frame)) ||
        memcmp(arp, request, sizeof(request)) != 0 || memcmp(arp + 24, host_ip(host), 4) != 0)
        return false;
    turn_round(host, frame);
    arp[7] = 2;
    memmove(arp + 18, arp + 8, 10);
    memcpy(arp + 8, host_mac(host), 6);
    memcpy(arp + 14, host_ip(host), 4);
    return true;
}

/* One's complement sums take a change of a word as a sum of their own (RFC 1624). */
static void
add_to_checksum(uint8_t *checksum, uint32_t amount)
{
    uint32_t sum = ((uint32_t)checksum[0] << 8 | checksum[1]) + amount;

    sum = (sum & 0xffff) + (sum >> 16);
    assert(amount <= 0xffff && sum <= 0xffff);
    checksum[0] = (uint8_t)(sum >> 8);
    checksum[1] = (uint8_t)sum;
}

static bool
answer_ping(const struct frame_template *host, uint8_t *frame, size_t size_bytes)
{
    uint8_t *ip = frame + ETHERNET_BYTES, *icmp = frame + ICMP_AT;
    uint8_t asker[4];

    if (size_bytes < ICMP_AT + ICMP_BYTES_MIN || !is_unicast(host, frame) || ip[0] != 0x45 || ip[9] != 1 ||
        memcmp(ip + 16, host_ip(host), 4) != 0)
        return false;
    if (icmp[0] != 8 || icmp[1] != 0 || (ip[6] & 0x3f) != 0 || ip[7] != 0)
        return false;
    turn_round(host, frame);
    memcpy(asker, ip + 12, 4);
    memcpy(ip + 12, ip + 16, 4);
    memcpy(ip + 16, asker, 4);
    icmp[0] = 0;
    add_to_checksum(icmp + 2, 0x0800);
    return true;
}

bool
neighbour_answer(const struct frame_template *host, uint8_t *frame, size_t size_bytes)
{
    if (size_bytes < ETHERNET_BYTES || frame[12] != 0x08)
        return false;
    if (frame[13] == 0x06)
        return answer_arp(host, frame, size_bytes);
    return frame[13] == 0x00 && answer_ping(host, frame, size_bytes);
}
