/* --session FILE: what a session has seen and written, from one command to the next. */
#include <errno.h>
#include <limits.h>
#include <string.h>
#include <unistd.h>

#include "cli/cli.h"
#include "control/draft.h"

static int
not_written(const char *path)
{
    return cli_fail("session %s cannot be written: %s", path, strerror(errno));
}

/* Places of another cluster mean nothing here, whatever its nodes and logs are called. Where no node answers, what
 * comes of the command shows that. */
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

/* Bytes of the whole file, or as many of it as there is room for; negative: errno says why. */
static ssize_t
read_all(int fd, char *text, size_t room_bytes)
{
    size_t done_bytes = 0;
    ssize_t got;

    while ((got = read(fd, text + done_bytes, room_bytes - done_bytes)) > 0)
        done_bytes += (size_t)got;
    return got < 0 ? -1 : (ssize_t)done_bytes;
}

/* The file's one line. What was cut off, or has more behind it, may say other places than were written. */
static int
read_line(const char *path, int fd, char *line, size_t line_bytes)
{
    ssize_t got_bytes = read_all(fd, line, line_bytes);
    size_t text_bytes;

    if (got_bytes <= 0)
        return cli_fail("session %s cannot be read: %s (remove it to begin a new one)", path,
                        got_bytes == 0 ? "it is empty" : strerror(errno));
    text_bytes = (size_t)got_bytes - 1;
    if (memchr(line, '\n', (size_t)got_bytes) != line + text_bytes || memchr(line, '\0', text_bytes) != NULL)
        return cli_fail("session %s cannot be read: it is not one whole line (remove it to begin a new one)", path);
    line[text_bytes] = '\0';
    return 0;
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
    /* Before anything is done that the session would have to remember. */
    status = draft_is_possible(path) ? 0 : not_written(path);
    if (fd < 0)
        return status != 0 ? status : belongs(path, cluster, out);
    if (status == 0)
        status = read_line(path, fd, line, sizeof(line));
    close(fd);
    if (status != 0)
        return status;
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
    char text[CAIRN_TOKEN_TEXT_BYTES], line[CAIRN_NAME_BYTES + CAIRN_TOKEN_TEXT_BYTES + 2], draft[PATH_MAX];
    int line_bytes;

    cairn_token_format(token, text, sizeof(text));
    line_bytes = snprintf(line, sizeof(line), "%s %s\n", log, text);
    if (!draft_write(path, line, (size_t)line_bytes, 0666, draft) || !draft_publish(path, draft) || !draft_settle(path))
        return not_written(path);
    return 0;
}
