/* cairn inspect: what a stopped node's journal holds, also a damaged one's. Nothing is written. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/inspection.h"

static void
print_log(const struct inspection *inspection, const struct log_seen *log, bool json)
{
    uint64_t last_lsn = log->commit_lsn + log->tail_count, first_lsn = log->base_lsn + 1;
    json_t *damaged = json_array();
    char digest[20];

    snprintf(digest, sizeof(digest), "%016" PRIx64, log->digest);
    if (log->missing_from != 0)
        json_array_append_new(damaged, json_pack("{s:I,s:I}", "from_lsn", (json_int_t)log->missing_from, "to_lsn",
                                                 (json_int_t)log->missing_to));
    if (json)
        cli_row(json_pack("{s:s,s:s,s:I,s:I,s:I,s:I,s:s,s:I,s:I,s:O}", "node", inspection->node, "log", log->name,
                          "first_lsn", (json_int_t)first_lsn, "last_lsn", (json_int_t)last_lsn, "commit_lsn",
                          (json_int_t)log->commit_lsn, "term", (json_int_t)log->term, "digest", digest,
                          "branch_entries", (json_int_t)log->branch_entries, "copy_entries",
                          (json_int_t)log->copy_entries, "damaged", damaged));
    else
        printf("%-6s %-20s lsn %" PRIu64 " to %" PRIu64 ", committed %" PRIu64 ", term %" PRIu64 ", digest %s%s\n",
               inspection->node, log->name, first_lsn, last_lsn, log->commit_lsn, log->term, digest,
               log->missing_from != 0 ? "  DAMAGED" : "");
    if (!json && log->missing_from != 0)
        printf("       lsn %" PRIu64 " to %" PRIu64 " are missing\n", log->missing_from, log->missing_to);
    json_decref(damaged);
}

static void
print_journal(const struct inspection *inspection, bool json)
{
    if (json) {
        cli_row(json_pack("{s:s,s:s,s:i,s:I,s:I,s:b,s:O}", "node", inspection->node, "directory", inspection->directory,
                          "files", (int)inspection->files, "blocks", (json_int_t)inspection->blocks, "bytes",
                          (json_int_t)inspection->bytes, "torn", (int)inspection->torn, "damaged",
                          inspection->damaged));
        return;
    }
    printf("%s: node %s, %u files, %" PRIu64 " blocks, %" PRIu64 " bytes%s\n", inspection->directory, inspection->node,
           inspection->files, inspection->blocks, inspection->bytes,
           inspection->torn ? ", the last write was cut off" : "");
    for (size_t i = 0; i < json_array_size(inspection->damaged); i++)
        printf("  damaged: %s\n", cli_text(json_array_get(inspection->damaged, i), "what"));
}

/* false: the one that is asked for is none of its logs. */
static bool
print_logs(const struct inspection *inspection, const char *only, bool json)
{
    bool found = only == NULL;

    for (uint32_t i = 0; i < inspection->logs_count; i++) {
        if (only != NULL && strcmp(inspection->logs[i].name, only) != 0)
            continue;
        print_log(inspection, &inspection->logs[i], json);
        found = true;
    }
    return found;
}

/* The digests of several nodes at the highest lsn that all have committed. */
static int
compare(char **directories, int count, const char *only, bool json)
{
    static struct inspection first[CAIRN_NODES_MAX], second;
    int status = 0, differing = 0;

    for (int i = 0; i < count && status == 0; i++)
        status = inspection_read(&first[i], directories[i], NULL);
    for (uint32_t i = 0; status == 0 && i < first[0].logs_count; i++) {
        for (int j = 0; j < count; j++) {
            uint64_t lsn = inspection_log(&first[j], first[0].logs[i].id)->commit_lsn;

            if (j == 0 || lsn < first[0].logs[i].limit_lsn)
                first[0].logs[i].limit_lsn = lsn;
        }
    }
    for (int j = 0; j < count && status == 0; j++) {
        status = inspection_read(&second, directories[j], &first[0]);
        for (uint32_t i = 0; status == 0 && i < first[0].logs_count; i++) {
            struct log_seen *log = &first[0].logs[i];
            const struct log_seen *other = inspection_log(&second, log->id);

            if (only != NULL && strcmp(log->name, only) != 0)
                continue;
            if (j == 0)
                log->digest = other->digest;
            differing += other->digest != log->digest;
            print_log(&second, other, json);
        }
        inspection_end(&second);
    }
    for (int i = 0; i < count; i++)
        inspection_end(&first[i]);
    if (status != 0)
        return status;
    if (json)
        cli_row(json_pack("{s:s,s:b}", "step", "result", "identical", differing == 0));
    else
        printf("%s\n", differing == 0 ? "identical" : "the logs DIFFER");
    return cli_end(differing == 0 ? EXIT_DONE : EXIT_FAILED);
}

int
cmd_inspect(int argc, char **argv)
{
    static struct inspection inspection;
    const char *only = NULL;
    bool json = false, digest = false, verify = false, damaged = false;
    const struct cli_option options[] = {
        {"log", OPTION_LOG, &only, "only this log"},
        {"digest", OPTION_FLAG, &digest, "compare the logs of several nodes' directories"},
        {"verify", OPTION_FLAG, &verify, "end with status 1 if anything is damaged"},
        {"json", OPTION_FLAG, &json, "JSON rows"},
        OPTIONS_END,
    };
    const struct cli_grammar grammar = {"inspect", "DIR...", 1, CAIRN_NODES_MAX, .options = options};
    int first, status;

    if (!cli_parse(argc, argv, &grammar, &first, &status))
        return status;
    if (digest && argc - first > 1)
        return compare(argv + first, argc - first, only, json);
    for (int i = first; i < argc; i++) {
        status = inspection_read(&inspection, argv[i], NULL);
        if (status == 0) {
            print_journal(&inspection, json);
            if (!print_logs(&inspection, only, json))
                status = cli_fail("%s has no log '%s'", argv[i], only);
            damaged |= inspection_is_damaged(&inspection);
        }
        inspection_end(&inspection);
        if (status != 0)
            return status;
    }
    return cli_end(verify && damaged ? EXIT_FAILED : EXIT_DONE);
}
