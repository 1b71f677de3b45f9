/* What the commands share: options, output, the cluster they talk to. */
#ifndef CLI_CLI_H
#define CLI_CLI_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include <jansson.h>

#include "cairn/token.h"
#include "cli/options.h"
#include "client/session.h"
#include "control/config.h"

#define CATALOG_NAME "_catalog"

enum exit_status { EXIT_DONE = 0, EXIT_FAILED = 1, EXIT_USAGE = 2, EXIT_REFUSED = 3, EXIT_UNKNOWN = 4 };

struct command {
    const char *name;
    const char *summary;
    int (*run)(int argc, char **argv);
};

/* Says "cairn: WHAT" on stderr, one line whatever is in it; returns EXIT_FAILED, or EXIT_USAGE. */
int cli_fail(const char *what, ...) __attribute__((format(printf, 1, 2)));
int cli_usage(const char *what, ...) __attribute__((format(printf, 1, 2)));

/* What an error means to a script. */
int cli_exit_status(enum cairn_error error);

/* What somebody has appended, to standard output: as it is, but on a terminal, which it must not steer, with what is not text
 * escaped. */
void cli_put(const void *bytes, size_t size_bytes);

/* One JSON object a line on stdout; row is taken over. */
void cli_row(json_t *row);

/* Bytes as a JSON string: as they are where they are UTF-8, else in base64, and then *encoded (may be NULL). */
json_t *cli_bytes(const void *bytes, size_t size_bytes, bool *encoded);

/* Flushes stdout; EXIT_FAILED, said, where it could not be written, else status. */
int cli_end(int status);
/* Could stdout be written so far? */
bool cli_output_alive(void);

/* The cluster file: the one given, or CAIRN_CLUSTER; NULL: neither names one. */
const char *cli_cluster_path(const char *given);

/* The cluster file: --cluster, else CAIRN_CLUSTER. 0, or what to exit with. */
int cli_cluster(const char *path, struct cluster_config *out);

/* Index of the node named, CAIRN_NODE_NONE where name is NULL; a wrong name is a usage error. */
int cli_node(const struct cluster_config *cluster, const char *name, uint8_t *out);

/* A node's journal: a directory of its name in `parent`, made where there is none; says where it is not by io_uring. NULL
 * with a detail: it cannot be had. */
struct disk *cli_open_disk(const char *parent, const char *node, uint32_t worker, bool without_uring, char *detail,
                           size_t detail_bytes);
/* Are a journal's files in that directory? In a node's own they are of a release before nodes had several workers. */
bool cli_has_journal(const char *directory);

/* What nodes answered that were asked side by side. Zeroed memory is none. */
struct cli_answers {
    json_t *by_node[CAIRN_NODES_MAX];   /* NULL: it did not, */
    char details[CAIRN_NODES_MAX][256]; /* for this reason */
    cairn_node_set silent;              /* those that were asked and did not, */
    cairn_node_set hung;                /* and of them, those that are there: they did not in time */
    bool forbidden;                     /* one did not because who asks may not */
};

enum cli_patience {
    CLI_FIRST, /* until one has answered that recovers from nothing: others are asked where it takes some milliseconds */
    CLI_QUICK, /* the same, but no longer than 0.1 s */
    CLI_ALL,   /* until all have, or 0.6 s */
    CLI_HEARD, /* the same, but who is not even heard by those that answer is waited for no more than 0.1 s */
};

/* Asks each node its request, which is taken over; NULL: not that node. All at once: who hangs costs the others nothing.
 * How many answered. The answers are freed first. */
uint32_t cli_ask_each(const struct cluster_config *cluster, json_t **requests, enum cli_patience patience,
                      struct cli_answers *answers);

/* The same of all nodes that are of the cluster, or of `via` alone: a command that takes nothing else; and that for their status. */
uint32_t cli_ask_all(const struct cluster_config *cluster, const char *command, uint8_t via, enum cli_patience patience,
                     struct cli_answers *answers);
/* Of those that answered, whoever is of the cluster and recovers from nothing; else any. CAIRN_NODE_NONE: nobody answered. */
uint8_t cli_answerer(const struct cluster_config *cluster, const struct cli_answers *answers);
/* Of answers for status: who knows of most logs. One that has joined, or lags, does not know of all yet. */
uint8_t cli_knows_most_logs(const struct cluster_config *cluster, const struct cli_answers *answers);
uint32_t cli_ask_status(const struct cluster_config *cluster, uint8_t via, enum cli_patience patience,
                        struct cli_answers *answers);
void cli_answers_free(struct cli_answers *answers);

/* Of answers to `status`: the row of whoever leads the log, by its own word. NULL: nobody says so. */
const json_t *cli_leader_row(const struct cluster_config *cluster, const struct cli_answers *status, const char *log);

