/* What a log's entries come to, key by key, where some of them were written apart.
 *
 *     view = cairn_view_create(CAIRN_RESOLVE_LWW);
 *     for each entry of a read, trunk or tentative: cairn_view_add(view, &result);
 *     cairn_view_each(view, show, context);
 *
 * The log keeps every entry; a view says what concurrent ones mean. It depends on what was written and on what its
 * writers knew, not on the order in which branches were merged, nor on the node it was read from: entries may be
 * added in any order that keeps each origin's, and again.
 *
 * What one writer knew of another's entry follows from the log itself: everything on the trunk up to the fork lsn,
 * and everything of its own origin before. That is the order of version vectors (Parker et al. 1983, Detection of
 * Mutual Inconsistency) without carrying any: docs/cap.md, "What was concurrent".
 *
 * Threads: one at a time. Memory: in proportion to keys and to concurrent values, not to entries. */
#ifndef CAIRN_VIEW_H
#define CAIRN_VIEW_H

#include "cairn/cairn.h"

enum cairn_resolve {
    CAIRN_RESOLVE_SIBLINGS = 0, /* every value that no other one overwrote knowingly */
    CAIRN_RESOLVE_LWW =
        1, /* of those, the one with the highest clock, doubtful ones last; equal ones: the higher origin */
    CAIRN_RESOLVE_COUNTER = 2, /* the sum: entries are whole numbers to add (PN-counter) */
    CAIRN_RESOLVE_SET = 3,     /* what is in it: entries are +ELEMENT or -ELEMENT, a removal takes what its writer
                                   knew of (observed-remove set) */
};

/* The reverse of the names siblings, lww, counter, set: false, and *out untouched, where text is none. */
bool cairn_resolve_parse(const char *text, enum cairn_resolve *out);

/* Where an entry comes from, and what its writer knew. */
struct cairn_stamp {
    uint64_t lsn; /* UINT64_MAX: not on the trunk yet */
    uint64_t fork_lsn, hlc, seq;
    uint32_t incarnation;
    uint8_t origin;
    bool clock_doubtful; /* cairn_result.clock_doubtful */
};

/* Did b's writer know of a? Constant time. */
bool cairn_happened_before(const struct cairn_stamp *a, const struct cairn_stamp *b);

/* An order of all entries that everybody agrees on: those whose clock is doubtful first, then by clock, then origin, incarnation, sequence. <0, 0, >0. */
int cairn_stamp_compare(const struct cairn_stamp *a, const struct cairn_stamp *b);

struct cairn_value {
    const void *bytes;
    size_t bytes_count;
    struct cairn_stamp stamp; /* of a counter: zeroes */
};

struct cairn_view;

/* NULL: out of memory. The caller owns it and ends it with cairn_view_free(). */
struct cairn_view *cairn_view_create(enum cairn_resolve resolve);
void cairn_view_free(struct cairn_view *view);

/* Takes a CAIRN_RESULT_ENTRY, which is copied. One that was taken as tentative may come again with its lsn, which
 * confirms it. CAIRN_INVALID: it is no number, or no +ELEMENT or -ELEMENT; the view is as before. */
enum cairn_error cairn_view_add(struct cairn_view *view, const struct cairn_result *entry);

/* Shows each key in byte order, with its values: of siblings in the order of cairn_stamp_compare(), of a set in byte
 * order, of the others one. A key whose set is empty has none. An application's own rule is a function of siblings.
 * What is pointed to is valid until the view changes. */
typedef void cairn_view_show(void *context, const void *key, size_t key_bytes, const struct cairn_value *values,
                             size_t values_count);
/* false: out of memory. */
bool cairn_view_each(const struct cairn_view *view, cairn_view_show *show, void *context);

#endif
