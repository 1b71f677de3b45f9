/* Views of a log by key: include/cairn/view.h.
 *
 * A place is a key, or in a set a key and an element. It keeps the entries that no other one there knew of (an
 * antichain): for siblings and lww the values, for a set its additions and its removals. */
#include "cairn/view.h"

#include <assert.h>
#include <errno.h>
#include <search.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct held {
    struct cairn_stamp stamp;
    void *bytes;
    size_t bytes_count;
    bool removal; /* of a set's element */
};

struct place {
    uint8_t *name; /* the key, then a set's element */
    size_t key_bytes, name_bytes;
    struct held *held;
    size_t held_count;
    int64_t sum; /* of a counter */
};

/* Up to where an origin's entries have been added. */
struct known {
    uint64_t seq;
    uint32_t incarnation;
    uint8_t origin;
};

struct cairn_view {
    enum cairn_resolve resolve;
    void *places; /* a tree of tsearch() */
    struct known *known;
    size_t known_count;
};

static const char *const names[] = {"siblings", "lww", "counter", "set"};

bool
cairn_resolve_parse(const char *text, enum cairn_resolve *out)
{
    for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
        if (strcmp(text, names[i]) == 0) {
            *out = (enum cairn_resolve)i;
            return true;
        }
    }
    return false;
}

/* A life of a node knows nothing of the node's former lives but what is on the trunk. */
bool
cairn_happened_before(const struct cairn_stamp *a, const struct cairn_stamp *b)
{
    if (a->origin == b->origin && a->incarnation == b->incarnation)
        return a->seq < b->seq;
    return a->lsn <= b->fork_lsn;
}

static int
order(uint64_t a, uint64_t b)
{
    return a < b ? -1 : a > b;
}

int
cairn_stamp_compare(const struct cairn_stamp *a, const struct cairn_stamp *b)
{
    int result = order(b->clock_doubtful, a->clock_doubtful);

    if (result == 0)
        result = order(a->hlc, b->hlc);
    if (result == 0)
        result = order(a->origin, b->origin);
    if (result == 0)
        result = order(a->incarnation, b->incarnation);
    return result == 0 ? order(a->seq, b->seq) : result;
}

static int
compare_bytes(const void *a, size_t a_bytes, const void *b, size_t b_bytes)
{
    size_t common = a_bytes < b_bytes ? a_bytes : b_bytes;
    int result = common == 0 ? 0 : memcmp(a, b, common);

    return result == 0 ? order(a_bytes, b_bytes) : result;
}

static int
compare_places(const void *left, const void *right)
{
    const struct place *a = left, *b = right;
    int result = compare_bytes(a->name, a->key_bytes, b->name, b->key_bytes);

    if (result != 0)
        return result;
    return compare_bytes(a->name + a->key_bytes, a->name_bytes - a->key_bytes, b->name + b->key_bytes,
                         b->name_bytes - b->key_bytes);
}

static void
place_free(void *node)
{
    struct place *place = node;

    for (size_t i = 0; i < place->held_count; i++)
        free(place->held[i].bytes);
    free(place->held);
    free(place->name);
    free(place);
}

struct cairn_view *
cairn_view_create(enum cairn_resolve resolve)
{
    struct cairn_view *view = calloc(1, sizeof(*view));

    if (view != NULL)
        view->resolve = resolve;
    return view;
}

void
cairn_view_free(struct cairn_view *view)
{
    if (view == NULL)
        return;
    tdestroy(view->places, place_free);
    free(view->known);
    free(view);
}

/* The place of key and element, made where there is none; NULL: out of memory. */
static struct place *
place_of(struct cairn_view *view, const struct cairn_entry *entry, const void *element, size_t element_bytes)
{
    struct place *place = calloc(1, sizeof(*place));
    void *found;

    if (place == NULL)
        return NULL;
    place->key_bytes = entry->key_bytes;
    place->name_bytes = entry->key_bytes + element_bytes;
    place->name = malloc(place->name_bytes + 1);
    if (place->name == NULL) {
        place_free(place);
        return NULL;
    }
    if (entry->key_bytes > 0)
        memcpy(place->name, entry->key, entry->key_bytes);
    if (element_bytes > 0)
        memcpy(place->name + entry->key_bytes, element, element_bytes);
    found = tsearch(place, &view->places, compare_places);
    if (found == NULL || *(struct place **)found != place)
        place_free(place);
    return found == NULL ? NULL : *(struct place **)found;
}

