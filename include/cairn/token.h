/* Session tokens: read your writes, and nothing older than what was read before, at whatever node, also while a branch
 * is not merged yet (Terry et al. 1994, Session Guarantees for Weakly Consistent Replicated Data).
 *
 *     struct cairn_token token = {0};
 *     on each answer to an append, and each entry of a read:  cairn_token_note(&token, &result);
 *     cairn_read_session(client, log, from, to, &token, flags, name);
 *     on that read's CAIRN_RESULT_END:  cairn_token_settle(&token, &result);
 *
 * A token belongs to one log and travels as text, between processes and machines.
 *
 * Threads: one at a time. */
#ifndef CAIRN_TOKEN_H
#define CAIRN_TOKEN_H

#include "cairn/cairn.h"
#include "cairn/id.h"

#define CAIRN_TOKEN_BRANCHES 16u
#define CAIRN_TOKEN_TEXT_BYTES 680u
/* What no log, no branch and no node's lives ever come to. */
#define CAIRN_TOKEN_LSN_MAX ((1ull << 56) - 1)
#define CAIRN_TOKEN_SEQ_MAX ((1ull << 40) - 1)
#define CAIRN_TOKEN_LIFE_MAX ((1u << 24) - 1)

struct cairn_token {
    struct cairn_id cluster; /* whose log it is; not set: that is not known. The caller's to compare */
    uint64_t lsn;            /* everything up to here has been seen or written */
    uint32_t branches_count;
    struct {
        uint64_t seq;
        uint32_t incarnation;
        uint8_t origin;
    } branches[CAIRN_TOKEN_BRANCHES]; /* and on these branches, which may be on the trunk by now */
};

/* Takes in what an answer shows. CAIRN_FULL: it is of one branch more than a token has room for; settle it by a read
 * first. CAIRN_INVALID: it names a place that cannot be. Answers that acknowledge nothing change nothing. */
enum cairn_error cairn_token_note(struct cairn_token *token, const struct cairn_result *result);

/* Once a read with this token has ended: branches that it found on the trunk are forgotten for the lsn. */
void cairn_token_settle(struct cairn_token *token, const struct cairn_result *end);

/* As text, at most CAIRN_TOKEN_TEXT_BYTES with the NUL: "7 2/1/4", an lsn and origin/incarnation/sequence of each
 * branch; before it the cluster's identity, where that is set. And back: CAIRN_INVALID, *out untouched, where it is none. */
void cairn_token_format(const struct cairn_token *token, char *text, size_t text_bytes);
enum cairn_error cairn_token_parse(const char *text, struct cairn_token *out);

/* A read at level session. The node serves it when it has all that the token names; where a branch's entries are held
 * there but not on the trunk yet, they are shown as tentative ones. CAIRN_RESULT_END with CAIRN_BEHIND: it had not in
 * two seconds; another node may. */
enum cairn_error cairn_read_session(struct cairn_client *client, uint32_t log, uint64_t from, uint64_t to,
                                    const struct cairn_token *token, unsigned flags, uint64_t name);

#endif
