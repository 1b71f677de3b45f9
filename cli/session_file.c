/* --session FILE: what a session has seen and written, from one command to the next. */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "cli.h"

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

int
cli_session_load(const char *path, const struct cluster_config *cluster, const char *log, struct cairn_token *out)
{
    char line[CAIRN_NAME_BYTES + CAIRN_TOKEN_TEXT_BYTES + 2] = "", *token;
    FILE *file = fopen(path, "r");

    memset(out, 0, sizeof(*out));
    if (file == NULL && errno == ENOENT)
        return belongs(path, cluster, out);
    if (file == NULL || fgets(line, sizeof(line), file) == NULL) {
        if (file != NULL)
            fclose(file);
        return cli_fail("session %s cannot be read: %s (remove it to begin a new one)", path,
                        errno == 0 ? "it is empty" : strerror(errno));
    }
    fclose(file);
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
    char text[CAIRN_TOKEN_TEXT_BYTES], temporary[4096];
    FILE *file;
    bool written;

    cairn_token_format(token, text, sizeof(text));
    if (snprintf(temporary, sizeof(temporary), "%s.new", path) >= (int)sizeof(temporary))
        return cli_fail("session %s: the name is too long", path);
    file = fopen(temporary, "w");
    written = file != NULL && fprintf(file, "%s %s\n", log, text) > 0;
    if (file != NULL && fclose(file) != 0)
        written = false;
    if (!written || rename(temporary, path) != 0) {
        int status = cli_fail("session %s cannot be written: %s", path, strerror(errno));

        unlink(temporary);
        return status;
    }
    return 0;
}
