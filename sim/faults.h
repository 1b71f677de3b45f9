/* The faults that a run can have, and their names. */
#ifndef SIM_FAULTS_H
#define SIM_FAULTS_H

#include <stdbool.h>

/* What a plan can switch on. */
#define FAULTS(X)                                                                                                      \
    X(LOSS, loss)                                                                                                      \
    X(DUPLICATE, duplicate)                                                                                            \
    X(REORDER, reorder)                                                                                                \
    X(CORRUPT, corrupt)                                                                                                \
    X(DELAY_TAIL, delay_tail)                                                                                          \
    X(SLOW_LINK, slow_link)                                                                                            \
    X(ISOLATE, isolate)                                                                                                \
    X(ONE_WAY, one_way)                                                                                                \
    X(PARTIAL, partial)                                                                                                \
    X(SPLIT, split)                                                                                                    \
    X(FLAP, flap)                                                                                                      \
    X(CRASH, crash)                                                                                                    \
    X(PAUSE, pause)                                                                                                    \
    X(DRIFT, drift)                                                                                                    \
    X(WALL_JUMP, wall_jump)                                                                                            \
    X(MEMBERS, members)                                                                                                \
    X(TRANSFER, transfer)                                                                                              \
    X(TRIM, trim)                                                                                                      \
    X(POLICY, policy)                                                                                                  \
    X(CLIENT_DEATH, client_death)                                                                                      \
    X(POWER, power)                                                                                                    \
    X(DISK_SLOW, disk_slow)                                                                                            \
    X(DISK_FAIL, disk_fail)                                                                                            \
    X(DISK_FULL, disk_full)                                                                                            \
    X(DISK_ROT, disk_rot)                                                                                              \
    X(DISK_ASTRAY, disk_astray)                                                                                        \
    X(FLOOD, flood)                                                                                                    \
    X(WIPED, wiped)                                                                                                    \
    X(OLD_COPY, old_copy)                                                                                              \
    X(VOLUME, volume)                                                                                                  \
    X(CLOCK_WRONG, clock_wrong)                                                                                        \
    X(AGREED, agreed)
enum fault_kind {
#define FAULT_ENUM(NAME, name) FAULT_##NAME,
    FAULTS(FAULT_ENUM)
#undef FAULT_ENUM
        FAULT_KINDS
};
#define FAULT_DISK_FIRST FAULT_POWER /* these need disks */
#define FAULT_DISK_LAST FAULT_DISK_ASTRAY

/* How a network brings a frame to whom it is not for. */
enum flood {
    FLOOD_HUB,      /* as it is, to everybody else too */
    FLOOD_BRIDGE,   /* to their stations */
    FLOOD_NAT,      /* to their stations and addresses */
    FLOOD_PORT,     /* to another of the receiver's ports */
    FLOOD_ASTRAY,   /* to the receiver, by another's link */
    FLOOD_IMPOSTOR, /* and as if from that other's address */
    FLOODS,
};
const char *fault_name(enum fault_kind kind);
bool fault_parse(const char *name, enum fault_kind *out);

#endif
