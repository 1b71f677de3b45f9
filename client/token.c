#include "cairn/token.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static enum cairn_error
note_branch(struct cairn_token *token, const struct cairn_result *result)
{
    for (uint32_t i = 0; i < token->branches_count; i++) {
        if (token->branches[i].origin != result->origin || token->branches[i].incarnation != result->incarnation)
            continue;
        if (token->branches[i].seq < result->seq)
            token->branches[i].seq = result->seq;
        return CAIRN_OK;
    }
    if (token->branches_count == CAIRN_TOKEN_BRANCHES)
        return CAIRN_FULL;
    token->branches[token->branches_count].origin = result->origin;
    token->branches[token->branches_count].incarnation = result->incarnation;
    token->branches[token->branches_count++].seq = result->seq;
    return CAIRN_OK;
}

/* A node that is not what it seems may say anything, and a token must be read back. */
static bool
is_a_place(const struct cairn_result *result)
{
    if (!result->on_branch)
        return result->lsn <= CAIRN_TOKEN_LSN_MAX;
    return result->origin < CAIRN_NODES_MAX && result->seq <= CAIRN_TOKEN_SEQ_MAX &&
           (result->seq == 0 || (result->incarnation >= 1 && result->incarnation <= CAIRN_TOKEN_LIFE_MAX));
}

enum cairn_error
cairn_token_note(struct cairn_token *token, const struct cairn_result *result)
{
    if (result->error != CAIRN_OK || result->type == CAIRN_RESULT_END)
        return CAIRN_OK;
    if (!is_a_place(result))
        return CAIRN_INVALID;
    /* A repeat's place may be unknown: then it is at least on the trunk. */
    if (result->on_branch)
        return result->seq == 0 ? CAIRN_OK : note_branch(token, result);
    if (result->lsn > token->lsn)
        token->lsn = result->lsn;
    return CAIRN_OK;
}

void
cairn_token_settle(struct cairn_token *token, const struct cairn_result *end)
{
    if (end->error != CAIRN_OK || end->type != CAIRN_RESULT_END)
        return;
    if (end->fork_lsn > token->lsn && end->fork_lsn <= CAIRN_TOKEN_LSN_MAX)
        token->lsn = end->fork_lsn;
    if (!end->on_branch)
        token->branches_count = 0;
}

void
cairn_token_format(const struct cairn_token *token, char *text, size_t text_bytes)
{
    char cluster[CAIRN_ID_TEXT_BYTES] = "";
    size_t used;

    if (cairn_id_is_set(&token->cluster))
        cairn_id_text(&token->cluster, cluster);
    used = (size_t)snprintf(text, text_bytes, "%s%s%" PRIu64, cluster, cluster[0] == '\0' ? "" : " ", token->lsn);

    for (uint32_t i = 0; i < token->branches_count && used < text_bytes; i++)
        used += (size_t)snprintf(text + used, text_bytes - used, " %u/%" PRIu32 "/%" PRIu64, token->branches[i].origin,
                                 token->branches[i].incarnation, token->branches[i].seq);
}

/* Digits alone, of a number no higher than max; *text moves on behind them. */
static bool
take_number(const char **text, uint64_t max, uint64_t *out)
{
    const char *at = *text;
    uint64_t number = 0;

    for (; *at >= '0' && *at <= '9'; at++) {
        uint64_t digit = (uint64_t)(*at - '0');

        if (number > (max - digit) / 10)
            return false;
        number = number * 10 + digit;
    }
    if (at == *text)
        return false;
    *text = at;
    *out = number;
    return true;
}

/* " origin/incarnation/sequence" */
static bool
take_branch(const char **text, struct cairn_token *token)
{
    struct cairn_result branch = {.on_branch = true};
    uint64_t origin, incarnation;

    if (*(*text)++ != ' ' || !take_number(text, CAIRN_NODES_MAX - 1, &origin) || *(*text)++ != '/' ||
        !take_number(text, CAIRN_TOKEN_LIFE_MAX, &incarnation) || *(*text)++ != '/' ||
        !take_number(text, CAIRN_TOKEN_SEQ_MAX, &branch.seq) || incarnation == 0 || branch.seq == 0)
        return false;
    branch.origin = (uint8_t)origin;
    branch.incarnation = (uint32_t)incarnation;
    return note_branch(token, &branch) == CAIRN_OK;
}

enum cairn_error
cairn_token_parse(const char *text, struct cairn_token *out)
{
    struct cairn_token token = {0};
    char cluster[CAIRN_ID_TEXT_BYTES];

    if (strcspn(text, " ") == CAIRN_ID_TEXT_BYTES - 1) {
        snprintf(cluster, sizeof(cluster), "%s", text);
        text += CAIRN_ID_TEXT_BYTES - 1;
        if (!cairn_id_parse(cluster, &token.cluster) || *text++ != ' ')
            return CAIRN_INVALID;
    }
    if (!take_number(&text, CAIRN_TOKEN_LSN_MAX, &token.lsn))
        return CAIRN_INVALID;
    while (*text != '\0') {
        if (!take_branch(&text, &token))
            return CAIRN_INVALID;
    }
    *out = token;
    return CAIRN_OK;
}
