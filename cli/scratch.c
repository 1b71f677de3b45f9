/* A directory for a while. */
#include <errno.h>
#include <ftw.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cli/cli.h"

#define PATH_BYTES 4096

static const int ends[] = {SIGINT, SIGTERM, SIGHUP};

static int
remove_entry(const char *path, const struct stat *status, int kind, struct FTW *walk)
{
    (void)status;
    (void)kind;
    (void)walk;
    return remove(path);
}

/* What the child ended with; a signal that is to end this process goes to it first. */
static int
await(pid_t child, const sigset_t *signals)
{
    int got, status = 0;

    while (waitpid(child, &status, WNOHANG) == 0) {
        if (sigwait(signals, &got) == 0 && got != SIGCHLD)
            kill(child, got);
    }
    return status;
}

int
cli_scratch(const char *parent, const char *prefix, cli_scratch_work *work, void *context)
{
    char path[PATH_BYTES];
    sigset_t signals, before;
    int status = 0, error;
    pid_t child;

    if (snprintf(path, sizeof(path), "%s/%s-XXXXXX", parent, prefix) >= (int)sizeof(path))
        return cli_fail("%s: longer than %zu bytes", parent, sizeof(path) - strlen(prefix) - 9);
    if (mkdtemp(path) == NULL)
        return cli_fail("%s: %s (--dir names a directory that can be written to)", parent, strerror(errno));
    sigemptyset(&signals);
    sigaddset(&signals, SIGCHLD);
    for (size_t i = 0; i < sizeof(ends) / sizeof(*ends); i++)
        sigaddset(&signals, ends[i]);
    signal(SIGCHLD, SIG_DFL);
    pthread_sigmask(SIG_BLOCK, &signals, &before);
    fflush(stdout);
    child = fork();
    if (child == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        pthread_sigmask(SIG_SETMASK, &before, NULL);
        exit(cli_end(work(context, path)));
    }
    error = errno;
    if (child > 0)
        status = await(child, &signals);
    nftw(path, remove_entry, 8, FTW_DEPTH | FTW_PHYS);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (child < 0)
        return cli_fail("a process cannot be started: %s", strerror(error));
    if (WIFEXITED(status))
        return WEXITSTATUS(status);
    /* The caller is told how it ended, as if the work had been done in this process. */
    raise(WTERMSIG(status));
    return EXIT_FAILED;
}
