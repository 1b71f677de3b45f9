#include "cli/process_limits.h"

#include <errno.h>
#include <string.h>
#include <sys/resource.h>

#include "cli/cli.h"
#include "node/node.h"

/* A node's own, its links to fifteen others, and some clients. */
#define DESCRIPTORS_MIN 32u
#define DESCRIPTORS_WANTED 1024u
#define MIB (1024u * 1024u)
/* The rings of a client, and journal files that take an entry of any size. */
#define FILE_MIB_MIN 16u
#define JOURNAL_FILE_MIB 64u

static int
prepare_descriptors(void)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
        return 0;
    if (limit.rlim_cur < DESCRIPTORS_WANTED && limit.rlim_cur < limit.rlim_max) {
        limit.rlim_cur = limit.rlim_max < DESCRIPTORS_WANTED ? limit.rlim_max : DESCRIPTORS_WANTED;
        setrlimit(RLIMIT_NOFILE, &limit);
    }
    if (limit.rlim_cur >= DESCRIPTORS_MIN)
        return 0;
    return cli_fail(
        "this process may open %lu files, and a node needs %u (raise it: ulimit -n, or LimitNOFILE= of its unit)",
        (unsigned long)limit.rlim_cur, DESCRIPTORS_MIN);
}

static int
prepare_files(struct node_config *config)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_FSIZE, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY ||
        limit.rlim_cur >= (rlim_t)JOURNAL_FILE_MIB * MIB)
        return 0;
    if (limit.rlim_cur < (rlim_t)FILE_MIB_MIN * MIB)
        return cli_fail(
            "this process may write files of %lu KiB, and a node needs %u MiB for its journal and what it shares "
            "with clients (raise it: ulimit -f, or LimitFSIZE= of its unit)",
            (unsigned long)(limit.rlim_cur / 1024), FILE_MIB_MIN);
    config->journal_file_bytes = (uint32_t)limit.rlim_cur & ~(uint32_t)(MIB - 1);
    return 0;
}

int
process_limits_prepare(struct node_config *config)
{
    int status = prepare_descriptors();

    return status != 0 ? status : prepare_files(config);
}
