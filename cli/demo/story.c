#include "cli/demo/story.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/cli.h"

#define WAIT_NS 10000000000u

/* --- telling --- */

double
story_ms(const struct story *story, uint64_t t_ns)
{
    return (double)(t_ns - story->start_ns) / 1e6;
}

static void
tell(struct story *story, uint8_t node, const char *format, va_list arguments)
{
    struct story_line *line = &story->lines[story->lines_count];

    if (story->lines_count + 1 < STORY_LINES_MAX)
        story->lines_count++;
    line->t_ns = cli_now_ns();
    line->node = node;
    vsnprintf(line->text, sizeof(line->text), format, arguments);
    if (story->json)
        cli_row(json_pack("{s:s,s:I,s:s?,s:s}", "step", node == CAIRN_NODE_NONE ? "story" : "node", "t_ns",
                          (json_int_t)line->t_ns, "node",
                          node == CAIRN_NODE_NONE ? NULL : story->local.cluster.names[node], "text", line->text));
    else if (node == CAIRN_NODE_NONE)
        printf("\n%9.1f  %s\n", story_ms(story, line->t_ns), line->text);
    else
        printf("%9.1f  %*s%s\n", story_ms(story, line->t_ns), node * STORY_COLUMN, "", line->text);
    fflush(stdout);
}

void
story_says(struct story *story, const char *text, ...)
{
    va_list arguments;

    va_start(arguments, text);
    tell(story, CAIRN_NODE_NONE, text, arguments);
    va_end(arguments);
}

void
story_does(struct story *story, uint8_t node, const char *text, ...)
{
    va_list arguments;

    va_start(arguments, text);
    tell(story, node, text, arguments);
    va_end(arguments);
}

static void
mark(struct story *story, const char *name)
{
    if (story->marks_count < STORY_MARKS_MAX)
        story->marks[story->marks_count++] = (struct page_mark){cli_now_ns(), name};
}

void
story_must(struct story *story, bool holds, const char *what)
{
    story->checks++;
    if (holds)
        return;
    story->failed = true;
    story_says(story, "NOT SO: %s", what);
}

/* --- the cluster --- */

static bool
waits_on(uint64_t end_ns)
{
    if (cli_now_ns() > end_ns)
        return false;
    usleep(200);
    return true;
}

void
story_wait_mode(struct story *story, uint8_t node, uint32_t log, enum cairn_mode mode)
{
    uint64_t end_ns = cli_now_ns() + WAIT_NS;
    struct node_log_view view = {0};
    bool there;

    do {
        there = node_view(story->local.nodes[node], story->logs[log], &view) && view.mode == mode;
    } while (!there && waits_on(end_ns));
    story_must(story, there, "the mode changes within ten seconds");
}

uint32_t
story_log(struct story *story, const char *name, enum cairn_policy policy)
{
    uint32_t log = story->logs_count++;
    enum cairn_error error = local_create_log(story->local.nodes[0], name, policy, CAIRN_MEMORY, 0, NULL, NULL,
                                              &story->log_ids[log]);

    story->logs[log] = name;
    story->policies[log] = policy;
    if (error != CAIRN_OK)
        story_must(story, false, "the log can be made");
    /* Until every node knows it. */
    for (uint8_t node = 0; node < STORY_NODES; node++)
        story_wait_mode(story, node, log, policy == CAIRN_POLICY_AP ? CAIRN_MODE_AP : CAIRN_MODE_CP);
    return log;
}

static void
apply_groups(struct story *story)
{
    for (uint8_t from = 0; from < STORY_NODES; from++) {
        struct fault_rule rules[CAIRN_NODES_MAX];

        memset(rules, 0, sizeof(rules));
        for (uint8_t to = 0; to < STORY_NODES; to++)
            rules[to].drop = story->group[from] != story->group[to];
        node_set_faults(story->local.nodes[from], rules);
    }
}

/* Do all nodes that reach each other hold the same, with nothing on its way? */
static bool
settled(const struct story *story)
{
    for (uint32_t log = 0; log < story->logs_count; log++) {
        struct node_log_view first = {0}, view;
        bool any = false;

        for (uint8_t node = 0; node < STORY_NODES; node++) {
            if (story->group[node] != 0)
                continue;
            if (!node_view(story->local.nodes[node], story->logs[log], &view) || view.branch_entries != 0 ||
                view.commit_lsn != view.last_lsn)
                return false;
            if (any && (view.commit_lsn != first.commit_lsn || view.digest != first.digest))
                return false;
            first = view;
            any = true;
        }
    }
    return true;
}

void
story_cut(struct story *story, uint8_t node)
{
    uint64_t end_ns = cli_now_ns() + WAIT_NS;

    /* Everybody knows by now what was written before: else the story would be another one each time. */
    while (!settled(story) && waits_on(end_ns))
        ;
    story->group[node] = (uint8_t)(node + 1);
    apply_groups(story);
    mark(story, "cut");
    story_says(story, "--- %s is cut off from the others", story->local.cluster.names[node]);
}

void
story_heal(struct story *story)
{
    uint64_t healed_ns = cli_now_ns(), end_ns = healed_ns + WAIT_NS;

    memset(story->group, 0, sizeof(story->group));
    apply_groups(story);
    mark(story, "heal");
    story_says(story, "--- the links are back");
    for (uint8_t node = 0; node < STORY_NODES; node++) {
        for (uint32_t log = 0; log < story->logs_count; log++)
            story_wait_mode(story, node, log, story->policies[log] == CAIRN_POLICY_AP ? CAIRN_MODE_AP : CAIRN_MODE_CP);
    }
    while (!settled(story) && waits_on(end_ns))
        ;
    mark(story, "merged");
    story_must(story, settled(story), "all replicas are equal after the heal");
    story_says(story, "--- everything is merged, %.1f ms after the heal: every replica has the same digest",
               (double)(cli_now_ns() - healed_ns) / 1e6);
}

