#include "wire/byte_ring.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define PAGE_BYTES 4096u
#define RING_BYTES_MAX (64u << 20)

static size_t
rounded(size_t size_bytes)
{
    return (size_bytes + 7) & ~(size_t)7;
}

size_t
byte_ring_room(struct byte_ring *ring)
{
    uint64_t used;

    /* Acquire pairs with the release in byte_ring_pop: the bytes before tail are read. */
    ring->other_cached = atomic_load_explicit(&ring->shared->tail, memory_order_acquire);
    used = ring->position - ring->other_cached;
    return used <= ring->size_bytes ? (size_t)(ring->size_bytes - used) : 0;
}

void *
byte_ring_reserve(struct byte_ring *ring, size_t size_bytes)
{
    uint64_t used = ring->position - ring->other_cached;

    assert_costly(ring->position % 8 == 0);
    size_bytes = rounded(size_bytes);
    if ((used > ring->size_bytes || ring->size_bytes - used < size_bytes) && byte_ring_room(ring) < size_bytes)
        return NULL;
    return ring->data + (ring->position & (ring->size_bytes - 1));
}

void
byte_ring_push(struct byte_ring *ring, size_t size_bytes)
{
    /* Reserved before: what the consumer has not read yet stays as it is. */
    assert_costly(rounded(size_bytes) <= ring->size_bytes - (ring->position - ring->other_cached));
    ring->position += rounded(size_bytes);
    /* Pairs with the acquire in byte_ring_peek. */
    atomic_store_explicit(&ring->shared->head, ring->position, memory_order_release);
    /* The next message's first lines, while there is time. */
    __builtin_prefetch(ring->data + (ring->position & (ring->size_bytes - 1)), 1);
    __builtin_prefetch(ring->data + (ring->position & (ring->size_bytes - 1)) + 64, 1);
}

void
byte_ring_pop(struct byte_ring *ring, size_t size_bytes)
{
    assert_costly(size_bytes > 0 && size_bytes <= ring->size_bytes);
    ring->position += rounded(size_bytes);
    atomic_store_explicit(&ring->shared->tail, ring->position, memory_order_release);
}

/* Layout: page 0 requests' indices, page 1 answers' indices, then the two data areas. */
static size_t
file_bytes(size_t ring_bytes)
{
    return 2 * PAGE_BYTES + 2 * ring_bytes;
}

static size_t
mapped_bytes(size_t ring_bytes)
{
    return 2 * PAGE_BYTES + 4 * ring_bytes;
}

