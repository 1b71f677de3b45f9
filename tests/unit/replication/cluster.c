#include "tests/unit/replication/cluster.h"

uint64_t
cluster_random(struct cluster *cluster, uint64_t bound)
{
    cluster->random ^= cluster->random << 13;
    cluster->random ^= cluster->random >> 7;
    cluster->random ^= cluster->random << 17;
    return bound == 0 ? 0 : cluster->random % bound;
}

uint8_t
member_index(const struct member *member)
{
    return (uint8_t)(member - member->cluster->members);
}

static bool
chance(struct cluster *cluster, double share)
{
    return cluster_random(cluster, 1000000) < (uint64_t)(share * 1000000);
}

static void
fly_once(struct cluster *cluster, const struct flying *flying)
{
    struct flying *place;

    if (cluster->flying_count == MAX_FLYING)
        return;
    place = &cluster->flying[cluster->flying_count++];
    *place = *flying;
    place->due_ns = cluster->now_ns + 1 + cluster_random(cluster, cluster->delay_max_ns);
}

static void
fly(struct cluster *cluster, const struct flying *flying)
{
    cluster->messages++;
    if (cluster->cut[flying->message.from][flying->message.to] || chance(cluster, cluster->loss))
        return;
    fly_once(cluster, flying);
    if (chance(cluster, cluster->duplicates))
        fly_once(cluster, flying);
}

/* The checker: what is committed anywhere is the same everywhere, for ever. */
static void
committed(struct member *member, uint64_t lsn)
{
    struct cluster *cluster = member->cluster;

    assert_true(lsn <= member->stored_lsn);
    for (uint64_t at = member->committed_lsn + 1; at <= lsn; at++) {
        const struct stored *mine = &member->trunk[at];

        if (at > cluster->committed_lsn) {
            cluster->committed[at] = *mine;
            cluster->committed_lsn = at;
        } else {
            assert_memory_equal(mine, &cluster->committed[at], sizeof(*mine));
        }
    }
    if (lsn > member->committed_lsn)
        member->committed_lsn = lsn;
}

static void
store(struct member *member, const struct run *run, const struct stored *entries)
{
    for (uint32_t i = 0; i < run->count; i++) {
        struct stored *stored = &member->trunk[run->first_lsn + i];

        assert_true(run->first_lsn + i == member->stored_lsn + 1);
        memset(stored, 0, sizeof(*stored));
        if (entries != NULL)
            stored->id = entries[i].id;
        stored->term = run->term;
        stored->kind = run->kind;
        stored->origin = run->origin;
        stored->incarnation = run->incarnation;
        stored->seq = run->kind == ENTRY_DATA ? run->first_seq + i : run->first_seq;
        member->stored_lsn++;
    }
}

static void
trim_branch(struct member *member, uint64_t seq)
{
    uint32_t kept = 0;

    for (uint32_t i = 0; i < member->branch_count; i++) {
        if (member->branch[i].seq > seq)
            member->branch[kept++] = member->branch[i];
    }
    member->branch_count = kept;
}

void
cluster_apply(void *context, const struct effect *effect)
{
    struct member *member = context;
    struct flying flying;

    switch (effect->type) {
    case EFFECT_SEND:
        memset(&flying, 0, sizeof(flying));
        flying.message = effect->message;
        fly(member->cluster, &flying);
        break;
    case EFFECT_STORE:
        assert_non_null(member->event_entries);
        store(member, &effect->store.run, member->event_entries + effect->store.index);
        break;
    case EFFECT_STORE_CONTROL:
        store(member, &effect->store.run, NULL);
        break;
    case EFFECT_TRUNCATE:
        assert_true(effect->lsn > member->committed_lsn);
        member->stored_lsn = effect->lsn - 1;
        break;
    case EFFECT_KEEP:
        for (uint32_t i = 0; i < effect->store.run.count; i++) {
            struct stored entry = member->trunk[effect->store.run.first_lsn + i];

            assert_int_equal(entry.seq, effect->store.run.first_seq + i);
            member->branch[member->branch_count++] = entry;
        }
        break;
    case EFFECT_COMMIT:
        committed(member, effect->lsn);
        break;
    case EFFECT_READ_READY:
        member->reads_ready++;
        member->read_lsn = effect->read.lsn;
        break;
    case EFFECT_READ_FAILED:
        member->reads_failed++;
        break;
    case EFFECT_BRANCH_TRIM:
        trim_branch(member, effect->branch.seq);
        break;
    case EFFECT_RECOVERED:
        member->recovered = true;
        break;
    case EFFECT_DEPOSED:
        member->depositions++;
        break;
    case EFFECT_ROLE:
    case EFFECT_STATE:
    case EFFECT_REBASE:
    case EFFECT_LEND:
    case EFFECT_KEEP_COPY:
        break;
    case EFFECT_STOPPED:
    case EFFECT_BEYOND:
        member->contradictions++;
        break;
    }
}

