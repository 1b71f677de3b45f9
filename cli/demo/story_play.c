/* A story is played, and its page written. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/cli.h"
#include "cli/demo/story.h"

#define MEMORY_MIB 128u
#define CHANNEL_BYTES (1u << 20)

/* --- the page --- */
static void
write_lines(FILE *out, const struct story *story)
{
    fprintf(out, "<h2>Side by side</h2>\n<table><tr><th>ms</th>");
    for (uint8_t node = 0; node < STORY_NODES; node++)
        fprintf(out, "<th style='text-align:left'>%s</th>", story->local.cluster.names[node]);
    fprintf(out, "</tr>\n");
    for (uint32_t i = 0; i < story->lines_count; i++) {
        const struct story_line *line = &story->lines[i];

        fprintf(out, "<tr><td>%.1f</td>", story_ms(story, line->t_ns));
        if (line->node == CAIRN_NODE_NONE)
            fprintf(out, "<td colspan='%u' style='text-align:left'><b>", STORY_NODES);
        for (uint8_t node = 0; node < line->node && line->node != CAIRN_NODE_NONE; node++)
            fprintf(out, "<td></td>");
        if (line->node != CAIRN_NODE_NONE)
            fprintf(out, "<td style='text-align:left'>");
        page_text(out, line->text);
        fprintf(out, "%s</td></tr>\n", line->node == CAIRN_NODE_NONE ? "</b>" : "");
    }
    fprintf(out, "</table>\n");
}

static int
write_page(struct story *story, const char *name, const char *path)
{
    enum cairn_mode modes[STORY_LOGS_MAX];
    struct page_window window = {
        .title = "The whole story",
        .events = &story->events,
        .local = &story->local,
        .nodes = STORY_NODES,
        .logs = story->logs,
        .modes = modes,
        .logs_count = story->logs_count,
        .marks = story->marks,
        .marks_count = story->marks_count,
        .from_ns = (double)story->start_ns,
        .to_ns = (double)cli_now_ns(),
        .zero_ns = (double)story->start_ns,
    };
    FILE *out = page_begin(path, "cairn demo");

    if (out == NULL)
        return EXIT_FAILED;
    for (uint32_t log = 0; log < story->logs_count; log++)
        modes[log] = story->policies[log] == CAIRN_POLICY_AP ? CAIRN_MODE_AP : CAIRN_MODE_CP;
    fprintf(out,
            "<h1>cairn: the %s</h1>\n<p>%" PRIu64 " writes accepted, %" PRIu64
            " refused; what must hold <span class='%s'>%s</span> (%" PRIu64 " checks).</p>\n<p>",
            name, story->accepted, story->refused, story->failed ? "bad" : "good", story->failed ? "DOES NOT" : "holds",
            story->checks);
    page_legend(out);
    fprintf(out, "</p>\n");
    page_window(out, &window);
    for (uint32_t i = 0; i < story->marks_count; i++) {
        if (strcmp(story->marks[i].name, "cut") != 0)
            continue;
        window.title = "Around a cut: detection and switch";
        window.zero_ns = (double)story->marks[i].t_ns;
        window.from_ns = window.zero_ns - 3e6;
        window.to_ns = window.zero_ns + 20e6;
        page_window(out, &window);
    }
    write_lines(out, story);
    fprintf(out, "<h2>What the nodes saw</h2>\n");
    page_events_table(out, &story->events, &story->local, story->start_ns);
    return page_end(out, path);
}

/* --- all of it --- */
static int
begin(struct story *story)
{
    struct local_config config = {
        .nodes = STORY_NODES,
        .memory_mib = MEMORY_MIB,
        .channel_bytes = CHANNEL_BYTES,
        .profile = PROFILE_SHARED,
        .idle = IDLE_SLEEP,
        .cpu = -1,
    };
    char detail[512];

    if (local_start(&config, &story->local, detail, sizeof(detail)) != CAIRN_OK)
        return cli_fail("the cluster does not start: %s", detail);
    for (uint8_t node = 0; node < STORY_NODES; node++) {
        if (node_attach(story->local.nodes[node], &story->clients[node]) != CAIRN_OK)
            return cli_fail("no place for a client");
    }
    story->start_ns = cli_now_ns();
    if (!story->json)
        printf("%9s  %-*s%-*s%s\n", "ms", STORY_COLUMN, "n1", STORY_COLUMN, "n2", "n3");
    return 0;
}

bool
story_play(const char *name, const char *report, bool json, int *status)
{
    static const struct {
        const char *name;
        void (*play)(struct story *story);
    } stories[] = {{"bank", story_bank}, {"social", story_social}, {"shop", story_shop}};
    static struct story story;
    void (*play)(struct story * story) = NULL;
    bool has_page = false;

    for (size_t i = 0; i < sizeof(stories) / sizeof(*stories); i++) {
        if (strcmp(name, stories[i].name) == 0)
            play = stories[i].play;
    }
    if (play == NULL)
        return false;
    story.json = json;
    if (report != NULL && (*status = cli_refuse_unwritable("report", report)) != 0)
        return true;
    *status = begin(&story);
    if (*status == 0) {
        play(&story);
        page_collect(&story.events, &story.local, STORY_NODES);
        if (report != NULL)
            *status = write_page(&story, name, report);
        has_page = report != NULL && *status == 0;
        if (json)
            cli_row(json_pack("{s:s,s:s,s:b,s:I,s:I,s:I}", "step", "result", "story", name, "holds", !story.failed,
                              "accepted", (json_int_t)story.accepted, "refused", (json_int_t)story.refused, "checks",
                              (json_int_t)story.checks));
        else
            printf("\n%" PRIu64 " writes accepted, %" PRIu64 " refused; %s (%" PRIu64 " checks)%s%s\n", story.accepted,
                   story.refused,
                   story.failed ? "NOT everything that must hold does" : "everything that must hold does", story.checks,
                   has_page ? "; page: " : "", has_page ? report : "");
    }
    for (uint8_t node = 0; node < STORY_NODES; node++)
        cairn_disconnect(story.clients[node]);
    local_stop(&story.local);
    if (*status == 0 && story.failed)
        *status = cli_fail("what must hold does not: this is a defect of cairn, please report it");
    *status = cli_end(*status);
    return true;
}
