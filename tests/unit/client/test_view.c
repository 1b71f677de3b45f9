/* Views: what was concurrent, and what resolvers make of it.
 *
 * Random histories of nodes that write on the trunk, and apart; the order in which branches are merged, and in which
 * entries are added to a view, is drawn as well. A plain vector clock tells what should come out. */
#include "tests/unit/check.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cairn/view.h"

#define NODES 4
#define ENTRIES 160
#define KEYS 3
#define ELEMENTS 3

struct vector {
    uint64_t known[NODES];
};

struct written {
    struct cairn_stamp stamp;
    struct vector clock; /* of the writer, this entry included */
    char key[4], text[16];
    bool merged;
};

/* Nodes write on branches of their own, learn of the trunk's prefix, and hand off in order. */
struct history {
    struct written entries[ENTRIES]; /* in the order in which they were written */
    uint32_t trunk[ENTRIES];         /* by lsn, from 1: trunk[lsn - 1] */
    uint64_t trunk_last, seen_lsn[NODES], seqs[NODES], handed[NODES];
    struct vector clocks[NODES];
    uint64_t hlc;
};

static uint64_t
draw(uint64_t bound)
{
    return (uint64_t)random() % bound;
}

static void
learn(struct history *history, uint8_t node, uint64_t lsn)
{
    for (uint64_t at = history->seen_lsn[node]; at < lsn; at++) {
        const struct vector *clock = &history->entries[history->trunk[at]].clock;

        for (uint8_t i = 0; i < NODES; i++) {
            if (clock->known[i] > history->clocks[node].known[i])
                history->clocks[node].known[i] = clock->known[i];
        }
    }
    if (lsn > history->seen_lsn[node])
        history->seen_lsn[node] = lsn;
}

static void
write_entry(struct history *history, uint32_t index, uint8_t node, const char *texts[], uint32_t texts_count)
{
    struct written *entry = &history->entries[index];

    history->clocks[node].known[node] = ++history->seqs[node];
    entry->clock = history->clocks[node];
    entry->merged = false;
    /* Clocks of different nodes are apart, and may be equal. */
    history->hlc += draw(2);
    entry->stamp = (struct cairn_stamp){
        .lsn = UINT64_MAX,
        .fork_lsn = history->seen_lsn[node],
        .hlc = history->hlc + draw(3),
        .seq = history->seqs[node],
        .incarnation = 1,
        .origin = node,
        .clock_doubtful = draw(5) == 0,
    };
    snprintf(entry->key, sizeof(entry->key), "k%u", (unsigned)draw(KEYS));
    snprintf(entry->text, sizeof(entry->text), "%s", texts[draw(texts_count)]);
}

/* The node's next branch entry goes to the end of the trunk. */
static void
merge_next(struct history *history, uint32_t written, uint8_t node)
{
    for (uint32_t i = 0; i < written; i++) {
        struct written *entry = &history->entries[i];

        if (entry->stamp.origin != node || entry->merged)
            continue;
        entry->merged = true;
        history->trunk[history->trunk_last++] = i;
        entry->stamp.lsn = history->trunk_last;
        return;
    }
}

/* Writes, merges in some order, learning; the last third of the merges may be left out. */
static void
play(struct history *history, const char *texts[], uint32_t texts_count)
{
    uint32_t written = 0;

    memset(history, 0, sizeof(*history));
    while (written < ENTRIES) {
        uint8_t node = (uint8_t)draw(NODES);

        switch (draw(4)) {
        case 0:
            merge_next(history, written, node);
            break;
        case 1:
            learn(history, node, draw(history->trunk_last + 1));
            break;
        default:
            write_entry(history, written++, node, texts, texts_count);
        }
    }
}

/* The same writes, the rest of them merged in another order. */
static void
merge_rest(struct history *history)
{
    for (int left = 0; left < ENTRIES * NODES * 4; left++)
        merge_next(history, ENTRIES, (uint8_t)draw(NODES));
    for (uint8_t node = 0; node < NODES; node++) {
        for (int i = 0; i < ENTRIES; i++)
            merge_next(history, ENTRIES, node);
    }
    assert_int_equal(history->trunk_last, ENTRIES);
}