static struct sink
sink_of(struct member *member)
{
    return (struct sink){.apply = cluster_apply, .context = member};
}

static void
member_start(struct member *member, bool recovering)
{
    struct cluster *cluster = member->cluster;
    struct core_config config = {
        .self = member_index(member),
        .members.voters = (1u << cluster->count) - 1,
        .incarnation = ++member->incarnation,
        .seed = cluster_random(cluster, UINT64_MAX),
        .election_timeout_ns = TIMEOUT,
        .retransmit_ns = TIMEOUT / 4,
        .window_entries = cluster->window_entries,
        .producers_max = 64,
        .policy = cluster->policy,
        .recovering = recovering,
    };

    free(member->memory);
    member->memory = aligned_alloc(64, (core_footprint(&config) + 63) & ~63ull);
    member->core = core_init(member->memory, &config, cluster->now_ns);
    member->stored_lsn = member->committed_lsn = 0;
    member->branch_count = 0;
}

struct cluster *
cluster_new(uint32_t count, enum cairn_policy policy, uint64_t seed)
{
    return cluster_new_with_window(count, policy, seed, 1024);
}

struct cluster *
cluster_new_with_window(uint32_t count, enum cairn_policy policy, uint64_t seed, uint32_t window_entries)
{
    struct cluster *cluster = calloc(1, sizeof(*cluster));

    cluster->count = count;
    cluster->policy = policy;
    cluster->window_entries = window_entries;
    cluster->random = seed * 0x9e3779b97f4a7c15u + 1;
    cluster->now_ns = 1000 * MS;
    cluster->delay_max_ns = MS / 10;
    cluster->flying = calloc(MAX_FLYING, sizeof(*cluster->flying));
    cluster->committed = calloc(MAX_ENTRIES, sizeof(*cluster->committed));
    for (uint32_t i = 0; i < count; i++) {
        struct member *member = &cluster->members[i];

        member->cluster = cluster;
        member->trunk = calloc(MAX_ENTRIES, sizeof(*member->trunk));
        member->branch = calloc(MAX_ENTRIES, sizeof(*member->branch));
        member_start(member, false);
    }
    return cluster;
}

void
cluster_free(struct cluster *cluster)
{
    for (uint32_t i = 0; i < cluster->count; i++) {
        free(cluster->members[i].memory);
        free(cluster->members[i].trunk);
        free(cluster->members[i].branch);
    }
    free(cluster->flying);
    free(cluster->committed);
    free(cluster);
}

