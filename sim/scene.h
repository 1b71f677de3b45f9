/* What scenarios are written with: a calm cluster of production nodes and exact steps.
 *
 * A step that has to come true within a time says so; what does not hold is a violation of the run. */
#ifndef SIM_SCENE_H
#define SIM_SCENE_H

#include <stdbool.h>
#include <stdint.h>

#include "cairn/cairn.h"
#include "cairn/token.h"
#include "replication/message.h"
#include "sim/run.h"
#include "sim/scale.h"
#include "sim/sim.h"

struct scenario {
    const char *name;
    const char *holds; /* what it shows, in a sentence */
    void (*play)(struct sim *sim);
};

extern const struct scenario scenarios_elections[], scenarios_connectivity[], scenarios_log[], scenarios_members[],
    scenarios_branches[], scenarios_storage[], scenarios_reads[], scenarios_lives[], scenarios_forged[],
    scenarios_sick[], scenarios_operators[], scenarios_clocks[], scenarios_agreed[], scenarios_workers[],
    scenarios_adopted[], scenarios_damage[], scenarios_leases[], scenarios_trim[], scenarios_views[];

/* The log that scenarios work on. */
#define LOG 1u
#define WITHIN (40 * SIM_TIMEOUT_NS)

/* The worker of that node which has the log; the first, where it has none. The node is up. */
struct worker *worker_of(const struct sim *sim, uint8_t node);

/* A cluster at peace with one log; returns when a leader is followed by all: that leader. */
uint8_t scene_start(struct sim *sim, uint32_t nodes, enum cairn_policy policy);
/* The same on disks, of a `cp` log. */
uint8_t scene_start_on_disk(struct sim *sim, uint32_t nodes);
/* On disks whose writes take so long. */
uint8_t scene_start_writing(struct sim *sim, uint32_t nodes, enum cairn_policy policy, uint64_t write_ns);

#define expect(sim, condition)                                                                                         \
    do {                                                                                                               \
        if (!(condition))                                                                                              \
            sim_violation(sim, "%s:%d: not so: %s", __FILE_NAME__, __LINE__, #condition);                              \
    } while (0)
#ifndef __FILE_NAME__
#define __FILE_NAME__ __FILE__
#endif

/* Lets time pass until the condition holds, `within` at most; then it is a violation. */
#define eventually(sim, within, condition)                                                                             \
    do {                                                                                                               \
        uint64_t end_ns_ = (sim)->now_ns + (within);                                                                   \
        bool so_ = false;                                                                                              \
        while (!(sim)->failed && !(so_ = (condition)) && (sim)->now_ns < end_ns_)                                      \
            sim_run_for(sim, 100 * US);                                                                                \
        if (!so_)                                                                                                      \
            sim_violation(sim, "%s:%d: not in time: %s", __FILE_NAME__, __LINE__, #condition);                         \
    } while (0)

/* It counts for nothing: its life has no number yet, or what it promised it does not know. */
bool takes_no_part(const struct sim *sim, uint8_t node, uint32_t log);
struct core *core_of(struct sim *sim, uint8_t node);
enum cairn_mode scene_mode(struct sim *sim, uint8_t node);
/* The leader that a majority follows; waits for one. */
uint8_t scene_leader(struct sim *sim);
/* Waits until another than the old one leads, and returns it; 0 where that did not come within the time. */
uint8_t scene_successor(struct sim *sim, uint8_t old, uint64_t within_ns);
/* Every node hears every other, and follows one leader that has nothing left to do. */
bool all_follow(struct sim *sim);
/* Long enough that no link counts as flapping any more. */
void scene_calm(struct sim *sim);
/* Hands leadership to the node. */
void scene_lead(struct sim *sim, uint8_t node);
/* A node that does not lead, the nth from the leader on. */
uint8_t follower(struct sim *sim, uint8_t leader, uint32_t nth);
void isolate(struct sim *sim, uint8_t node, bool cut);
/* Messages of the type that the node sends to, or gets from, any other are lost. */
void lose_from(struct sim *sim, uint8_t node, enum message_type type);
void lose_to(struct sim *sim, uint8_t node, enum message_type type);
void link_cut(struct sim *sim, uint8_t left, uint8_t right, bool cut);
/* The two hear each other, and nobody else. */
void cut_pair(struct sim *sim, uint8_t left, uint8_t right);

/* Appends entry `seq` of the producer at the node, and waits for the answer; CAIRN_TIMEOUT: none came. */
enum cairn_error append(struct sim *sim, uint8_t node, uint64_t producer, uint64_t seq, enum cairn_ack ack,
                        struct cairn_result *out);
/* The same, of another size. A repeat is of the same size, or it is another entry. */
enum cairn_error scene_append_sized(struct sim *sim, uint8_t node, uint64_t producer, uint64_t seq, enum cairn_ack ack,
                                    uint32_t payload_bytes, struct cairn_result *out);
/* Of the entries of append_many(). */
#define SCENE_MANY_BYTES 64u
/* Producers from here on are nobody to the log, which then cannot tell a repeat. */
#define ANONYMOUS (1u << 20)
/* In two steps. */
uint64_t give(struct sim *sim, uint8_t node, uint64_t producer, uint64_t seq, uint32_t epoch, enum cairn_ack ack,
              uint32_t payload_bytes);
bool take(struct sim *sim, uint8_t node, uint64_t token, struct cairn_result *out);
/* Reads at a level; *lsn: where it ended. The first two do not wait for that: their token, for take(). */
uint64_t scene_ask(struct sim *sim, uint8_t node, enum cairn_read_level level, uint64_t from);
uint64_t scene_ask_bounded(struct sim *sim, uint8_t node, uint64_t max_lag_ns);
enum cairn_error scene_read(struct sim *sim, uint8_t node, enum cairn_read_level level, uint64_t from, uint64_t *lsn);
/* The same, of one entry with a key, of nobody. */
enum cairn_error append_keyed(struct sim *sim, uint8_t node, const char *key, const char *payload,
                              struct cairn_result *out);
/* Every entry that a read at the node shows, tentative ones too; token: at level session, else NULL and stale.
 * *token is settled. The entries' bytes are gone by then, but what take() made of them is not. */
typedef void scene_take(void *context, const struct cairn_result *entry);
enum cairn_error scene_read_all(struct sim *sim, uint8_t node, struct cairn_token *token, scene_take *take_entry,
                                void *context);
/* Appends many at the leader, without waiting for each. */
void append_many(struct sim *sim, uint8_t node, uint64_t producer, uint32_t count, enum cairn_ack ack);
/* How often the entry stands on the committed trunk. */
uint32_t copies(const struct sim *sim, uint64_t producer, uint64_t seq);
/* Where, 0: nowhere. */
uint64_t place(const struct sim *sim, uint64_t producer, uint64_t seq);
void set_policy(struct sim *sim, enum cairn_policy policy);
enum cairn_error member(struct sim *sim, enum cairn_member_op op, uint8_t node);
/* Nobody leads the log for so long. */
void nobody_leads(struct sim *sim, uint64_t for_ns);
/* All links whole, all nodes up: everything comes to rest, and everything that must hold does. */
void scene_end(struct sim *sim);
/* The same, and the first so many entries of producer 7 stand on the trunk, once each. */
void end_with_each_once(struct sim *sim, uint64_t count);

#endif
