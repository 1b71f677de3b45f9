/* A journal for all logs of a worker, or a file for each log: what entries take until they are on the medium.
 *
 *     build/bench/layouts [DIR]     (where the disk to be measured is; the present directory)
 *
 * Each log has one client, which gives its next entry when the last one is durable. Shared: what is there goes into one
 * write of blocks, padded to 4 KiB, at most two under way. Apart: each log's entry is a write of its own to its own
 * file, all of them under way at once if they like. Both by io_uring with registered files, O_DIRECT and O_DSYNC, into
 * space that was written before, so what is measured is the number and size of writes, and nothing else. Three rounds,
 * the layouts in turn; medians. */
#include <errno.h>
#include <fcntl.h>
#include <liburing.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "bench/histogram.h"
#include "dataplane/clock.h"

#define LOGS_MAX 1000u
#define ENTRY_BYTES 640u /* a block's header and a record of 512 bytes */
#define SECTOR_BYTES 4096u
#define SHARED_FILE_BYTES (64u << 20)
#define OWN_FILE_BYTES (256u << 10)
#define WRITES_MAX 2u
#define ROUND_NS 1500000000u
#define ROUNDS 3u

enum layout { SHARED, APART };

struct figures {
    double entries_per_s;
    uint64_t p50_ns, p99_ns;
};

struct bench {
    struct io_uring ring;
    int files[LOGS_MAX];
    uint32_t file_bytes;
    uint64_t given_ns[LOGS_MAX];            /* when the log's entry was given */
    uint32_t offset[LOGS_MAX];              /* of the next write to its file */
    uint32_t carried[WRITES_MAX][LOGS_MAX]; /* whose entries a shared write carries */
    uint32_t carried_count[WRITES_MAX];
    uint32_t waiting[LOGS_MAX], waiting_count; /* logs whose entry no write carries yet */
    uint8_t *bytes;
    struct histogram *histogram;
    uint64_t entries;
};

static void
die(const char *what, int error)
{
    fprintf(stderr, "layouts: %s: %s\n", what, strerror(error));
    exit(1);
}

/* A file with all of its space written, and no name any more. */
static int
make_file(const char *directory, const struct bench *bench)
{
    char path[PATH_MAX];
    int file;

    snprintf(path, sizeof(path), "%s/cairn-layouts-%d", directory, (int)getpid());
    file = open(path, O_CREAT | O_TRUNC | O_WRONLY | O_DIRECT | O_CLOEXEC, 0600);
    if (file < 0)
        die(path, errno);
    for (uint32_t at = 0; at < bench->file_bytes; at += OWN_FILE_BYTES) {
        if (pwrite(file, bench->bytes, OWN_FILE_BYTES, at) != OWN_FILE_BYTES)
            die(path, errno == 0 ? ENOSPC : errno);
    }
    close(file);
    file = open(path, O_WRONLY | O_DIRECT | O_DSYNC | O_CLOEXEC);
    if (file < 0)
        die(path, errno);
    unlink(path);
    return file;
}

static void
submit(struct bench *bench, uint32_t file, uint32_t size_bytes, uint64_t token)
{
    struct io_uring_sqe *entry = io_uring_get_sqe(&bench->ring);

    if (bench->offset[file] + size_bytes > bench->file_bytes)
        bench->offset[file] = 0;
    io_uring_prep_write(entry, (int)file, bench->bytes, size_bytes, bench->offset[file]);
    entry->flags |= IOSQE_FIXED_FILE;
    io_uring_sqe_set_data64(entry, token);
    bench->offset[file] += size_bytes;
}

/* The log's entry is durable, and its client gives the next. */
static void
held(struct bench *bench, uint32_t log, uint64_t now_ns)
{
    histogram_add(bench->histogram, now_ns - bench->given_ns[log]);
    bench->entries++;
    bench->given_ns[log] = now_ns;
    bench->waiting[bench->waiting_count++] = log;
}

static void
start_shared(struct bench *bench)
{
    for (uint32_t write = 0; write < WRITES_MAX && bench->waiting_count > 0; write++) {
        uint32_t size_bytes = bench->waiting_count * ENTRY_BYTES;

        if (bench->carried_count[write] > 0)
            continue;
        memcpy(bench->carried[write], bench->waiting, bench->waiting_count * sizeof(*bench->waiting));
        bench->carried_count[write] = bench->waiting_count;
        bench->waiting_count = 0;
        submit(bench, 0, (size_bytes + SECTOR_BYTES - 1) / SECTOR_BYTES * SECTOR_BYTES, write);
    }
}

static void
start_apart(struct bench *bench)
{
    for (uint32_t i = 0; i < bench->waiting_count; i++)
        submit(bench, bench->waiting[i], SECTOR_BYTES, bench->waiting[i]);
    bench->waiting_count = 0;
}

