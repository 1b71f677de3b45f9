/* --session FILE: what a session has seen and written, from one command to the next. */
#include <errno.h>
#include <limits.h>
#include <string.h>
#include <unistd.h>

#include "cli.h"

/* The session's file is replaced by one beside it. false: the name has no room for that. */
static bool
draft_of(const char *path, char *draft, size_t draft_bytes)
{
    return snprintf(draft, draft_bytes, "%s.new", path) < (int)draft_bytes;
}

static int
not_written(const char *path)
{
    return cli_fail("session %s cannot be written: %s", path, strerror(errno));
}

/* Before anything is done that the session would have to remember. Nothing is made here: another command may be writing
 * the same file. */
static int
refuse_unwritable(const char *path)
{
    char draft[PATH_MAX], *slash;

    if (!draft_of(path, draft, sizeof(draft))) {
        errno = ENAMETOOLONG;
        return not_written(path);
    }
    if (access(draft, W_OK) == 0)
        return 0;
    if (errno != ENOENT)
        return not_written(path);
    slash = strrchr(draft, '/');
    if (slash == NULL)
        snprintf(draft, sizeof(draft), ".");
    else
        slash[slash == draft] = '\0';
    return access(draft, W_OK | X_OK) == 0 ? 0 : not_written(path);
}

/* Places of another cluster mean nothing here, whatever its nodes and logs are called. Where no node answers that shows by
 * what comes of the command. */
static int
belongs(const char *path, const struct cluster_config *cluster, struct cairn_token *token)
{
    struct cairn_id here;
    char texts[2][CAIRN_ID_TEXT_BYTES];

    if (!cli_cluster_identity(cluster, &here))
        return 0;
    if (!cairn_id_is_set(&token->cluster) || cairn_id_equal(&token->cluster, &here)) {
        token->cluster = here;
        return 0;
    }
    cairn_id_text(&token->cluster, texts[0]);
    cairn_id_text(&here, texts[1]);
    return cli_fail("session %s is of cluster %s, and this is %s (remove it to begin a new one)", path, texts[0],
                    texts[1]);
}

/* Bytes of the first line, or so many of it as there is room for; 0: there are none, negative: errno says why. */
static int
read_line(int fd, char *line, size_t line_bytes)
{
    ssize_t got = read(fd, line, line_bytes - 1);

    line[got < 0 ? 0 : got] = '\0';
    return (int)got;
}

int
cli_session_load(const char *path, const struct cluster_config *cluster, const char *log, struct cairn_token *out)
{
    char line[CAIRN_NAME_BYTES + CAIRN_TOKEN_TEXT_BYTES + 2] = "", *token;
    int fd = cli_open_regular(path), status;

    memset(out, 0, sizeof(*out));
    if (fd < 0 && errno != ENOENT)
        return cli_fail("session %s cannot be read: %s (remove it to begin a new one)", path,
                        errno == EINVAL ? "it is not a regular file" : strerror(errno));
    status = refuse_unwritable(path);
    if (status != 0 || fd < 0) {
        close(fd);
        return status != 0 ? status : belongs(path, cluster, out);
    }
    status = read_line(fd, line, sizeof(line));
    close(fd);
    if (status <= 0)
        return cli_fail("session %s cannot be read: %s (remove it to begin a new one)", path,
                        status == 0 ? "it is empty" : strerror(errno));
    line[strcspn(line, "\n")] = '\0';
    token = strchr(line, ' ');
    if (token != NULL)
        *token++ = '\0';
    if (token == NULL || cairn_token_parse(token, out) != CAIRN_OK)
        return cli_fail("session %s holds no session (remove it to begin a new one)", path);
    if (strcmp(line, log) != 0)
        return cli_fail("session %s is of log '%s', not '%s' (a file for each log)", path, line, log);
    return belongs(path, cluster, out);
}

int
cli_session_save(const char *path, const char *log, const struct cairn_token *token)
{
    char text[CAIRN_TOKEN_TEXT_BYTES], temporary[PATH_MAX];
    FILE *file;
    bool written;

    cairn_token_format(token, text, sizeof(text));
    if (!draft_of(path, temporary, sizeof(temporary)))
        return cli_fail("session %s: the name is too long", path);
    file = fopen(temporary, "w");
    written = file != NULL && fprintf(file, "%s %s\n", log, text) > 0;
    if (file != NULL && fclose(file) != 0)
        written = false;
    if (!written || rename(temporary, path) != 0) {
        int status = not_written(path);

        unlink(temporary);
        return status;
    }
    return 0;
}