/* Why nobody answered: of the last that was asked. */
const char *cli_answers_detail(const struct cli_answers *answers);

/* Fails for that: the cluster is down, or who asks may not; with a node named, that one does not answer. */
int cli_unanswered(const struct cluster_config *cluster, uint8_t via, const struct cli_answers *answers);
/* The same, of one that could not be connected to. */
int cli_unreached(enum cairn_error error, const char *detail);
int cli_unreached_at(const struct cluster_config *cluster, uint8_t via, enum cairn_error error, const char *detail);

/* "n1 and n2 do not answer", of those that were asked; "" where all did. */
const char *cli_silent_text(const struct cluster_config *cluster, cairn_node_set silent, char *text, size_t text_bytes);

/* The same as a note behind something else, " (n1 does not answer)". */
const char *cli_silent_note(const struct cluster_config *cluster, cairn_node_set silent, char *note, size_t note_bytes);

/* " (n1: its disk hangs)": what the node says ails it, by its answer for status. false: nothing does, and note is as it was. */
bool cli_trouble_note(const char *name, const json_t *answer, char *note, size_t note_bytes);

/* Does a log's status row say that it is lost, and waits for a decision? Then text says what that means, and what to do. */
bool cli_is_lost(const json_t *row, char *text, size_t text_bytes);

/* Asks one node; NULL with a detail where it does not answer. */
json_t *cli_ask(const struct cluster_config *cluster, uint8_t node, json_t *request, char *detail, size_t detail_bytes);

/* A wait that a person should know of: what for is said once, on stderr, when it takes longer than is nice. */
struct cli_waiting {
    uint64_t begun_ns; /* 0: at the first call */
    bool said;
};
void cli_waits(struct cli_waiting *waiting, const char *what, ...) __attribute__((format(printf, 2, 3)));

/* Puts an entry, which is taken over, into the catalog, by whichever node takes it; *lsn (may be NULL): where it stands.
 * silent: who did not answer the command's own first question. Returns the exit status, said. */
int cli_catalog_append(const struct cluster_config *cluster, json_t *change, cairn_node_set silent,
                       struct cli_waiting *waiting, uint64_t *lsn);

/* How many logs the worker has, by a node's answer to `status`; the catalog is none. */
uint32_t cli_logs_at(const json_t *answer, uint32_t worker);
/* The log's row of a node's answer to `status`, the answer's; NULL where the node does not know the log. */
const json_t *cli_log_row(const json_t *answer, const char *log);

/* All events of those nodes from number next[node] on, appended to rows, and next moved. How many nodes answered; why the
 * others did not is in answers, which the caller frees. */
uint32_t cli_collect_events(const struct cluster_config *cluster, cairn_node_set nodes, json_int_t *next, json_t *rows,
                            struct cli_answers *answers);
/* By time: clocks of one machine's processes are the same. Out of memory: as they were. */
void cli_sort_events(json_t *rows);

/* `cairn member add NODE`, of all logs. Returns the exit status. */
int cli_member_add(const struct cluster_config *cluster, uint8_t node, bool json);

/* Makes the node a learner of the log, and where it votes a voter once it has caught up. Returns the exit status, said. */
int cli_member_of(const struct cluster_config *cluster, const char *log, uint8_t node, bool votes);

/* `cairn log adopt`: a log that has stopped goes on from what one node holds. from: NULL: only says what either choice
 * loses. without: names, with commas, of those whose state is given up unheard; NULL: none. Returns the exit status. */
int cli_adopt(const struct cluster_config *cluster, const char *log, const char *from, const char *without, bool json);

/* The nodes that an array names; names of no node are passed over. */
cairn_node_set cli_set_of(const struct cluster_config *cluster, const json_t *names);

/* Names with commas. 0, or what to exit with, said. */
int cli_nodes(const struct cluster_config *cluster, const char *text, cairn_node_set *out);

/* A key's text; "" where there is none. */
const char *cli_text(const json_t *row, const char *key);
/* A key's number; 0 where there is none. */
uint64_t cli_number(const json_t *row, const char *key);

/* What to read of a log. */
struct cli_read_request {
    const char *log;
    uint64_t from, to; /* lsns; 0: where the log begins, its end */
    enum cairn_read_level level;
    uint64_t max_lag_ns;             /* 0: no bound; else the level is not looked at */
    const struct cairn_token *token; /* of a session, then neither are those; NULL: none */
    unsigned flags;                  /* CAIRN_READ_* */
    bool patient;                    /* waits some seconds for a node that serves it, as tails do that lose theirs */
};

/* Reads from the node `via`; from CAIRN_NODE_NONE: from the first that serves it. Each row, and the end, goes to take(),
 * whose status ends the read where it is not EXIT_DONE. While it waits, stdout is flushed. What to exit with. */