static void
done(struct bench *bench, enum layout layout, const struct io_uring_cqe *event, uint64_t now_ns)
{
    uint64_t token = io_uring_cqe_get_data64(event);

    if (event->res < 0)
        die("a write", -event->res);
    if (layout == APART) {
        held(bench, (uint32_t)token, now_ns);
        return;
    }
    for (uint32_t i = 0; i < bench->carried_count[token]; i++)
        held(bench, bench->carried[token][i], now_ns);
    bench->carried_count[token] = 0;
}

static void
turn(struct bench *bench, enum layout layout)
{
    struct io_uring_cqe *event;
    unsigned head, count = 0;
    uint64_t now_ns;

    if (layout == SHARED)
        start_shared(bench);
    else
        start_apart(bench);
    /* Polled, as the worker does. */
    io_uring_submit_and_get_events(&bench->ring);
    now_ns = clock_monotonic_ns();
    io_uring_for_each_cqe(&bench->ring, head, event)
    {
        done(bench, layout, event, now_ns);
        count++;
    }
    io_uring_cq_advance(&bench->ring, count);
}

static struct figures
measure(struct bench *bench, enum layout layout, const char *directory, uint32_t logs)
{
    uint32_t files = layout == SHARED ? 1 : logs;
    uint64_t from_ns, now_ns;
    struct figures figures;
    int error;

    bench->file_bytes = layout == SHARED ? SHARED_FILE_BYTES : OWN_FILE_BYTES;
    error = io_uring_queue_init(1024, &bench->ring, 0);
    if (error < 0)
        die("io_uring", -error);
    for (uint32_t i = 0; i < files; i++)
        bench->files[i] = make_file(directory, bench);
    error = io_uring_register_files(&bench->ring, bench->files, files);
    if (error < 0)
        die("registering files", -error);
    memset(bench->offset, 0, sizeof(bench->offset));
    memset(bench->carried_count, 0, sizeof(bench->carried_count));
    histogram_reset(bench->histogram);
    bench->entries = bench->waiting_count = 0;
    from_ns = now_ns = clock_monotonic_ns();
    for (uint32_t log = 0; log < logs; log++) {
        bench->given_ns[log] = now_ns;
        bench->waiting[bench->waiting_count++] = log;
    }
    while ((now_ns = clock_monotonic_ns()) - from_ns < ROUND_NS)
        turn(bench, layout);
    figures.entries_per_s = (double)bench->entries * 1e9 / (double)(now_ns - from_ns);
    figures.p50_ns = histogram_at(bench->histogram, 50);
    figures.p99_ns = histogram_at(bench->histogram, 99);
    io_uring_queue_exit(&bench->ring);
    for (uint32_t i = 0; i < files; i++)
        close(bench->files[i]);
    return figures;
}

static int
by_rate(const void *left, const void *right)
{
    double a = ((const struct figures *)left)->entries_per_s, b = ((const struct figures *)right)->entries_per_s;

    return a < b ? -1 : a > b;
}

static void
compare(struct bench *bench, const char *directory, uint32_t logs)
{
    struct figures figures[2][ROUNDS];

    for (uint32_t round = 0; round < ROUNDS; round++) {
        figures[SHARED][round] = measure(bench, SHARED, directory, logs);
        figures[APART][round] = measure(bench, APART, directory, logs);
    }
    for (int layout = SHARED; layout <= APART; layout++) {
        const struct figures *median = &figures[layout][ROUNDS / 2];

        qsort(figures[layout], ROUNDS, sizeof(struct figures), by_rate);
        printf("%5u logs, %s: %8.0f entries/s (%.0f to %.0f), p50 %7.0f us, p99 %7.0f us\n", logs,
               layout == SHARED ? "one journal  " : "a file each  ", median->entries_per_s,
               figures[layout][0].entries_per_s, figures[layout][ROUNDS - 1].entries_per_s,
               (double)median->p50_ns / 1000, (double)median->p99_ns / 1000);
    }
}

int
main(int argc, char **argv)
{
    struct rlimit files = {.rlim_cur = LOGS_MAX + 64, .rlim_max = LOGS_MAX + 64};
    static struct bench space;
    struct bench *bench = &space;

    if (argc > 2 || (argc == 2 && argv[1][0] == '-')) {
        fprintf(stderr, "usage: layouts [DIR]\n");
        return 2;
    }
    if ((bench->histogram = histogram_new()) == NULL || (bench->bytes = aligned_alloc(SECTOR_BYTES, 1u << 20)) == NULL)
        die("start", ENOMEM);
    memset(bench->bytes, 0xca, 1u << 20);
    if (setrlimit(RLIMIT_NOFILE, &files) != 0)
        die("opening 1,000 files", errno);
    compare(bench, argc == 2 ? argv[1] : ".", 1);
    compare(bench, argc == 2 ? argv[1] : ".", 100);
    compare(bench, argc == 2 ? argv[1] : ".", 1000);
    free(bench->bytes);
    histogram_free(bench->histogram);
    return 0;
}
