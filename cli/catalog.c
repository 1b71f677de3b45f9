/* Entries of the catalog. */
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"

#define DEADLINE_NS 10000000000u

const char *
cli_silent_note(const struct cluster_config *cluster, cairn_node_set silent, char *note, size_t note_bytes)
{
    char text[512];

    cli_silent_text(cluster, silent, text, sizeof(text));
    snprintf(note, note_bytes, text[0] == '\0' ? "%s" : " (%s)", text);
    return note;
}

/* silent: who did not answer the command's own first question. */
static void
say_catalog_waits(const struct cluster_config *cluster, cairn_node_set silent, struct cli_waiting *waiting)
{
    char note[520];

    cli_waits(waiting, "for the catalog of logs to take the change%s",
              cli_silent_note(cluster, silent, note, sizeof(note)));
}

bool
cli_trouble_note(const char *name, const json_t *answer, char *note, size_t note_bytes)
{
    const char *trouble = cli_text(cli_log_row(answer, CATALOG_NAME), "trouble");

    if (trouble[0] != '\0')
        snprintf(note, note_bytes, " (%.63s: %.80s)", name, trouble);
    return trouble[0] != '\0';
}

/* What ails the first node that knows it, if anything does. */
static void
ailing_note(const struct cluster_config *cluster, char *note, size_t note_bytes)
{
    struct cli_answers answers = {0};

    note[0] = '\0';
    cli_ask_status(cluster, CAIRN_NODE_NONE, CLI_HEARD, &answers);
    for (uint8_t i = 0; i < cluster->nodes && note[0] == '\0'; i++)
        cli_trouble_note(cluster->names[i], answers.by_node[i], note, note_bytes);
    cli_answers_free(&answers);
}

static void
say_refused(const struct cluster_config *cluster, const struct session_result *result)
{
    const struct cairn_result *answer = &result->result;
    char text[64], note[160];

    if (answer->reached < answer->needed) {
        cli_fail("the catalog cannot be changed: %s (%s)", cairn_error_text(result->error),
                 cli_reach_text(answer, cli_voters(cluster, CATALOG_NAME, CAIRN_NODE_NONE), text, sizeof(text)));
        return;
    }
    ailing_note(cluster, note, sizeof(note));
    cli_fail("the catalog cannot be changed: %s%s", cairn_error_text(result->error), note);
}

/* An entry of the catalog, by whichever node takes it. */
int
cli_catalog_append(const struct cluster_config *cluster, json_t *change, cairn_node_set silent,
                   struct cli_waiting *waiting, uint64_t *lsn)
{
    struct session_sockets sockets = cli_sockets(cluster);
    struct session_config config = {
        .nodes = cluster->nodes,
        .connect = session_connect_shm,
        .connect_context = &sockets,
        .log = "_catalog",
        .via = CAIRN_NODE_NONE,
        .ack = CAIRN_ACK_MAJORITY,
        .deadline_ns = DEADLINE_NS,
    };
    char *text = json_dumps(change, JSON_COMPACT), detail[256] = "";
    struct cairn_entry entry = {.payload = text, .payload_bytes = text == NULL ? 0 : (uint32_t)strlen(text)};
    struct session_result result = {.error = CAIRN_OK};
    enum cairn_error error = CAIRN_NO_MEMORY;
    struct session *session;
    int status = 0;

    sockets.system = true;
    json_decref(change);
    say_catalog_waits(cluster, silent, waiting);
    if (text != NULL)
        error = session_open(&config, &session, detail, sizeof(detail));
    if (error != CAIRN_OK) {
        free(text);
        return cli_unreached(error, detail);
    }
    session_append(session, &entry);
    while (!session_poll(session, &result)) {
        session_wait(session);
        say_catalog_waits(cluster, silent, waiting);
    }
    session_close(session);
    free(text);
    if (result.error != CAIRN_OK) {
        status = cli_exit_status(result.error);
        say_refused(cluster, &result);
    }
    if (lsn != NULL)
        *lsn = result.result.lsn;
    return status;
}