/* The entry is added for the first time, or known already; NULL: out of memory. */
static struct known *
known_of(struct cairn_view *view, const struct cairn_stamp *stamp)
{
    struct known *grown;

    for (size_t i = 0; i < view->known_count; i++) {
        if (view->known[i].origin == stamp->origin && view->known[i].incarnation == stamp->incarnation)
            return &view->known[i];
    }
    grown = realloc(view->known, (view->known_count + 1) * sizeof(*grown));
    if (grown == NULL)
        return NULL;
    view->known = grown;
    grown[view->known_count] = (struct known){.incarnation = stamp->incarnation, .origin = stamp->origin};
    return &grown[view->known_count++];
}

static bool
same_entry(const struct cairn_stamp *a, const struct cairn_stamp *b)
{
    return a->origin == b->origin && a->incarnation == b->incarnation && a->seq == b->seq;
}

/* Drops what a newer one of its kind knew of. */
static void
drop_known(struct place *place, const struct held *newer)
{
    size_t kept = 0;

    for (size_t i = 0; i < place->held_count; i++) {
        struct held *held = &place->held[i];

        if (held->removal == newer->removal && cairn_happened_before(&held->stamp, &newer->stamp))
            free(held->bytes);
        else
            place->held[kept++] = *held;
    }
    place->held_count = kept;
}

static enum cairn_error
hold(struct place *place, const struct cairn_stamp *stamp, const void *bytes, size_t bytes_count, bool removal)
{
    struct held newer = {.stamp = *stamp, .bytes_count = bytes_count, .removal = removal};
    struct held *grown;

    for (size_t i = 0; i < place->held_count; i++) {
        if (place->held[i].removal == removal && cairn_happened_before(stamp, &place->held[i].stamp))
            return CAIRN_OK;
    }
    grown = realloc(place->held, (place->held_count + 1) * sizeof(*grown));
    newer.bytes = malloc(bytes_count + 1);
    if (grown != NULL)
        place->held = grown;
    if (grown == NULL || newer.bytes == NULL) {
        free(newer.bytes);
        return CAIRN_NO_MEMORY;
    }
    if (bytes_count > 0)
        memcpy(newer.bytes, bytes, bytes_count);
    drop_known(place, &newer);
    place->held[place->held_count++] = newer;
    return CAIRN_OK;
}

/* What was tentative stands on the trunk now. */
static void
confirm(struct place *place, const struct cairn_stamp *stamp)
{
    for (size_t i = 0; i < place->held_count; i++) {
        if (!same_entry(&place->held[i].stamp, stamp) || place->held[i].stamp.lsn != UINT64_MAX)
            continue;
        place->held[i].stamp.lsn = stamp->lsn;
        place->held[i].stamp.clock_doubtful = stamp->clock_doubtful;
    }
}

static bool
number_of(const struct cairn_entry *entry, int64_t *out)
{
    char text[32], *end;

    if (entry->payload_bytes == 0 || entry->payload_bytes >= sizeof(text))
        return false;
    memcpy(text, entry->payload, entry->payload_bytes);
    text[entry->payload_bytes] = '\0';
    errno = 0;
    *out = strtoll(text, &end, 10);
    return errno == 0 && *end == '\0' && end != text;
}

enum cairn_error
cairn_view_add(struct cairn_view *view, const struct cairn_result *result)
{
    const struct cairn_entry *entry = &result->entry;
    const struct cairn_stamp stamp = {
        .lsn = result->on_branch ? UINT64_MAX : result->lsn,
        .fork_lsn = result->fork_lsn,
        .hlc = result->hlc,
        .seq = result->seq,
        .incarnation = result->incarnation,
        .origin = result->origin,
        .clock_doubtful = result->clock_doubtful,
    };
    const uint8_t *payload = entry->payload;
    bool in_set = view->resolve == CAIRN_RESOLVE_SET, counts = view->resolve == CAIRN_RESOLVE_COUNTER;
    int64_t number = 0;
    enum cairn_error error = CAIRN_OK;
    struct known *known;
    struct place *place;

    if (counts && !number_of(entry, &number))
        return CAIRN_INVALID;
    if (in_set && (entry->payload_bytes < 1 || (payload[0] != '+' && payload[0] != '-')))
        return CAIRN_INVALID;
    place = place_of(view, entry, in_set ? payload + 1 : NULL, in_set ? entry->payload_bytes - 1 : 0);
    known = known_of(view, &stamp);
    if (place == NULL || known == NULL)
        return CAIRN_NO_MEMORY;
    if (stamp.seq <= known->seq) {
        confirm(place, &stamp);
        return CAIRN_OK;
    }
    if (counts && __builtin_add_overflow(place->sum, number, &place->sum))
        return CAIRN_INVALID;
    if (in_set)
        error = hold(place, &stamp, NULL, 0, payload[0] == '-');
    else if (!counts)
        error = hold(place, &stamp, payload, entry->payload_bytes, false);
    if (error == CAIRN_OK)
        known->seq = stamp.seq;
    return error;
}