void
story_set_policy(struct story *story, uint32_t log, enum cairn_policy policy)
{
    char text[160];
    struct session_config config = {
        .nodes = STORY_NODES,
        .connect = local_connect,
        .connect_context = &story->local,
        .log = "_catalog",
        .via = 0,
        .ack = CAIRN_ACK_MAJORITY,
        .deadline_ns = WAIT_NS,
    };
    struct session *session;
    struct session_result result = {.error = CAIRN_TIMEOUT};
    struct cairn_entry entry = {.payload = text};
    struct node_log_view view;
    uint64_t end_ns = cli_now_ns() + WAIT_NS;
    bool adopted = false;
    char detail[256];

    entry.payload_bytes = (uint32_t)snprintf(text, sizeof(text), "{\"op\":\"set\",\"name\":\"%s\",\"policy\":\"%s\"}",
                                             story->logs[log], cairn_policy_name(policy));
    if (session_open(&config, &session, detail, sizeof(detail)) == CAIRN_OK) {
        session_append(session, &entry);
        while (!session_poll(session, &result))
            session_wait(session);
        session_close(session);
    }
    story->policies[log] = policy;
    while (!adopted && waits_on(end_ns)) {
        adopted = true;
        for (uint8_t node = 0; node < STORY_NODES; node++)
            adopted = adopted &&
                      (story->group[node] != story->group[0] ||
                       (node_view(story->local.nodes[node], story->logs[log], &view) && view.policy == policy));
    }
    story_must(story, result.error == CAIRN_OK && adopted, "the policy can be changed");
}

/* --- people --- */

/* Takes the answer with the token; entries on the way go into the view. */
static enum cairn_error
answer(struct story *story, uint8_t node, struct cairn_view *view, struct cairn_result *out)
{
    uint64_t end_ns = cli_now_ns() + WAIT_NS;

    while (cli_now_ns() < end_ns) {
        while (cairn_poll(story->clients[node], out) > 0) {
            if (out->token != story->token)
                continue;
            if (out->type == CAIRN_RESULT_ENTRY && view != NULL)
                cairn_view_add(view, out);
            if (out->type != CAIRN_RESULT_ENTRY)
                return out->error;
        }
        cairn_wait(story->clients[node], 1000000);
    }
    return CAIRN_TIMEOUT;
}

enum cairn_error
story_append(struct story *story, uint8_t node, uint32_t log, const char *key, const char *payload,
             struct cairn_result *out)
{
    struct cairn_entry entry = {
        .payload = payload, .payload_bytes = (uint32_t)strlen(payload), .key = key, .key_bytes = (uint16_t)strlen(key)};
    uint64_t end_ns = cli_now_ns() + WAIT_NS;
    struct cairn_result unused;
    enum cairn_error error;
    uint8_t at = node;

    if (out == NULL)
        out = &unused;
    do {
        error = CAIRN_AGAIN;
        if (cairn_append(story->clients[at], story->log_ids[log], &entry, CAIRN_ACK_POLICY, ++story->token) == CAIRN_OK)
            error = answer(story, at, NULL, out);
        if (error == CAIRN_NOT_LEADER && out->leader < STORY_NODES && story->group[out->leader] == story->group[node])
            at = out->leader;
    } while ((error == CAIRN_NOT_LEADER || error == CAIRN_NO_LEADER || error == CAIRN_AGAIN) && waits_on(end_ns));
    story->accepted += error == CAIRN_OK;
    story->refused += error != CAIRN_OK;
    return error;
}

enum cairn_error
story_view(struct story *story, uint8_t node, uint32_t log, enum cairn_resolve resolve, enum cairn_read_level level,
           struct cairn_view **out)
{
    struct cairn_result result = {0};
    enum cairn_error error = CAIRN_AGAIN;

    *out = cairn_view_create(resolve);
    if (cairn_read(story->clients[node], story->log_ids[log], 0, 0, level, CAIRN_READ_TENTATIVE, ++story->token) ==
        CAIRN_OK)
        error = answer(story, node, *out, &result);
    if (error == CAIRN_OK)
        return error;
    cairn_view_free(*out);
    *out = NULL;
    return error;
}

struct lookup {
    const char *key;
    char *text;
    size_t text_bytes, used;
};

static void
look_up(void *context, const void *key, size_t key_bytes, const struct cairn_value *values, size_t count)
{
    struct lookup *lookup = context;

    if (strlen(lookup->key) != key_bytes || memcmp(lookup->key, key, key_bytes) != 0)
        return;
    for (size_t i = 0; i < count && lookup->used < lookup->text_bytes; i++)
        lookup->used += (size_t)snprintf(lookup->text + lookup->used, lookup->text_bytes - lookup->used, "%s%.*s",
                                         i == 0 ? "" : ", ", (int)values[i].bytes_count, (const char *)values[i].bytes);
}

void
story_value(const struct cairn_view *view, const char *key, char *text, size_t text_bytes)
{
    struct lookup lookup = {.key = key, .text = text, .text_bytes = text_bytes};

    text[0] = '\0';
    if (view != NULL)
        cairn_view_each(view, look_up, &lookup);
}
