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

enum cairn_error
cairn_token_note(struct cairn_token *token, const struct cairn_result *result)
{
    if (result->error != CAIRN_OK || result->type == CAIRN_RESULT_END)
        return CAIRN_OK;
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
    if (end->fork_lsn > token->lsn)
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

enum cairn_error
cairn_token_parse(const char *text, struct cairn_token *out)
{
    struct cairn_token token = {0};
    char cluster[CAIRN_ID_TEXT_BYTES];
    int used;

    if (strcspn(text, " ") == CAIRN_ID_TEXT_BYTES - 1) {
        snprintf(cluster, sizeof(cluster), "%s", text);
        if (!cairn_id_parse(cluster, &token.cluster))
            return CAIRN_INVALID;
        text += CAIRN_ID_TEXT_BYTES - 1;
    }

    if (sscanf(text, "%" SCNu64 "%n", &token.lsn, &used) != 1)
        return CAIRN_INVALID;
    for (text += used; *text == ' '; text += used) {
        struct cairn_result branch = {.on_branch = true};

        if (sscanf(text, " %" SCNu8 "/%" SCNu32 "/%" SCNu64 "%n", &branch.origin, &branch.incarnation, &branch.seq,
                   &used) != 3 ||
            branch.origin >= CAIRN_NODES_MAX || branch.seq == 0 || note_branch(&token, &branch) != CAIRN_OK)
            return CAIRN_INVALID;
    }
    if (*text != '\0')
        return CAIRN_INVALID;
    *out = token;
    return CAIRN_OK;
}
