/* What a disk is asked to write and read: how long it takes, where it ends up, what of it the power cuts off.
 *
 * A write that is done is on the medium. When the power goes, each sector of what was under way is written or not. */
#include "sim/disk_requests.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#include "sim/disk.h"
#include "sim/faults.h"
#include "sim/medium.h"
#include "sim/node.h"
#include "sim/queue.h"
#include "sim/random.h"
#include "sim/scale.h"
#include "sim/sim.h"
#include "sim/trace.h"

/* A write to a disk that hangs. */
#define HANG_NS (30000 * MS)

static uint64_t
latency_ns(struct sim_disk *disk)
{
    struct sim *sim = disk->node->sim;
    uint64_t ns = disk->hangs ? HANG_NS : sim->plan.disk_ns / 2 + random_under(&sim->disks, sim->plan.disk_ns);

    if (!sim->healing && (sim->plan.faults & (1u << FAULT_DISK_SLOW)) && random_chance(&sim->disks, 3000)) {
        sim->counts.kinds |= 1u << FAULT_DISK_SLOW;
        sim->counts.disk_faults++;
        ns += random_under(&sim->disks, 60 * MS);
    }
    return ns + disk->slower_ns;
}

bool
disk_submit(struct disk *base, const struct disk_request *request)
{
    const struct sim_directory *directory = (const struct sim_directory *)base;
    struct sim_disk *disk = directory->disk;

    for (uint32_t i = 0; i < SIM_DISK_REQUESTS; i++) {
        struct sim_disk_request *place = &disk->requests[i];

        if (place->state != REQUEST_FREE)
            continue;
        place->request = *request;
        place->submitted_ns = disk->node->sim->now_ns;
        place->worker = directory->worker;
        place->state = REQUEST_UNDER_WAY;
        /* The memory may be written to only when the request has ended, so it is read then. */
        sim_plan_happening(disk->node->sim, latency_ns(disk), HAPPEN_DISK, disk->node->self, (uint8_t)i,
                           disk->node->boots, 0);
        return true;
    }
    return false;
}

uint32_t
disk_poll_done(struct disk *base, struct disk_done *done, uint32_t max)
{
    const struct sim_directory *directory = (const struct sim_directory *)base;
    struct sim_disk *disk = directory->disk;
    uint32_t count = 0;

    for (uint32_t i = 0; i < SIM_DISK_REQUESTS && count < max; i++) {
        struct sim_disk_request *place = &disk->requests[i];

        if (place->state != REQUEST_DONE || place->worker != directory->worker)
            continue;
        done[count++] = (struct disk_done){.token = place->request.token, .result = place->result};
        place->state = REQUEST_FREE;
    }
    return count;
}

static bool
arrives(struct sim_disk *disk, uint32_t atom)
{
    if (disk->torn_atoms >= 0)
        return atom < (uint32_t)disk->torn_atoms;
    return random_under(&disk->node->sim->disks, 2) == 0;
}

/* Atoms of a write reach the medium: all, or those that the coin lets. */
static void
write_atoms(struct sim_disk *disk, struct sim_file *file, const struct disk_request *request, bool all)
{
    struct sim *sim = disk->node->sim;
    uint8_t sector[DISK_SECTOR_BYTES];

    for (uint32_t done = 0; done < request->size_bytes; done += DISK_SECTOR_BYTES) {
        uint32_t index = (uint32_t)((request->offset_bytes + done) / DISK_SECTOR_BYTES);

        if (index >= file->sectors_count)
            return;
        sector_get(&file->sectors[index], sector);
        for (uint32_t atom = 0; atom < DISK_SECTOR_BYTES; atom += SIM_ATOM_BYTES) {
            if (all || arrives(disk, (done + atom) / SIM_ATOM_BYTES))
                memcpy(sector + atom, (const uint8_t *)request->bytes + done + atom, SIM_ATOM_BYTES);
        }
        sector_put(&file->sectors[index], sector);
        file->sectors[index].written_ms = (uint32_t)(sim->now_ns / MS);
    }
}

/* Where a write that goes astray ends up: at another place of a file that is written to. */
static void
go_astray(struct sim_disk *disk, struct disk_request *request, uint8_t worker)
{
    struct sim *sim = disk->node->sim;
    struct sim_file *file = &disk->files[random_under(&sim->disks, disk->files_count)];

    sim->counts.kinds |= 1u << FAULT_DISK_ASTRAY;
    sim->counts.disk_faults++;
    disk->damaged = true;
    disk->astray--;
    disk->lost.at_ns = sim->now_ns;
    disk->lost.worker = worker;
    request->handle = (int)file->number;
    request->offset_bytes = (1 + random_under(&sim->disks, file->sectors_count - 1)) * DISK_SECTOR_BYTES;
    trace_add(sim, TRACE_FAULT, disk->node->self, 0, "a write goes to journal-%d, byte %lu", request->handle,
              (unsigned long)request->offset_bytes);
}

/* A block says up to where all was durable when its write was handed in. */
static void
note_told(struct sim_directory *directory, uint64_t submitted_ns)
{
    if (submitted_ns <= directory->told_ns[0])
        return;
    directory->told_ns[1] = directory->told_ns[0];
    directory->told_ns[0] = submitted_ns;
}

bool
disk_may_crash(const struct sim_node *node)
{
    const struct sim_disk *disk = &node->disk;

    return disk->lost.at_ns == 0 || (node->sim->now_ns >= disk->lost.at_ns + SAID_TWICE_NS &&
                                     disk->directories[disk->lost.worker].told_ns[1] > disk->lost.at_ns);
}

void
disk_request_end(struct sim_node *node, uint32_t index)
{
    struct sim_disk *disk = &node->disk;
    struct sim_disk_request *place = &disk->requests[index];
    struct disk_request request = place->request;
    struct sim_file *file;

    assert(place->state == REQUEST_UNDER_WAY);
    if (request.write && disk->astray > 0 && disk->files_count > 0)
        go_astray(disk, &request, place->worker);
    file = medium_find(disk, (uint64_t)request.handle);
    place->state = REQUEST_DONE;
    place->result = (int32_t)request.size_bytes;
    if (request.write && disk->failing > 0 && disk_may_crash(node)) {
        disk->failing--;
        place->result = -EIO;
        trace_add(node->sim, TRACE_FAULT, node->self, 0, "a write fails");
        write_atoms(disk, file, &request, false);
    } else if (request.write) {
        write_atoms(disk, file, &request, true);
        note_told(&disk->directories[place->worker], place->submitted_ns);
    } else {
        place->result = (int32_t)medium_read(file, request.bytes, request.size_bytes, request.offset_bytes);
    }
    worker_want_poll(node, place->worker, US);
}

void
disk_power_cut(struct sim_node *node)
{
    struct sim_disk *disk = &node->disk;

    for (uint32_t i = 0; i < SIM_DISK_REQUESTS; i++) {
        struct sim_disk_request *place = &disk->requests[i];
        struct sim_file *file = medium_find(disk, (uint64_t)place->request.handle);

        if (place->state == REQUEST_UNDER_WAY && place->request.write && file != NULL &&
            (disk->torn_atoms >= 0 || random_under(&node->sim->disks, 4) != 0))
            write_atoms(disk, file, &place->request, false);
        place->state = REQUEST_FREE;
    }
}