static void
add(struct cairn_view *view, const struct written *entry)
{
    struct cairn_result result = {
        .type = CAIRN_RESULT_ENTRY,
        .on_branch = entry->stamp.lsn == UINT64_MAX,
        .origin = entry->stamp.origin,
        .incarnation = entry->stamp.incarnation,
        .lsn = entry->stamp.lsn == UINT64_MAX ? 0 : entry->stamp.lsn,
        .seq = entry->stamp.seq,
        .fork_lsn = entry->stamp.fork_lsn,
        .hlc = entry->stamp.hlc,
        .clock_doubtful = entry->stamp.clock_doubtful,
        .entry = {.payload = entry->text,
                  .payload_bytes = (uint32_t)strlen(entry->text),
                  .key = entry->key,
                  .key_bytes = (uint16_t)strlen(entry->key)},
    };

    assert_int_equal(cairn_view_add(view, &result), CAIRN_OK);
}

struct shown {
    char text[16384];
    size_t used;
};

static void
show(void *context, const void *key, size_t key_bytes, const struct cairn_value *values, size_t values_count)
{
    struct shown *shown = context;

    shown->used += (size_t)snprintf(shown->text + shown->used, sizeof(shown->text) - shown->used,
                                    "%.*s:", (int)key_bytes, (const char *)key);
    for (size_t i = 0; i < values_count; i++)
        shown->used += (size_t)snprintf(shown->text + shown->used, sizeof(shown->text) - shown->used, " %.*s/%u/%lu",
                                        (int)values[i].bytes_count, (const char *)values[i].bytes,
                                        values[i].stamp.origin, (unsigned long)values[i].stamp.seq);
    shown->used += (size_t)snprintf(shown->text + shown->used, sizeof(shown->text) - shown->used, "\n");
    assert_true(shown->used < sizeof(shown->text));
}

/* Adds everything, each origin in order, the origins interleaved as drawn; some of it twice. */
static void
view_of(const struct history *history, enum cairn_resolve resolve, struct shown *shown)
{
    struct cairn_view *view = cairn_view_create(resolve);
    uint32_t next[NODES] = {0}, left = ENTRIES;

    while (left > 0) {
        uint8_t node = (uint8_t)draw(NODES);
        uint32_t *at = &next[node];

        while (*at < ENTRIES && history->entries[*at].stamp.origin != node)
            ++*at;
        if (*at == ENTRIES)
            continue;
        add(view, &history->entries[*at]);
        if (draw(8) == 0)
            add(view, &history->entries[*at]);
        ++*at;
        left--;
    }
    shown->used = 0;
    assert_true(cairn_view_each(view, show, shown));
    cairn_view_free(view);
}

/* By vector clocks: did b's writer know of a? */
static bool
knew(const struct written *a, const struct written *b)
{
    return a != b && b->clock.known[a->stamp.origin] >= a->stamp.seq;
}

static const char *values[] = {"red", "blue", "green"};
static const char *numbers[] = {"+1", "-2", "10", "-10"};
static const char *changes[] = {"+milk", "-milk", "+bread", "-bread", "+tea"};

static void
forks_tell_what_vector_clocks_tell(void **state)
{
    static struct history history;

    (void)state;
    for (unsigned seed = 1; seed <= 300; seed++) {
        srandom(seed);
        play(&history, values, 3);
        if (seed % 2 == 0)
            merge_rest(&history);
        for (uint32_t i = 0; i < ENTRIES; i++) {
            for (uint32_t j = 0; j < ENTRIES; j++)
                assert_int_equal(cairn_happened_before(&history.entries[i].stamp, &history.entries[j].stamp),
                                 knew(&history.entries[i], &history.entries[j]));
        }
    }
}

