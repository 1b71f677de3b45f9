/* The ring between a client and a worker, with a thread at each end. */
#include <pthread.h>

#include "tests/unit/check.h"
#include "wire/byte_ring.h"

#define MESSAGES 100000u

static uint32_t
size_of(uint32_t number)
{
    return 8 + number * 7 % 700;
}

static void *
produce(void *argument)
{
    struct byte_ring *ring = argument;

    for (uint32_t number = 0; number < MESSAGES;) {
        uint32_t size = size_of(number);
        uint32_t *place = byte_ring_reserve(ring, size);

        if (place == NULL)
            continue;
        memset(place, (int)(number & 0xff), size);
        place[0] = size;
        place[1] = number++;
        byte_ring_push(ring, size);
    }
    return NULL;
}

static void
everything_arrives_in_order_and_whole(void **state)
{
    struct byte_channel worker, client;
    pthread_t thread;

    (void)state;
    assert_int_equal(byte_channel_make(&worker, 4096), 0);
    byte_channel_mirror(&worker, &client);
    assert_int_equal(pthread_create(&thread, NULL, produce, &client.out), 0);
    for (uint32_t number = 0; number < MESSAGES;) {
        const void *bytes;
        const uint32_t *message;
        size_t ready = byte_ring_peek(&worker.in, &bytes);

        if (ready == 0)
            continue;
        message = bytes;
        assert_int_equal(message[0], size_of(number));
        assert_int_equal(message[1], number);
        if (message[0] > 8)
            assert_int_equal(((const uint8_t *)bytes)[message[0] - 1], number & 0xff);
        byte_ring_pop(&worker.in, message[0]);
        number++;
    }
    pthread_join(thread, NULL);
    byte_channel_close(&worker);
}

static void
a_full_ring_takes_nothing(void **state)
{
    struct byte_channel worker, client;

    (void)state;
    assert_int_equal(byte_channel_make(&worker, 4096), 0);
    byte_channel_mirror(&worker, &client);
    for (int i = 0; i < 4; i++) {
        assert_non_null(byte_ring_reserve(&client.out, 1024));
        byte_ring_push(&client.out, 1024);
    }
    assert_null(byte_ring_reserve(&client.out, 8));
    assert_int_equal(byte_ring_room(&client.out), 0);
    byte_channel_close(&worker);
}

static void
nonsense_indices_are_no_messages(void **state)
{
    struct byte_channel worker;
    const void *bytes;

    (void)state;
    assert_int_equal(byte_channel_make(&worker, 4096), 0);
    atomic_store(&worker.in.shared->head, 1ull << 40);
    assert_int_equal(byte_ring_peek(&worker.in, &bytes), 0);
    byte_channel_close(&worker);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(everything_arrives_in_order_and_whole),
        cmocka_unit_test(a_full_ring_takes_nothing),
        cmocka_unit_test(nonsense_indices_are_no_messages),
    };

    return RUN_TESTS(tests);
}