typedef int cli_take_entry(void *context, const struct cairn_result *entry);
int cli_read(const struct cluster_config *cluster, uint8_t via, const struct cli_read_request *request,
             cli_take_entry *take, void *context);

/* A session's token of a log, in a file of one line; a file that is not there is a new session. Another cluster's is
 * refused. 0, or what to exit with. Saved as a whole, by rename. */
int cli_session_load(const char *path, const struct cluster_config *cluster, const char *log, struct cairn_token *out);
int cli_session_save(const char *path, const char *log, const struct cairn_token *token);

/* Where a cluster's sockets are, for sessions. */
struct session_sockets cli_sockets(const struct cluster_config *cluster);

/* Goes by what the cluster has agreed on, as soon as a node says that: who is of it, and by which number. The file's own names
 * are where nodes are asked at first; what it lists beyond stays behind the others, to be asked by name alone. Where the file
 * has another order or another name in a node's place, it is refused: said, and what to exit with. path: as cli_cluster()
 * was given it. */
int cli_know_all(struct cluster_config *cluster, const char *path);
/* Those that are of the cluster: who was removed, or is listed and was not added, is asked nothing, counted nowhere. Before
 * cli_know_all(), and where nobody answers that, all that are listed. */
cairn_node_set cli_present(const struct cluster_config *cluster);
uint32_t cli_present_count(const struct cluster_config *cluster);
/* As cli_node() and cli_nodes(), of those that are of the cluster. */
int cli_member(const struct cluster_config *cluster, const char *name, uint8_t *out);
int cli_members(const struct cluster_config *cluster, const char *text, cairn_node_set *out);
/* A node's numbers are as `seats` has them. Where nobody had said so before, and the file's are others: refused, as above. */
struct dial_seats;
int cli_follows(const struct cluster_config *cluster, const struct dial_seats *seats);

/* How many vote in the log, by the word of `via` or of whoever answers; 0: nobody says. */
uint32_t cli_voters(const struct cluster_config *cluster, const char *log, uint8_t via);
/* "reaching 2 of 4, need 3": of so many voters; without that number where nobody said it. */
const char *cli_reach_text(const struct cairn_result *refusal, uint32_t voters, char *text, size_t text_bytes);

/* Which cluster it is, as one of its nodes says; false: none does. */
bool cli_cluster_identity(const struct cluster_config *cluster, struct cairn_id *out);

/* Works in a directory of its own, PARENT/PREFIX-XXXXXX, by a process of its own, so that the directory is taken away
 * however that ends, also by ^C. What work() returned; where a signal ended it, this process ends by the same. */
typedef int cli_scratch_work(void *context, const char *path);
int cli_scratch(const char *parent, const char *prefix, cli_scratch_work *work, void *context);

uint64_t cli_now_ns(void);
/* A file that somebody named, to be read: a regular one, opened without waiting for anybody. -1, errno says why; EINVAL: it is no
 * regular file. */
int cli_open_regular(const char *path);
/* Before anything is done: can what will be written there be? 0, or an exit status and it is said; what: what the file is. */
int cli_refuse_unwritable(const char *what, const char *path);
/* Puts a path without links, which leads to the same directory now, in the place of what the cluster file says. 0 or an exit status. */
int cli_resolve_directory(struct cluster_config *cluster);
/* Opens what cli_refuse_unwritable() found fine, to be written anew; nor is anybody waited for now. NULL: it is said why. */
FILE *cli_open_written(const char *what, const char *path);
/* Runs this same binary in this process; one that has been replaced or deleted since, as it was. Returns only where that cannot
 * be, errno says why. */
void cli_exec_self(char *const *argv);

/* Makes the log known to every node that answers and waits for a leader. 0 or an exit status. */
int log_create_and_wait(const struct cluster_config *cluster, const char *name, enum cairn_policy policy,
                        enum cairn_deny deny, const char *durability, const char *members);

int cmd_append(int argc, char **argv);
int cmd_read(int argc, char **argv);
int cmd_tail(int argc, char **argv);
int cmd_view(int argc, char **argv);
int cmd_log(int argc, char **argv);
int cmd_status(int argc, char **argv);
int cmd_top(int argc, char **argv);
int cmd_events(int argc, char **argv);
int cmd_fault(int argc, char **argv);
int cmd_inspect(int argc, char **argv);
int cmd_server(int argc, char **argv);
int cmd_dev(int argc, char **argv);
int cmd_cluster(int argc, char **argv);
int cmd_demo(int argc, char **argv);
int cmd_member(int argc, char **argv);
int cmd_sim(int argc, char **argv);
int cmd_bench(int argc, char **argv);

#endif