/* Each data area appears twice in a row. */
static int
map_channel(struct byte_channel *channel, size_t ring_bytes)
{
    const int protection = PROT_READ | PROT_WRITE, flags = MAP_SHARED | MAP_FIXED;
    size_t sources[] = {0, 2 * PAGE_BYTES, 2 * PAGE_BYTES, 2 * PAGE_BYTES + ring_bytes, 2 * PAGE_BYTES + ring_bytes};
    size_t sizes[] = {2 * PAGE_BYTES, ring_bytes, ring_bytes, ring_bytes, ring_bytes};
    uint8_t *at;

    assert(sources[4] + sizes[4] == file_bytes(ring_bytes));
    channel->memory_bytes = mapped_bytes(ring_bytes);
    channel->memory = mmap(NULL, channel->memory_bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (channel->memory == MAP_FAILED)
        return errno;
    at = channel->memory;
    for (int i = 0; i < 5; i++) {
        if (mmap(at, sizes[i], protection, flags, channel->fd, (off_t)sources[i]) == MAP_FAILED) {
            int error = errno;

            munmap(channel->memory, channel->memory_bytes);
            return error;
        }
        at += sizes[i];
    }
    assert(at == (uint8_t *)channel->memory + channel->memory_bytes);
    return 0;
}

static void
bind_rings(struct byte_channel *channel, size_t ring_bytes, bool worker)
{
    uint8_t *memory = channel->memory;
    struct byte_ring requests = {
        .shared = (struct byte_ring_shared *)(void *)memory,
        .data = memory + 2 * PAGE_BYTES,
        .size_bytes = ring_bytes,
    };
    struct byte_ring answers = {
        .shared = (struct byte_ring_shared *)(void *)(memory + PAGE_BYTES),
        .data = memory + 2 * PAGE_BYTES + 2 * ring_bytes,
        .size_bytes = ring_bytes,
    };

    _Static_assert(sizeof(struct byte_ring_shared) <= PAGE_BYTES, "indices of a ring fit a page");
    /* Places come of positions by a mask. */
    assert(ring_bytes > 0 && (ring_bytes & (ring_bytes - 1)) == 0);
    assert(requests.data + 2 * ring_bytes == answers.data);
    assert(answers.data + 2 * ring_bytes == memory + mapped_bytes(ring_bytes));
    channel->in = worker ? requests : answers;
    channel->out = worker ? answers : requests;
}

int
byte_channel_make(struct byte_channel *channel, size_t ring_bytes)
{
    int error;

    assert(ring_bytes % PAGE_BYTES == 0 && (ring_bytes & (ring_bytes - 1)) == 0);
    /* No client would open it. */
    assert(ring_bytes <= RING_BYTES_MAX);
    memset(channel, 0, sizeof(*channel));
    channel->fd = memfd_create("cairn-channel", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (channel->fd < 0)
        return errno;
    /* Sealed, so that no client can take the pages away under the worker. */
    error = ftruncate(channel->fd, (off_t)file_bytes(ring_bytes)) != 0 ||
                    fcntl(channel->fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) != 0
                ? errno
                : map_channel(channel, ring_bytes);
    if (error != 0) {
        close(channel->fd);
        return error;
    }
    bind_rings(channel, ring_bytes, true);
    return 0;
}

void
byte_channel_renew(struct byte_channel *channel)
{
    assert(channel->fd >= 0);
    assert(channel->memory_bytes == mapped_bytes(channel->in.size_bytes));
    memset(channel->memory, 0, 2 * PAGE_BYTES);
    bind_rings(channel, channel->in.size_bytes, true);
}

int
byte_channel_open(struct byte_channel *channel, int fd)
{
    struct stat status;
    size_t ring_bytes;
    int error = 0;

    memset(channel, 0, sizeof(*channel));
    channel->fd = fd;
    if (fstat(fd, &status) != 0)
        error = errno;
    else if ((fcntl(fd, F_GET_SEALS) & F_SEAL_SHRINK) == 0)
        error = EINVAL;
    ring_bytes = error == 0 ? ((size_t)status.st_size - 2 * PAGE_BYTES) / 2 : 0;
    if (error == 0 && (ring_bytes == 0 || ring_bytes > RING_BYTES_MAX || (ring_bytes & (ring_bytes - 1)) != 0))
        error = EINVAL;
    if (error == 0)
        error = map_channel(channel, ring_bytes);
    if (error != 0) {
        close(fd);
        return error;
    }
    bind_rings(channel, ring_bytes, false);
    return 0;
}

void
byte_channel_mirror(const struct byte_channel *worker, struct byte_channel *client)
{
    /* Of the maker's end alone: a mirror's would outlive what it shows. */
    assert(worker->fd >= 0 && worker->memory_bytes == mapped_bytes(worker->in.size_bytes));
    memset(client, 0, sizeof(*client));
    client->memory = worker->memory;
    client->fd = -1;
    bind_rings(client, worker->in.size_bytes, false);
}

void
byte_channel_close(struct byte_channel *channel)
{
    if (channel->fd >= 0) {
        assert(channel->memory_bytes == mapped_bytes(channel->in.size_bytes));
        munmap(channel->memory, channel->memory_bytes);
        close(channel->fd);
    }
    memset(channel, 0, sizeof(*channel));
    channel->fd = -1;
}
