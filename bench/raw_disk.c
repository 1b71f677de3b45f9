#include "bench/raw_disk.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "dataplane/clock.h"

#define WRITERS_MAX 8u
#define FILE_BYTES (64u << 20)
#define SMALL_BYTES 4096u
#define LARGE_BYTES (1u << 20)
#define PHASE_NS 1000000000u
#define SAMPLES_MAX (1u << 18)

struct writer {
    const char *directory;
    uint32_t index;
    pthread_barrier_t *barrier;
    pthread_t thread;
    char path[PATH_MAX];
    int file;
    uint8_t *bytes;
    uint32_t *samples_ns;
    uint32_t samples;
    uint64_t large_bytes, large_ns;
    int failure; /* errno; 0: none */
};

static bool
put(struct writer *writer, uint64_t offset, uint32_t size_bytes)
{
    ssize_t written = pwrite(writer->file, writer->bytes, size_bytes, (off_t)(offset % FILE_BYTES));

    if (written != (ssize_t)size_bytes && writer->failure == 0)
        writer->failure = written < 0 ? errno : EIO;
    return writer->failure == 0;
}

static void
write_small(struct writer *writer)
{
    uint64_t end_ns = clock_monotonic_ns() + PHASE_NS, before_ns, now_ns = 0;

    for (uint64_t offset = 0; now_ns < end_ns && writer->samples < SAMPLES_MAX; offset += SMALL_BYTES) {
        before_ns = clock_monotonic_ns();
        if (!put(writer, offset, SMALL_BYTES))
            return;
        now_ns = clock_monotonic_ns();
        writer->samples_ns[writer->samples++] = (uint32_t)(now_ns - before_ns);
    }
}

static void
write_large(struct writer *writer)
{
    uint64_t start_ns = clock_monotonic_ns();

    do {
        if (!put(writer, writer->large_bytes, LARGE_BYTES))
            return;
        writer->large_bytes += LARGE_BYTES;
        writer->large_ns = clock_monotonic_ns() - start_ns;
    } while (writer->large_ns < PHASE_NS);
}

static void *
writer_run(void *argument)
{
    struct writer *writer = argument;

    for (uint64_t offset = 0; offset < FILE_BYTES && writer->failure == 0; offset += LARGE_BYTES)
        put(writer, offset, LARGE_BYTES);
    pthread_barrier_wait(writer->barrier);
    if (writer->failure == 0)
        write_small(writer);
    pthread_barrier_wait(writer->barrier);
    if (writer->failure == 0)
        write_large(writer);
    return NULL;
}

static void
writer_open(struct writer *writer)
{
    snprintf(writer->path, sizeof(writer->path), "%s/raw-%u", writer->directory, writer->index);
    writer->file = open(writer->path, O_CREAT | O_TRUNC | O_WRONLY | O_DIRECT | O_DSYNC | O_CLOEXEC, 0600);
    if (writer->file < 0)
        writer->failure = errno;
    writer->bytes = aligned_alloc(SMALL_BYTES, LARGE_BYTES);
    writer->samples_ns = calloc(SAMPLES_MAX, sizeof(*writer->samples_ns));
    if (writer->bytes == NULL || writer->samples_ns == NULL)
        writer->failure = ENOMEM;
    if (writer->failure == 0)
        memset(writer->bytes, 0xca, LARGE_BYTES);
}

static void
writer_close(struct writer *writer)
{
    if (writer->file >= 0) {
        close(writer->file);
        unlink(writer->path);
    }
    free(writer->bytes);
    free(writer->samples_ns);
}

static void
sum_up(const struct writer *writers, uint32_t count, struct histogram *histogram, struct raw_disk_figures *out)
{
    memset(out, 0, sizeof(*out));
    histogram_reset(histogram);
    for (uint32_t i = 0; i < count; i++) {
        for (uint32_t j = 0; j < writers[i].samples; j++)
            histogram_add(histogram, writers[i].samples_ns[j]);
        if (writers[i].large_ns > 0)
            out->bytes_per_s += (uint64_t)((double)writers[i].large_bytes * 1e9 / (double)writers[i].large_ns);
    }
    out->write_p50_ns = histogram_at(histogram, 50);
    out->write_p99_ns = histogram_at(histogram, 99);
}

/* With one thread too few the others would wait for it for good. */
static void
abandon(void)
{
    fprintf(stderr, "cairn: bench: no thread to be had (too many processes?)\n");
    exit(1);
}

enum cairn_error
raw_disk_measure(const char *directory, uint32_t count, struct histogram *histogram, struct raw_disk_figures *out,
                 char *detail, size_t detail_bytes)
{
    struct writer writers[WRITERS_MAX];
    pthread_barrier_t barrier;
    uint32_t opened = 0, started = 0;
    int failure = 0;

    memset(writers, 0, sizeof(writers));
    if (count > WRITERS_MAX)
        return CAIRN_INVALID;
    pthread_barrier_init(&barrier, NULL, count);
    for (; opened < count && failure == 0; opened++) {
        writers[opened] = (struct writer){.directory = directory, .index = opened, .barrier = &barrier};
        writer_open(&writers[opened]);
        failure = writers[opened].failure;
    }
    for (; started < count && failure == 0; started++) {
        if (pthread_create(&writers[started].thread, NULL, writer_run, &writers[started]) != 0)
            abandon();
    }
    for (uint32_t i = 0; i < started; i++)
        pthread_join(writers[i].thread, NULL);
    for (uint32_t i = 0; i < opened; i++)
        failure = failure == 0 ? writers[i].failure : failure;
    sum_up(writers, opened, histogram, out);
    for (uint32_t i = 0; i < opened; i++)
        writer_close(&writers[i]);
    pthread_barrier_destroy(&barrier);
    if (failure != 0) {
        snprintf(detail, detail_bytes, "%s: %s (another place for --dir?)", directory, strerror(failure));
        return failure == ENOMEM ? CAIRN_NO_MEMORY : CAIRN_IO;
    }
    return CAIRN_OK;
}