/* Written apart; each in turn is the doubtful one, though its clock is the latest. */
static void
a_doubtful_clock_is_the_last_to_win(void **state)
{
    static struct shown shown;

    (void)state;
    for (uint32_t doubtful = 0; doubtful < 4; doubtful++) {
        struct cairn_view *view = cairn_view_create(CAIRN_RESOLVE_LWW);
        struct written entries[3];

        memset(entries, 0, sizeof(entries));
        for (uint32_t i = 0; i < 3; i++) {
            entries[i].stamp = (struct cairn_stamp){
                .lsn = 10 + i, .hlc = 100 + i, .seq = 1, .incarnation = 1, .origin = (uint8_t)i};
            snprintf(entries[i].key, sizeof(entries[i].key), "k");
            snprintf(entries[i].text, sizeof(entries[i].text), "%u", i);
        }
        /* Nobody has judged what is tentative. */
        for (uint32_t i = 0; i < 3; i++) {
            struct written early = entries[i];

            early.stamp.lsn = UINT64_MAX;
            early.stamp.hlc += i == doubtful ? 1000 : 0;
            add(view, &early);
        }
        for (uint32_t i = 0; i < 3; i++) {
            entries[i].stamp.hlc += i == doubtful ? 1000 : 0;
            entries[i].stamp.clock_doubtful = i == doubtful;
            add(view, &entries[i]);
        }
        shown.used = 0;
        assert_true(cairn_view_each(view, show, &shown));
        assert_string_equal(shown.text, doubtful == 2 ? "k: 1/1/1\n" : "k: 2/2/1\n");
        cairn_view_free(view);
    }
}

/* However branches are merged and entries are added: one view. */
static void
views_do_not_depend_on_the_order(void **state)
{
    static struct history first, second;
    static struct shown one, other;

    (void)state;
    for (unsigned seed = 1; seed <= 400; seed++) {
        enum cairn_resolve resolve = (enum cairn_resolve)(seed % 4);
        const char **texts = resolve == CAIRN_RESOLVE_COUNTER ? numbers
                             : resolve == CAIRN_RESOLVE_SET   ? changes
                                                              : values;
        uint32_t count = resolve == CAIRN_RESOLVE_COUNTER ? 4 : resolve == CAIRN_RESOLVE_SET ? 5 : 3;

        srandom(seed);
        play(&first, texts, count);
        second = first;
        view_of(&first, resolve, &one);
        view_of(&first, resolve, &other);
        assert_string_equal(one.text, other.text);
        merge_rest(&first);
        merge_rest(&second);
        view_of(&first, resolve, &one);
        view_of(&second, resolve, &other);
        assert_string_equal(one.text, other.text);
    }
}

static void
expected_siblings(const struct history *history, bool last_only, struct shown *shown)
{
    shown->used = 0;
    for (unsigned key = 0; key < KEYS; key++) {
        struct cairn_value kept[ENTRIES];
        size_t count = 0, first;
        char name[4];
        bool any = false;

        snprintf(name, sizeof(name), "k%u", key);
        for (uint32_t i = 0; i < ENTRIES; i++) {
            const struct written *entry = &history->entries[i];
            bool over = false;

            if (strcmp(entry->key, name) != 0)
                continue;
            any = true;
            for (uint32_t j = 0; j < ENTRIES; j++)
                over |= strcmp(history->entries[j].key, name) == 0 && knew(entry, &history->entries[j]);
            if (!over)
                kept[count++] = (struct cairn_value){entry->text, strlen(entry->text), entry->stamp};
        }
        for (size_t i = 0; i < count; i++) {
            for (size_t j = i + 1; j < count; j++) {
                if (cairn_stamp_compare(&kept[j].stamp, &kept[i].stamp) < 0) {
                    struct cairn_value swap = kept[i];

                    kept[i] = kept[j];
                    kept[j] = swap;
                }
            }
        }
        first = last_only && count > 0 ? count - 1 : 0;
        if (any)
            show(shown, name, strlen(name), kept + first, count - first);
    }
}

static void
siblings_and_the_last_writer_are_those_of_vector_clocks(void **state)
{
    static struct history history;
    static struct shown is, should;

    (void)state;
    for (unsigned seed = 1; seed <= 300; seed++) {
        srandom(seed);
        play(&history, values, 3);
        view_of(&history, CAIRN_RESOLVE_SIBLINGS, &is);
        expected_siblings(&history, false, &should);
        assert_string_equal(is.text, should.text);
        view_of(&history, CAIRN_RESOLVE_LWW, &is);
        expected_siblings(&history, true, &should);
        assert_string_equal(is.text, should.text);
    }
}