/* The dataplane's sender: entries of one term and origin to a message. */
static void
send_entries(struct member *member)
{
    uint64_t from, to;

    for (uint8_t peer = 0; peer < member->cluster->count; peer++) {
        while (core_send_window(member->core, peer, &from, &to)) {
            struct flying flying;
            struct run *run = &flying.message.append.run;
            const struct stored *first = &member->trunk[from];

            memset(&flying, 0, sizeof(flying));
            flying.message.type = MESSAGE_APPEND;
            flying.message.from = member_index(member);
            flying.message.to = peer;
            flying.message.term = core_term(member->core);
            flying.message.append.prev_lsn = from - 1;
            flying.message.append.prev_term = core_term_at(member->core, from - 1);
            flying.message.append.commit_lsn = core_commit_lsn(member->core);
            if (from <= to)
                *run = (struct run){first->term, from, first->seq, 0, first->incarnation, first->origin, first->kind};
            for (uint64_t lsn = from; lsn <= to && run->count < BATCH; lsn++) {
                const struct stored *entry = &member->trunk[lsn];

                if (entry->term != first->term || entry->origin != first->origin || entry->kind != first->kind ||
                    entry->incarnation != first->incarnation ||
                    (lsn > from && (entry->kind != ENTRY_DATA || entry->seq != first->seq + run->count)))
                    break;
                flying.ids[run->count] = entry->id;
                flying.entries[run->count++] = *entry;
            }
            core_sent(member->core, peer, from - 1 + run->count, member->cluster->now_ns);
            fly(member->cluster, &flying);
        }
    }
}

static void receive(struct member *member, struct flying *flying);

static void
hand_off(struct member *member)
{
    uint64_t after_seq;
    uint32_t incarnation;
    uint8_t leader;

    for (int batches = 0;
         batches < 4 && core_hand_off_window(member->core, member_index(member), &incarnation, &after_seq, &leader);
         batches++) {
        struct flying flying;
        struct run *run = &flying.message.hand_off.run;

        memset(&flying, 0, sizeof(flying));
        flying.message.type = MESSAGE_HAND_OFF;
        flying.message.from = member_index(member);
        flying.message.to = leader;
        flying.message.term = core_term(member->core);
        flying.message.hand_off.prev_seq = after_seq;
        for (uint32_t i = 0; i < member->branch_count && run->count < BATCH; i++) {
            const struct stored *entry = &member->branch[i];

            if (entry->seq <= after_seq)
                continue;
            if (run->count == 0)
                *run = (struct run){0, 0, entry->seq, 0, incarnation, member_index(member), ENTRY_DATA};
            else if (entry->seq != run->first_seq + run->count)
                break;
            flying.ids[run->count] = entry->id;
            flying.entries[run->count++] = *entry;
        }
        assert_true(run->count > 0);
        if (leader == member_index(member)) {
            receive(member, &flying);
        } else {
            core_handed(member->core, member_index(member), run->first_seq + run->count - 1, run->count,
                        member->cluster->now_ns);
            fly(member->cluster, &flying);
        }
    }
}

static void
receive(struct member *member, struct flying *flying)
{
    struct sink sink = sink_of(member);

    member->event_entries = flying->entries;
    core_receive(member->core, &flying->message, flying->ids, member->cluster->now_ns, &sink);
    member->event_entries = NULL;
    assert_int_equal(core_last_lsn(member->core), member->stored_lsn);
}

static void
deliver_due(struct cluster *cluster)
{
    uint32_t kept = 0;

    /* In the order they were sent in; more may be sent meanwhile. */
    for (uint32_t i = 0; i < cluster->flying_count; i++) {
        struct flying flying = cluster->flying[i];
        struct member *to = &cluster->members[flying.message.to];

        if (flying.due_ns > cluster->now_ns) {
            cluster->flying[kept++] = flying;
            continue;
        }
        if (!to->down && !cluster->cut[flying.message.from][flying.message.to])
            receive(to, &flying);
    }
    cluster->flying_count = kept;
}

/* The detector and the coalesced heartbeats, told the truth about the cuts. */
static void
heartbeat(struct member *member)
{
    struct cluster *cluster = member->cluster;
    struct sink sink = sink_of(member);
    cairn_node_set reach = 0;
    uint8_t self = member_index(member);

    for (uint8_t peer = 0; peer < cluster->count; peer++) {
        struct member *other = &cluster->members[peer];

        if (peer != self && !other->down && !cluster->cut[self][peer] && !cluster->cut[peer][self])
            reach |= 1u << peer;
        if (peer != self && !other->down && !cluster->cut[peer][self] && core_role(other->core) == ROLE_LEADER)
            core_leader_alive(member->core, peer, core_term(other->core), core_commit_lsn(other->core), cluster->now_ns,
                              &sink);
    }
    core_reach(member->core, reach, cluster->now_ns, &sink);
}

