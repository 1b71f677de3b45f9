/* No allocation on the data path: with a whole cluster at work, the heap counters of the thread that
 * polls all its workers do not move. jemalloc keeps them per thread. */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <jemalloc/jemalloc.h>

#include "node/local.h"
#include "tests/unit/check.h"

#define ENTRIES 1000000u
#define DURABLE_ENTRIES 200000u
#define WARM_UP 50000u
#define NODES 3u

struct counters {
    struct task_application inner; /* of the first node */
    _Atomic bool read;
    uint64_t allocated, freed;
};

static struct counters counters;

/* Stands in the first worker's place, to read the counters from inside its thread. */
static uint32_t
counting_turn(void *context, uint64_t now_ns, bool drained)
{
    if (atomic_load(&counters.read)) {
        size_t size = sizeof(uint64_t);

        mallctl("thread.allocated", &counters.allocated, &size, NULL, 0);
        mallctl("thread.deallocated", &counters.freed, &size, NULL, 0);
        atomic_store(&counters.read, false);
    }
    return counters.inner.turn(context, now_ns, drained);
}

static void
read_counters(uint64_t *allocated, uint64_t *freed)
{
    struct timespec pause = {.tv_nsec = 100000};

    atomic_store(&counters.read, true);
    while (atomic_load(&counters.read))
        nanosleep(&pause, NULL);
    *allocated = counters.allocated;
    *freed = counters.freed;
}

static void
append(struct cairn_client *client, uint32_t log, uint64_t *seq, uint64_t count)
{
    uint64_t sent = 0, done = 0;
    struct cairn_result result;

    while (done < count) {
        struct cairn_entry entry = {
            .payload = "sixty-four bytes of payload, as the benches have them, no more.",
            .payload_bytes = 64,
            .producer = 77,
            .producer_seq = *seq + 1,
        };

        if (sent < count && sent - done < 4000 &&
            cairn_append(client, log, &entry, CAIRN_ACK_MAJORITY, sent) == CAIRN_OK) {
            sent++;
            ++*seq;
        }
        while (cairn_poll(client, &result) > 0) {
            assert_int_equal(result.error, CAIRN_OK);
            done++;
        }
        if (sent == count || sent - done >= 4000)
            cairn_wait(client, 1000000);
    }
}

static void
appends_allocate_nothing(struct disk **disks, enum cairn_durability durability, uint64_t count)
{
    static struct local_cluster local;
    struct local_config config = {.nodes = NODES,
                                  .memory_mib = 128,
                                  .retain_bytes = 32u << 20,
                                  .channel_bytes = 1u << 20,
                                  .idle = IDLE_YIELD,
                                  .cpu = -1,
                                  .lcore_later = true,
                                  .disks = disks};
    uint64_t allocated, freed, allocated_after, freed_after, seq = 0;
    struct cairn_client *client;
    char detail[512];
    uint32_t log;

    if (local_start(&config, &local, detail, sizeof(detail)) != CAIRN_OK)
        fail_msg("%s", detail);
    counters.inner = node_task(local.nodes[0], 0)->application;
    node_task(local.nodes[0], 0)->application.turn = counting_turn;
    assert_true(lcore_start(&local.lcores[0]));
    assert_int_equal(local_create_log(local.nodes[0], "bench", CAIRN_POLICY_CP, durability, 0, NULL, NULL, &log),
                     CAIRN_OK);
    assert_int_equal(node_attach(local.nodes[0], &client), CAIRN_OK);
    append(client, log, &seq, WARM_UP);
    read_counters(&allocated, &freed);

    append(client, log, &seq, count);

    read_counters(&allocated_after, &freed_after);
    assert_int_equal(allocated_after - allocated, 0);
    assert_int_equal(freed_after - freed, 0);
    print_message("%lu appends on three nodes, one polling thread: %lu bytes allocated, %lu freed\n",
                  (unsigned long)count, allocated_after - allocated, freed_after - freed);
    cairn_disconnect(client);
    local_stop(&local);
}

static void
a_million_appends_allocate_nothing(void **state)
{
    (void)state;
    appends_allocate_nothing(NULL, CAIRN_MEMORY, ENTRIES);
}

static void
remove_directory(const char *path)
{
    DIR *directory = opendir(path);
    const struct dirent *entry;

    while (directory != NULL && (entry = readdir(directory)) != NULL)
        unlinkat(dirfd(directory), entry->d_name, 0);
    if (directory != NULL)
        closedir(directory);
    rmdir(path);
}

static void
appends_on_disk_allocate_nothing(void **state)
{
    char parent[] = "/tmp/cairn-allocation-XXXXXX", paths[NODES][64], detail[512];
    struct disk *disks[NODES] = {NULL};

    (void)state;
    assert_non_null(mkdtemp(parent));
    for (uint32_t i = 0; i < NODES; i++) {
        snprintf(paths[i], sizeof(paths[i]), "%s/n%u", parent, i + 1);
        if (disk_machine_open(paths[i], false, &disks[i], detail, sizeof(detail)) != CAIRN_OK)
            fail_msg("%s", detail);
    }
    appends_allocate_nothing(disks, CAIRN_DISK, DURABLE_ENTRIES);
    for (uint32_t i = 0; i < NODES; i++) {
        disks[i]->operations->destroy(disks[i]);
        remove_directory(paths[i]);
    }
    rmdir(parent);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(a_million_appends_allocate_nothing),
                                       cmocka_unit_test(appends_on_disk_allocate_nothing)};

    return RUN_TESTS(tests);
}
