/* Any text as a session's token, and as a file that holds one: it is refused, or says places that there can be, which are
 * written and read back the same. */
/* fuzz: client/token.c:take_number,take_branch,cairn_token_parse */
/* fuzz: cli/session_file.c:belongs,read_all,read_line,cli_session_load */
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "cli/cli.h"
#include "tests/fuzz/input.h"

/* Instead of what writes to a terminal, and asks nodes. */
int
cli_fail(const char *what, ...)
{
    char said[CAIRN_TOKEN_TEXT_BYTES + 4096];
    va_list arguments;

    va_start(arguments, what);
    vsnprintf(said, sizeof(said), what, arguments);
    va_end(arguments);
    return 1;
}

int
cli_open_regular(const char *path)
{
    return open(path, O_RDONLY);
}

bool
cli_cluster_identity(const struct cluster_config *cluster, struct cairn_id *out)
{
    (void)cluster;
    memset(out, 7, sizeof(*out));
    return true;
}

static void
check_plausible(const struct cairn_token *token)
{
    if (token->lsn > LSN_MAX || token->branches_count > CAIRN_TOKEN_BRANCHES)
        abort();
    for (uint32_t i = 0; i < token->branches_count; i++) {
        if (!origin_plausible(token->branches[i].origin, token->branches[i].incarnation, token->branches[i].seq))
            abort();
    }
}

static void
check_token(const struct cairn_token *token)
{
    char texts[2][CAIRN_TOKEN_TEXT_BYTES];
    struct cairn_token again;

    check_plausible(token);
    cairn_token_format(token, texts[0], sizeof(texts[0]));
    if (cairn_token_parse(texts[0], &again) != CAIRN_OK)
        abort();
    cairn_token_format(&again, texts[1], sizeof(texts[1]));
    if (strcmp(texts[0], texts[1]) != 0)
        abort();
}

static void
check_file(const uint8_t *data, size_t size)
{
    static char path[64];
    struct cluster_config cluster = {.id = 1};
    struct cairn_token token;
    FILE *file;

    /* Where there is no directory no session can be kept. */
    if (size == 0 && cli_session_load("/dev/shm/none/of/it", &cluster, "a", &token) == 0)
        abort();
    if (path[0] == '\0')
        snprintf(path, sizeof(path), "/dev/shm/cairn-fuzz-token-%d", (int)getpid());
    file = fopen(path, "w");
    if (file == NULL || fwrite(data, 1, size, file) != size || fclose(file) != 0)
        abort();
    if (cli_session_load(path, &cluster, "a", &token) == 0)
        check_token(&token);
    unlink(path);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct cairn_token token;
    char *text = malloc(size + 1);

    memcpy(text, data, size);
    text[size] = '\0';
    if (cairn_token_parse(text, &token) == CAIRN_OK)
        check_token(&token);
    free(text);
    if (size % 8 == 0 || (size > 2 && memcmp(data, "a ", 2) == 0))
        check_file(data, size);
    return 0;
}