static bool
element_is_in(const struct history *history, const char *key, const char *element)
{
    for (uint32_t i = 0; i < ENTRIES; i++) {
        const struct written *addition = &history->entries[i];
        bool removed = false;

        if (strcmp(addition->key, key) != 0 || addition->text[0] != '+' || strcmp(addition->text + 1, element) != 0)
            continue;
        for (uint32_t j = 0; j < ENTRIES; j++) {
            const struct written *removal = &history->entries[j];

            removed |= strcmp(removal->key, key) == 0 && removal->text[0] == '-' &&
                       strcmp(removal->text + 1, element) == 0 && knew(addition, removal);
        }
        if (!removed)
            return true;
    }
    return false;
}

struct membership {
    bool in[KEYS][ELEMENTS];
};
static const char *const elements[ELEMENTS] = {"milk", "bread", "tea"};

static void
note_membership(void *context, const void *key, size_t key_bytes, const struct cairn_value *shown, size_t count)
{
    struct membership *membership = context;

    assert_int_equal(key_bytes, 2);
    for (size_t i = 0; i < count; i++) {
        for (int element = 0; element < ELEMENTS; element++) {
            if (shown[i].bytes_count == strlen(elements[element]) &&
                memcmp(shown[i].bytes, elements[element], shown[i].bytes_count) == 0)
                membership->in[((const char *)key)[1] - '0'][element] = true;
        }
    }
}

static void
a_removal_takes_what_its_writer_knew_of(void **state)
{
    static struct history history;

    (void)state;
    for (unsigned seed = 1; seed <= 300; seed++) {
        struct cairn_view *view = cairn_view_create(CAIRN_RESOLVE_SET);
        struct membership membership = {0};

        srandom(seed);
        play(&history, changes, 5);
        for (uint32_t i = 0; i < ENTRIES; i++)
            add(view, &history.entries[i]);
        assert_true(cairn_view_each(view, note_membership, &membership));
        for (int key = 0; key < KEYS; key++) {
            char name[4];

            snprintf(name, sizeof(name), "k%d", key);
            for (int element = 0; element < ELEMENTS; element++)
                assert_int_equal(membership.in[key][element], element_is_in(&history, name, elements[element]));
        }
        cairn_view_free(view);
    }
}

static void
a_counter_counts_every_entry_once(void **state)
{
    static struct history history;
    static struct shown is, should;

    (void)state;
    for (unsigned seed = 1; seed <= 100; seed++) {
        srandom(seed);
        play(&history, numbers, 4);
        view_of(&history, CAIRN_RESOLVE_COUNTER, &is);
        should.used = 0;
        for (unsigned key = 0; key < KEYS; key++) {
            char name[4], text[32];
            long long sum = 0;
            struct cairn_value value = {.bytes = text};

            snprintf(name, sizeof(name), "k%u", key);
            for (uint32_t i = 0; i < ENTRIES; i++)
                sum += strcmp(history.entries[i].key, name) == 0 ? atoll(history.entries[i].text) : 0;
            value.bytes_count = (size_t)snprintf(text, sizeof(text), "%lld", sum);
            show(&should, name, strlen(name), &value, 1);
        }
        assert_string_equal(is.text, should.text);
    }
}

static void
what_is_no_number_is_refused(void **state)
{
    static const char *const wrong[] = {"", "x", "1x", "99999999999999999999", "+"};
    struct cairn_view *view = cairn_view_create(CAIRN_RESOLVE_COUNTER);
    struct cairn_result result = {.type = CAIRN_RESULT_ENTRY, .lsn = 1, .seq = 1, .incarnation = 1};

    (void)state;
    for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++) {
        result.entry.payload = wrong[i];
        result.entry.payload_bytes = (uint32_t)strlen(wrong[i]);
        assert_int_equal(cairn_view_add(view, &result), CAIRN_INVALID);
    }
    cairn_view_free(view);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(forks_tell_what_vector_clocks_tell),
        cmocka_unit_test(views_do_not_depend_on_the_order),
        cmocka_unit_test(siblings_and_the_last_writer_are_those_of_vector_clocks),
        cmocka_unit_test(a_removal_takes_what_its_writer_knew_of),
        cmocka_unit_test(a_counter_counts_every_entry_once),
        cmocka_unit_test(a_doubtful_clock_is_the_last_to_win),
        cmocka_unit_test(what_is_no_number_is_refused),
    };

    return RUN_TESTS(tests);
}
