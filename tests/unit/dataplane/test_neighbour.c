/* ARP and ping, as an ordinary host asks. */
#include "tests/unit/check.h"

#include "dataplane/neighbour.h"

static const uint8_t asker_mac[6] = {0x0a, 1, 2, 3, 4, 5}, node_mac[6] = {0x02, 0xca, 0, 0, 0, 3};
static const uint8_t asker_ip[4] = {10, 202, 0, 200}, node_ip[4] = {10, 202, 0, 3};

static struct frame_template
node(void)
{
    struct frame_template host;

    frame_template_init(&host, 2, 0, 0);
    return host;
}

static size_t
arp_request(uint8_t *frame)
{
    static const uint8_t head[8] = {0, 1, 8, 0, 6, 4, 0, 1};

    memset(frame, 0, 42);
    memset(frame, 0xff, 6);
    memcpy(frame + 6, asker_mac, 6);
    frame[12] = 8;
    frame[13] = 6;
    memcpy(frame + 14, head, 8);
    memcpy(frame + 22, asker_mac, 6);
    memcpy(frame + 28, asker_ip, 4);
    memcpy(frame + 38, node_ip, 4);
    return 42;
}

static uint32_t
sum(const uint8_t *bytes, size_t size)
{
    uint32_t total = 0;

    for (size_t i = 0; i < size; i += 2)
        total += (uint32_t)bytes[i] << 8 | (i + 1 < size ? bytes[i + 1] : 0);
    while (total >> 16)
        total = (total & 0xffff) + (total >> 16);
    return total;
}

static void
put_checksum(uint8_t *at, const uint8_t *bytes, size_t size)
{
    uint32_t checksum = ~sum(bytes, size) & 0xffff;

    at[0] = (uint8_t)(checksum >> 8);
    at[1] = (uint8_t)checksum;
}

static size_t
ping(uint8_t *frame, uint8_t fill)
{
    const size_t icmp_bytes = 24;

    memset(frame, 0, 100);
    memcpy(frame, node_mac, 6);
    memcpy(frame + 6, asker_mac, 6);
    frame[12] = 8;
    frame[14] = 0x45;
    frame[17] = 20 + 24;
    frame[22] = 64;
    frame[23] = 1;
    memcpy(frame + 26, asker_ip, 4);
    memcpy(frame + 30, node_ip, 4);
    put_checksum(frame + 24, frame + 14, 20);
    frame[34] = 8;
    memset(frame + 38, fill, icmp_bytes - 4);
    put_checksum(frame + 36, frame + 34, icmp_bytes);
    return 34 + icmp_bytes;
}

static void
whoever_asks_for_the_address_is_told(void **state)
{
    struct frame_template host = node();
    uint8_t frame[64];

    (void)state;
    assert_true(neighbour_answer(&host, frame, arp_request(frame)));
    assert_memory_equal(frame, asker_mac, 6);
    assert_memory_equal(frame + 6, node_mac, 6);
    assert_int_equal(frame[21], 2);
    assert_memory_equal(frame + 22, node_mac, 6);
    assert_memory_equal(frame + 28, node_ip, 4);
    assert_memory_equal(frame + 32, asker_mac, 6);
    assert_memory_equal(frame + 38, asker_ip, 4);
}

static void
a_ping_comes_back_with_sums_that_hold(void **state)
{
    struct frame_template host = node();
    uint8_t frame[128];

    (void)state;
    for (int fill = 0; fill < 256; fill++) {
        size_t size = ping(frame, (uint8_t)fill);

        assert_true(neighbour_answer(&host, frame, size));
        assert_memory_equal(frame, asker_mac, 6);
        assert_memory_equal(frame + 26, node_ip, 4);
        assert_memory_equal(frame + 30, asker_ip, 4);
        assert_int_equal(frame[34], 0);
        assert_int_equal(sum(frame + 14, 20), 0xffff);
        assert_int_equal(sum(frame + 34, 24), 0xffff);
        assert_int_equal(frame[40], fill);
    }
}

static void
what_is_not_for_this_host_is_left_alone(void **state)
{
    struct frame_template host = node();
    uint8_t frame[128], before[128];

    (void)state;
    for (int kind = 0; kind < 2; kind++) {
        size_t size = kind == 0 ? arp_request(frame) : ping(frame, 1);

        for (size_t shorter = 0; shorter < (kind == 0 ? size : 42); shorter++)
            assert_false(neighbour_answer(&host, frame, shorter));
        frame[kind == 0 ? 41 : 33] ^= 1; /* another's address */
        memcpy(before, frame, size);
        assert_false(neighbour_answer(&host, frame, size));
        assert_memory_equal(frame, before, size);
        frame[kind == 0 ? 41 : 33] ^= 1;
        memcpy(frame, (uint8_t[]){0x02, 0xca, 0, 0, 0, 4}, 6); /* another's station */
        assert_false(neighbour_answer(&host, frame, size));
        memset(frame, 0xff, 6);
        if (kind == 1) /* nobody answers what pings everybody */
            assert_false(neighbour_answer(&host, frame, size));
        memcpy(frame, node_mac, 6);
        frame[kind == 0 ? 21 : 34] = 2; /* an answer, not a question */
        assert_false(neighbour_answer(&host, frame, size));
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(whoever_asks_for_the_address_is_told),
        cmocka_unit_test(a_ping_comes_back_with_sums_that_hold),
        cmocka_unit_test(what_is_not_for_this_host_is_left_alone),
    };

    return RUN_TESTS(tests);
}