void
cluster_run(struct cluster *cluster, uint64_t duration_ns)
{
    uint64_t end_ns = cluster->now_ns + duration_ns, step_ns = MS / 20;

    for (; cluster->now_ns < end_ns; cluster->now_ns += step_ns) {
        deliver_due(cluster);
        for (uint32_t i = 0; i < cluster->count; i++) {
            struct member *member = &cluster->members[i];
            struct sink sink = sink_of(member);

            if (member->down)
                continue;
            if ((cluster->now_ns / step_ns + i) % 20 == 0)
                heartbeat(member);
            core_tick(member->core, cluster->now_ns, &sink);
            hand_off(member);
            core_held(member->core, member->stored_lsn, cluster->now_ns, &sink);
            send_entries(member);
        }
    }
}

struct member *
cluster_leader(struct cluster *cluster)
{
    for (int step = 0; step < 1000; step++) {
        for (uint32_t i = 0; i < cluster->count; i++) {
            struct member *member = &cluster->members[i];
            uint32_t followers = 0;

            if (member->down || core_role(member->core) != ROLE_LEADER)
                continue;
            for (uint32_t j = 0; j < cluster->count; j++)
                followers += !cluster->members[j].down && core_leader(cluster->members[j].core) == i &&
                             core_term(cluster->members[j].core) == core_term(member->core);
            if (followers > cluster->count / 2)
                return member;
        }
        cluster_run(cluster, TIMEOUT / 10);
    }
    fail_msg("no leader after 100 timeouts");
    return NULL;
}

void
cluster_cut(struct cluster *cluster, uint32_t node, bool cut)
{
    for (uint32_t i = 0; i < cluster->count; i++) {
        if (i != node)
            cluster->cut[i][node] = cluster->cut[node][i] = cut;
    }
}

void
cluster_heal(struct cluster *cluster)
{
    memset(cluster->cut, 0, sizeof(cluster->cut));
}

void
cluster_restart(struct cluster *cluster, uint32_t node)
{
    member_start(&cluster->members[node], true);
    cluster->members[node].down = false;
    for (uint32_t i = 0; i < cluster->count; i++) {
        if (i != node)
            core_peer_restarted(cluster->members[i].core, (uint8_t)node, cluster->members[node].incarnation);
    }
}

enum cairn_error
cluster_append(struct cluster *cluster, struct member *member, uint64_t producer, uint64_t seq, enum cairn_ack ack,
               struct accepted *out)
{
    struct entry_id id = {.producer = producer, .producer_seq = seq};
    enum cairn_error error = core_append(member->core, &id, ack, out);

    (void)cluster;
    if (error == CAIRN_OK && !out->repeated) {
        struct stored entry = {.id = id};
        struct run run = {out->term, out->lsn, out->seq, 1, member->incarnation, member_index(member), ENTRY_DATA};

        store(member, &run, &entry);
    }
    return error;
}

enum cairn_error
cluster_append_branch(struct member *member, uint64_t producer, uint64_t seq, struct accepted *out)
{
    struct entry_id id = {.producer = producer, .producer_seq = seq};
    enum cairn_error error = core_append_branch(member->core, &id, out);

    if (error == CAIRN_OK && out->on_branch && !out->repeated)
        member->branch[member->branch_count++] = (struct stored){.id = id, .seq = out->seq};
    return error;
}

uint32_t
cluster_copies(const struct cluster *cluster, uint64_t producer, uint64_t seq)
{
    uint32_t copies = 0;

    for (uint64_t lsn = 1; lsn <= cluster->committed_lsn; lsn++) {
        const struct stored *entry = &cluster->committed[lsn];

        copies += entry->id.producer == producer && entry->id.producer_seq == seq;
    }
    return copies;
}
