/* What was written apart, as readers see it: in every order of merging, and by the sessions that wrote it. */
#include "sim/scene.h"

#include <string.h>

#include "cairn/view.h"
#include "node/state.h"

static void
add_to_view(void *context, const struct cairn_result *entry)
{
    if (entry->entry.key_bytes > 0)
        cairn_view_add(context, entry);
}

/* What a round's keys, which begin with its digit, come to. */
struct shown {
    char round, text[2048];
    size_t used;
};

static void
show_values(void *context, const void *key, size_t key_bytes, const struct cairn_value *values, size_t count)
{
    struct shown *shown = context;
    const char *name = key;

    if (name[0] != shown->round)
        return;
    shown->used += (size_t)snprintf(shown->text + shown->used, sizeof(shown->text) - shown->used,
                                    "%.*s:", (int)key_bytes - 1, name + 1);
    for (size_t i = 0; i < count; i++)
        shown->used += (size_t)snprintf(shown->text + shown->used, sizeof(shown->text) - shown->used, " %.*s",
                                        (int)values[i].bytes_count, (const char *)values[i].bytes);
}

static void
view_at(struct sim *sim, uint8_t node, char round, struct shown *shown)
{
    memset(shown, 0, sizeof(*shown));
    shown->round = round;
    for (int resolve = CAIRN_RESOLVE_SIBLINGS; resolve <= CAIRN_RESOLVE_SET; resolve++) {
        struct cairn_view *view = cairn_view_create((enum cairn_resolve)resolve);

        expect(sim, scene_read_all(sim, node, NULL, add_to_view, view) == CAIRN_OK);
        cairn_view_each(view, show_values, shown);
        cairn_view_free(view);
    }
}

/* Each node writes the same keys apart; healed in every order. What they come to is the same at every node, and the
 * same after every order. */
static void
resolver_order(struct sim *sim)
{
    static const uint8_t orders[6][3] = {{0, 1, 2}, {0, 2, 1}, {1, 0, 2}, {1, 2, 0}, {2, 0, 1}, {2, 1, 0}};
    static const char *const payloads[3][3] = {{"+7", "-5", "+1"}, {"-7", "+5", "+7"}, {"+5", "+7", "-1"}};
    static struct shown first, other;

    scene_start(sim, 3, CAIRN_POLICY_ADAPTIVE);
    for (int round = 0; round < 6 && !sim->failed; round++) {
        char keys[2][3] = {{(char)('0' + round), 'a', 0}, {(char)('0' + round), 'b', 0}};

        expect(sim, append_keyed(sim, scene_leader(sim), keys[0], "+5", NULL) == CAIRN_OK);
        sim_run_for(sim, 5 * MS);
        for (uint8_t i = 0; i < 3; i++)
            isolate(sim, i, true);
        sim_run_for(sim, 3 * SIM_TIMEOUT_NS);
        for (int step = 0; step < 3; step++) {
            for (uint8_t i = 0; i < 3; i++) {
                expect(sim, append_keyed(sim, i, keys[step == 2], payloads[i][step], NULL) == CAIRN_OK);
                sim_run_for(sim, MS);
            }
        }
        for (uint8_t i = 0; i < 3; i++) {
            isolate(sim, orders[round][i], false);
            sim_run_for(sim, 4 * SIM_TIMEOUT_NS);
        }
        eventually(sim, WITHIN,
                   core_branches_held(core_of(sim, 0)) == 0 && core_branches_held(core_of(sim, 1)) == 0 &&
                       core_branches_held(core_of(sim, 2)) == 0 && all_follow(sim));
        if (round == 0)
            view_at(sim, 0, '0', &first);
        /* All of it: two keys, four ways. */
        expect(sim, first.used > 40);
        for (uint8_t node = 0; node < 3; node++) {
            view_at(sim, node, (char)('0' + round), &other);
            expect(sim, strcmp(first.text, other.text) == 0);
        }
    }
    scene_end(sim);
}

static void
count_own(void *context, const struct cairn_result *entry)
{
    uint32_t *counts = context;

    /* Its own writes say which they are; what is shown as tentative and then confirmed is one. */
    if (entry->entry.key_bytes == 4 && memcmp(entry->entry.key, "mine", 4) == 0)
        counts[((const uint8_t *)entry->entry.payload)[0] % 64] |= entry->on_branch ? 1u : 2u;
}

static uint32_t
own_seen(struct sim *sim, uint8_t node, struct cairn_token *token, enum cairn_error *error)
{
    uint32_t counts[64] = {0}, seen = 0;

    *error = scene_read_all(sim, node, token, count_own, counts);
    for (int i = 0; i < 64; i++)
        seen += counts[i] != 0;
    return seen;
}

/* Written on a branch, read at another node before it is merged, while it is, and after. */
static void
read_your_writes(struct sim *sim)
{
    uint8_t leader = scene_start(sim, 3, CAIRN_POLICY_ADAPTIVE), cut = follower(sim, leader, 1);
    struct cairn_token token = {0};
    enum cairn_error error;

    isolate(sim, cut, true);
    eventually(sim, WITHIN, scene_mode(sim, cut) == CAIRN_MODE_AP);
    /* Much that stands before the session's own. */
    for (uint64_t i = 1; i <= 2000; i++) {
        give(sim, cut, 7, i, 0, CAIRN_ACK_POLICY, 300);
        if (i % 32 == 0)
            sim_run_for(sim, 200 * US);
    }
    sim_run_for(sim, 5 * MS);
    for (int i = 0; i < 10; i++) {
        struct cairn_result result = {0};
        char payload[2] = {(char)('a' + i), 0};

        expect(sim, append_keyed(sim, cut, "mine", payload, &result) == CAIRN_OK && result.on_branch);
        expect(sim, cairn_token_note(&token, &result) == CAIRN_OK);
    }
    /* Where it wrote, it sees it; elsewhere it is told that it cannot be served. */
    expect(sim, own_seen(sim, cut, &token, &error) == 10 && error == CAIRN_OK && token.branches_count == 1);
    expect(sim, own_seen(sim, leader, &token, &error) == 0 && error == CAIRN_BEHIND);
    sim->links[cut][leader].slow = 40;
    isolate(sim, cut, false);
    for (int reads = 0; reads < 20 && !sim->failed; reads++) {
        uint8_t node = (uint8_t)(reads % 3);
        uint32_t seen = own_seen(sim, node, &token, &error);

        expect(sim, error == CAIRN_BEHIND || (error == CAIRN_OK && seen == 10));
        sim_run_for(sim, 3 * MS);
    }
    scene_end(sim);
    for (uint8_t node = 0; node < 3; node++) {
        expect(sim, own_seen(sim, node, &token, &error) == 10 && error == CAIRN_OK);
        expect(sim, token.branches_count == 0 && token.lsn > 0);
    }
}

const struct scenario scenarios_views[] = {
    {"resolver-order", "what was written apart comes to the same in every order of merging", resolver_order},
    {"read-your-writes", "a session never misses what it wrote on a branch", read_your_writes},
    {0},
};
