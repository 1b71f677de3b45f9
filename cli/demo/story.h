/* `cairn demo bank|social|shop`: stories of the CAP trade-off, told on real entries of a real cluster inside this process.
 *
 * A story is a function that makes logs, lets people write at nodes, cuts and heals, and says what must hold. What each
 * person does is written beside what happens at the other nodes at the time, and the page shows the same as a timeline. */
#ifndef CLI_DEMO_STORY_H
#define CLI_DEMO_STORY_H

#include "cairn/view.h"
#include "cli/page.h"

#define STORY_NODES 3u
#define STORY_LOGS_MAX 4u
#define STORY_LINES_MAX 256u
#define STORY_MARKS_MAX 16u
#define STORY_COLUMN 38 /* characters of a node's */

struct story_line {
    uint64_t t_ns;
    uint8_t node; /* CAIRN_NODE_NONE: the narrator's */
    char text[120];
};

struct story {
    struct local_cluster local;
    bool json, failed;
    uint64_t start_ns;
    struct cairn_client *clients[STORY_NODES];
    const char *logs[STORY_LOGS_MAX];
    uint32_t log_ids[STORY_LOGS_MAX], logs_count;
    enum cairn_policy policies[STORY_LOGS_MAX];
    uint8_t group[STORY_NODES]; /* who reaches whom: those of one number */
    struct story_line lines[STORY_LINES_MAX];
    uint32_t lines_count;
    struct page_mark marks[STORY_MARKS_MAX];
    uint32_t marks_count;
    struct page_events events;
    uint64_t token;
    uint64_t accepted, refused, checks;
};

/* A moment, by the story's clock. */
double story_ms(const struct story *story, uint64_t t_ns);

/* Tells what is going on; in a node's column, or across all. */
void story_says(struct story *story, const char *text, ...) __attribute__((format(printf, 2, 3)));
void story_does(struct story *story, uint8_t node, const char *text, ...) __attribute__((format(printf, 3, 4)));

/* What must hold, in words; where it does not, the story has failed, and says so. */
void story_must(struct story *story, bool holds, const char *what);

/* Makes a log. Returns its number in the story. */
uint32_t story_log(struct story *story, const char *name, enum cairn_policy policy);
void story_set_policy(struct story *story, uint32_t log, enum cairn_policy policy);

/* Appends at the node, as a client there does: a node that does not lead says who does, and the client goes there if it
 * can reach it. */
enum cairn_error story_append(struct story *story, uint8_t node, uint32_t log, const char *key, const char *payload,
                              struct cairn_result *out);

/* A view of the log at the node, at a read level. The caller frees *out; NULL where it was refused. */
enum cairn_error story_view(struct story *story, uint8_t node, uint32_t log, enum cairn_resolve resolve,
                            enum cairn_read_level level, struct cairn_view **out);

/* A key's values in it as text, ", " between; "" where there is none. */
void story_value(const struct cairn_view *view, const char *key, char *text, size_t text_bytes);

/* Cuts the node off; puts everything together again, and waits until all logs are the same everywhere. */
void story_cut(struct story *story, uint8_t node);
void story_heal(struct story *story);

/* Waits until the log does that on the node. */
void story_wait_mode(struct story *story, uint8_t node, uint32_t log, enum cairn_mode mode);

/* The stories. */
void story_bank(struct story *story);
void story_social(struct story *story);
void story_shop(struct story *story);

/* Plays the one of that name; false: there is none. *status: what to exit with. */
bool story_play(const char *name, const char *report, bool json, int *status);

#endif
