/* Who sleeps is woken by any of its bells, whatever somebody does to the others. */
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <time.h>

#include "tests/unit/check.h"
#include "wire/doorbell.h"

#define ROUNDS 300u
#define FOR_EVER_NS 3600000000000u
#define BELLS 3u

static struct doorbell *bells_made[BELLS];
static int fds[BELLS];
static _Atomic uint32_t done, rung;
static _Atomic bool ended;

static void
make(void)
{
    for (uint32_t i = 0; i < BELLS; i++) {
        bells_made[i] = doorbell_make(&fds[i]);
        assert_non_null(bells_made[i]);
    }
    atomic_store(&done, 0);
    atomic_store(&rung, 0);
    atomic_store(&ended, false);
}

static void
find(struct doorbells *bells)
{
    *bells = (struct doorbells){.count = 0};
    for (uint32_t i = 0; i < BELLS; i++)
        doorbells_add(bells, bells_made[i]);
}

/* Rings the last, whenever what it rang for is done. */
static void *
ring_the_last(void *unused)
{
    (void)unused;
    while (atomic_load(&rung) < ROUNDS) {
        while (atomic_load(&done) < atomic_load(&rung))
            sched_yield();
        atomic_fetch_add(&rung, 1);
        doorbell_ring(bells_made[BELLS - 1]);
    }
    return NULL;
}

/* As who has been given the second: the sleeper is said to be awake, and the word is what it was. */
static void *
spoil_the_second(void *unused)
{
    (void)unused;
    while (!atomic_load(&ended)) {
        atomic_store(&bells_made[1]->asleep, 0);
        atomic_store(&bells_made[1]->word, 0);
        sched_yield();
    }
    return NULL;
}

static void
a_ring_is_heard_beside_one_that_is_spoiled(void **state)
{
    pthread_t ringer, spoiler;
    struct doorbells bells;

    (void)state;
    make();
    assert_int_equal(pthread_create(&spoiler, NULL, spoil_the_second, NULL), 0);
    assert_int_equal(pthread_create(&ringer, NULL, ring_the_last, NULL), 0);
    while (atomic_load(&done) < ROUNDS) {
        find(&bells);
        doorbells_prepare(&bells);
        if (atomic_load(&rung) > atomic_load(&done)) {
            doorbells_cancel(&bells);
            atomic_fetch_add(&done, 1);
        } else {
            doorbells_wait(&bells, FOR_EVER_NS);
        }
    }
    atomic_store(&ended, true);
    pthread_join(ringer, NULL);
    pthread_join(spoiler, NULL);
    for (uint32_t i = 0; i < BELLS; i++)
        doorbell_unmap(bells_made[i]);
}

static uint64_t
now_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static void
who_is_not_rung_wakes_when_it_said(void **state)
{
    struct doorbells bells;

    (void)state;
    make();
    for (uint32_t count = 1; count <= BELLS; count++) {
        uint64_t end_ns = now_ns() + 20000000;

        find(&bells);
        bells.count = count;
        doorbells_prepare(&bells);
        for (uint32_t i = 0; i < count; i++)
            assert_int_equal(atomic_load(&bells_made[i]->asleep), 1);
        doorbells_wait(&bells, 20000000);
        assert_true(now_ns() >= end_ns);
        for (uint32_t i = 0; i < count; i++)
            assert_int_equal(atomic_load(&bells_made[i]->asleep), 0);
    }
    for (uint32_t i = 0; i < BELLS; i++)
        doorbell_unmap(bells_made[i]);
}

static void
more_bells_than_can_be_waited_for_are_looked_after(void **state)
{
    static struct doorbell many[DOORBELLS_MAX + 1];
    struct doorbells bells = {.count = 0};

    (void)state;
    for (uint32_t i = 0; i <= DOORBELLS_MAX; i++)
        doorbells_add(&bells, &many[i]);
    assert_int_equal(bells.count, DOORBELLS_MAX);
    assert_true(bells.incomplete);
    doorbells_prepare(&bells);
    /* The test ends. */
    doorbells_wait(&bells, FOR_EVER_NS);
}

/* As on an older kernel, or under a container's rules. From here on: for this process there is no way back. */
static void
where_many_cannot_be_waited_for_all_are_heard(void **state)
{
    struct sock_filter rules[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_futex_waitv, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {.len = sizeof(rules) / sizeof(rules[0]), .filter = rules};

    assert_int_equal(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
    assert_int_equal(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program), 0);
    a_ring_is_heard_beside_one_that_is_spoiled(state);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_ring_is_heard_beside_one_that_is_spoiled),
        cmocka_unit_test(who_is_not_rung_wakes_when_it_said),
        cmocka_unit_test(more_bells_than_can_be_waited_for_are_looked_after),
        cmocka_unit_test(where_many_cannot_be_waited_for_all_are_heard),
    };

    return RUN_TESTS(tests);
}
