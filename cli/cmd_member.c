/* cairn member add|remove|promote|transfer|replace: who holds a log, who votes, who leads, whose state is lost. */
#include <string.h>

#include "cli/member.h"
#include "cli/recover.h"

static bool
parse_op(const char *word, enum cairn_member_op *out)
{
    static const char *const words[] = {"add", "promote", "remove", "transfer"};

    for (unsigned i = 0; i < 4; i++) {
        if (strcmp(word, words[i]) == 0) {
            *out = (enum cairn_member_op)i;
            return true;
        }
    }
    return false;
}

int
cmd_member(int argc, char **argv)
{
    const char *cluster_file = NULL, *log = NULL;
    bool json = false, learner = false, anyway = false, replace;
    const struct cli_option options[] = {
        {"cluster", OPTION_FILE, &cluster_file, "the cluster file (or CAIRN_CLUSTER)"},
        {"log", OPTION_LOG, &log, "only this log; default: all of them", .verbs = "add|remove|promote|transfer"},
        {"learner", OPTION_FLAG, &learner, "leave it a learner, which holds the log and does not vote", .verbs = "add"},
        {"anyway", OPTION_FLAG, &anyway, "also where logs wait for good for what the node held", .verbs = "replace"},
        {"json", OPTION_FLAG, &json, "JSON rows"},
        OPTIONS_END,
    };
    static const struct cli_verb verbs[] = {{"add", "NODE", 1, 1},     {"remove", "NODE", 1, 1},
                                            {"promote", "NODE", 1, 1}, {"transfer", "NODE", 1, 1},
                                            {"replace", "NODE", 1, 1}, {NULL, NULL, 0, 0}};
    const struct cli_grammar grammar = {"member", .verbs = verbs, .options = options};
    struct cluster_config cluster;
    enum cairn_member_op op = CAIRN_MEMBER_ADD;
    uint8_t node;
    int first, status;

    if (!cli_parse(argc, argv, &grammar, &first, &status))
        return status;
    replace = !parse_op(argv[first], &op);
    if ((status = cli_cluster(cluster_file, &cluster)) != 0 || (status = cli_know_all(&cluster, cluster_file)) != 0 ||
        (status = cli_member(&cluster, argv[first + 1], &node)) != 0)
        return status;
    if (replace)
        return cli_replace(&cluster, node, anyway, json);
    return cli_end(cli_member_change(&cluster, op, node, log, learner, json));
}