/* A walk over the places, which come in order: the values of one key are shown when the next one begins. */
struct walk {
    const struct cairn_view *view;
    cairn_view_show *show;
    void *context;
    const struct place *key; /* a place of the key that is gathered; NULL: none yet */
    struct cairn_value *values;
    size_t count, capacity;
    char number[32];
    bool failed;
};

static void
walk_put(struct walk *walk, const void *bytes, size_t bytes_count, const struct cairn_stamp *stamp)
{
    if (walk->count == walk->capacity) {
        size_t capacity = walk->capacity == 0 ? 8 : 2 * walk->capacity;
        struct cairn_value *grown = realloc(walk->values, capacity * sizeof(*grown));

        walk->failed |= grown == NULL;
        if (grown == NULL)
            return;
        walk->values = grown;
        walk->capacity = capacity;
    }
    walk->values[walk->count++] = (struct cairn_value){bytes, bytes_count, *stamp};
}

static int
compare_values(const void *left, const void *right)
{
    const struct cairn_value *a = left, *b = right;

    return cairn_stamp_compare(&a->stamp, &b->stamp);
}

static void
walk_show(struct walk *walk)
{
    enum cairn_resolve resolve = walk->view->resolve;
    struct cairn_value *first = walk->values;

    if (walk->key == NULL)
        return;
    if (walk->count > 1 && (resolve == CAIRN_RESOLVE_SIBLINGS || resolve == CAIRN_RESOLVE_LWW))
        qsort(walk->values, walk->count, sizeof(*walk->values), compare_values);
    if (resolve == CAIRN_RESOLVE_LWW && walk->count > 1) {
        first += walk->count - 1;
        walk->count = 1;
    }
    walk->show(walk->context, walk->key->name, walk->key->key_bytes, first, walk->count);
    walk->count = 0;
}

/* The newest addition that no removal knew of; NULL: it is not in the set. */
static const struct held *
in_the_set(const struct place *place)
{
    const struct held *newest = NULL;

    for (size_t i = 0; i < place->held_count; i++) {
        bool removed = place->held[i].removal;

        for (size_t j = 0; j < place->held_count && !removed; j++)
            removed = place->held[j].removal && cairn_happened_before(&place->held[i].stamp, &place->held[j].stamp);
        if (!removed && (newest == NULL || cairn_stamp_compare(&newest->stamp, &place->held[i].stamp) < 0))
            newest = &place->held[i];
    }
    return newest;
}

static void
gather(struct walk *walk, const struct place *place)
{
    const struct cairn_stamp none = {0};
    const struct held *added;

    if (walk->view->resolve == CAIRN_RESOLVE_COUNTER) {
        int size = snprintf(walk->number, sizeof(walk->number), "%lld", (long long)place->sum);

        walk_put(walk, walk->number, (size_t)size, &none);
    } else if (walk->view->resolve == CAIRN_RESOLVE_SET) {
        added = in_the_set(place);
        if (added != NULL)
            walk_put(walk, place->name + place->key_bytes, place->name_bytes - place->key_bytes, &added->stamp);
    } else {
        for (size_t i = 0; i < place->held_count; i++)
            walk_put(walk, place->held[i].bytes, place->held[i].bytes_count, &place->held[i].stamp);
    }
}

static void
walk_node(const void *node, VISIT visit, void *context)
{
    struct walk *walk = context;
    const struct place *place = *(const struct place *const *)node;

    if (visit != postorder && visit != leaf)
        return;
    if (walk->key != NULL && compare_bytes(walk->key->name, walk->key->key_bytes, place->name, place->key_bytes) != 0)
        walk_show(walk);
    walk->key = place;
    gather(walk, place);
}

bool
cairn_view_each(const struct cairn_view *view, cairn_view_show *show, void *context)
{
    struct walk walk = {.view = view, .show = show, .context = context};

    assert(show != NULL);
    twalk_r(view->places, walk_node, &walk);
    walk_show(&walk);
    free(walk.values);
    return !walk.failed;
}
