/* The cluster file on disk, and what is written into one. */
#include "control/cluster_file.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "control/cluster_values.h"
#include "control/draft.h"
#include "control/plain_text.h"

#define GIVE_ANOTHER "give one with --cluster FILE or CAIRN_CLUSTER; 'cairn dev' makes one"

static const struct cluster_place whole_file = {0};

/* The end of a path says more than its beginning. */
static void
show_path(const char *path, char *out, size_t out_bytes)
{
    char shown[4 * PATH_MAX + 1];
    size_t shown_bytes, skipped;

    plain_text_show(path, strlen(path), shown, sizeof(shown));
    shown_bytes = strlen(shown);
    skipped = shown_bytes < out_bytes ? 0 : shown_bytes + sizeof("...") - out_bytes;
    assert(skipped <= shown_bytes);
    while ((shown[skipped] & 0xc0) == 0x80)
        skipped++;
    snprintf(out, out_bytes, "%s%s", skipped == 0 ? "" : "...", shown + skipped);
}

void
cluster_fault_tell(const struct cluster_fault *fault, const char *path, char *detail, size_t detail_bytes)
{
    char place[48] = "", rest[sizeof(place) + sizeof(fault->what) + sizeof(fault->mend) + 8];
    char shown[4 * PATH_MAX + 1];
    size_t room = sizeof(shown), taken;

    if (fault->place.line != 0 && fault->place.column != 0)
        snprintf(place, sizeof(place), ", line %u, column %u", fault->place.line, fault->place.column);
    else if (fault->place.line != 0)
        snprintf(place, sizeof(place), ", line %u", fault->place.line);
    snprintf(rest, sizeof(rest), "%s: %s (%s)", place, fault->what, fault->mend);
    taken = strlen("cluster file ") + strlen(rest);
    if (taken + room > detail_bytes)
        room = taken + 32 > detail_bytes ? 32 : detail_bytes - taken;
    assert(room >= 32 && room <= sizeof(shown));
    show_path(path, shown, room);
    snprintf(detail, detail_bytes, "cluster file %s%s", shown, rest);
}

static bool
refuse_whole(struct cluster_fault *fault, const char *what, const char *mend)
{
    return cluster_fault_set(fault, whole_file, mend, "%s", what);
}

static bool
is_readable_at_once(int fd, struct cluster_fault *fault)
{
    struct stat status;

    if (fstat(fd, &status) != 0)
        return refuse_whole(fault, strerror(errno), GIVE_ANOTHER);
    if (!S_ISREG(status.st_mode))
        return refuse_whole(fault, S_ISDIR(status.st_mode) ? "it is a directory" : "it is no regular file",
                            GIVE_ANOTHER);
    if (status.st_size > CLUSTER_FILE_BYTES_MAX)
        return cluster_fault_set(fault, whole_file, "is it another file?", "it has %lld bytes, %u at most",
                                 (long long)status.st_size, CLUSTER_FILE_BYTES_MAX);
    return true;
}

/* To its end: it may have grown since its size was asked for. */
static bool
read_all(int fd, char *text, size_t *text_bytes, struct cluster_fault *fault)
{
    size_t done_bytes = 0;

    for (;;) {
        char more;
        bool full = done_bytes == CLUSTER_FILE_BYTES_MAX;
        ssize_t done = full ? read(fd, &more, 1) : read(fd, text + done_bytes, CLUSTER_FILE_BYTES_MAX - done_bytes);

        if (done < 0 && errno == EINTR)
            continue;
        if (done < 0)
            return refuse_whole(fault, strerror(errno), GIVE_ANOTHER);
        if (full && done > 0)
            return cluster_fault_set(fault, whole_file, "is it another file?", "it has more than %u bytes",
                                     CLUSTER_FILE_BYTES_MAX);
        done_bytes += (size_t)done;
        if (done == 0)
            break;
    }
    assert(done_bytes <= CLUSTER_FILE_BYTES_MAX);
    *text_bytes = done_bytes;
    return true;
}

bool
cluster_file_read(const char *path, char *text, size_t *text_bytes, struct cluster_fault *fault)
{
    int fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
    bool done;

    if (fd < 0)
        return refuse_whole(fault, strerror(errno), GIVE_ANOTHER);
    done = is_readable_at_once(fd, fault) && read_all(fd, text, text_bytes, fault);
    close(fd);
    return done;
}

static bool
not_written(struct cluster_fault *fault, int error)
{
    return cluster_fault_set(fault, whole_file, "what was there is as it was; mend that, and repeat",
                             "cannot be written, by way of a file beside it: %s", strerror(error));
}

bool
cluster_file_draft(const char *path, const char *text, size_t text_bytes, char *draft, struct cluster_fault *fault)
{
    return draft_write(path, text, text_bytes, 0644, draft) || not_written(fault, errno);
}

bool
cluster_file_publish(const char *path, const char *draft, struct cluster_fault *fault)
{
    if (!draft_publish(path, draft))
        return not_written(fault, errno);
    if (!draft_settle(path))
        return cluster_fault_set(fault, whole_file, "look at the disk, and repeat",
                                 "is written, but its directory is not on disk: %s", strerror(errno));
    return true;
}

/* In quotes whatever it holds: a path may look like a comment, a number, or the beginning of a list. */
static void
write_quoted(FILE *out, const char *text)
{
    fputc('"', out);
    for (const char *at = text; *at != '\0'; at++) {
        if (*at == '"' || *at == '\\')
            fprintf(out, "\\%c", *at);
        else if ((unsigned char)*at < 0x20 || *at == 0x7f)
            fprintf(out, "\\x%02x", (unsigned)*at);
        else
            fputc(*at, out);
    }
    fputc('"', out);
}

static void
write_clients(FILE *out, const char *name, const struct cluster_config *config)
{
    if (config->client_users_count == 0 && config->client_group[0] == '\0')
        return;
    assert(config->client_users_count <= CLUSTER_CLIENT_USERS_MAX);
    fprintf(out, "%s:\n", name);
    if (config->client_users_count > 0)
        fprintf(out, "  users:\n");
    for (uint32_t i = 0; i < config->client_users_count; i++) {
        fprintf(out, "    - ");
        write_quoted(out, config->client_users[i]);
        fputc('\n', out);
    }
    if (config->client_group[0] != '\0') {
        fprintf(out, "  group: ");
        write_quoted(out, config->client_group);
        fputc('\n', out);
    }
}

/* Their names need no quotes: nothing in their alphabet is read otherwise, and they are text whatever they say. */
static void
write_nodes(FILE *out, const char *name, const struct cluster_config *config)
{
    assert(config->nodes <= CAIRN_NODES_MAX);
    fprintf(out, "%s:\n", name);
    for (uint32_t i = 0; i < config->nodes; i++) {
        const struct cluster_lcores *lcores = &config->lcores[i];

        assert(lcores->cpus_count <= CAIRN_WORKERS_MAX);
        fprintf(out, "  - name: %s\n", config->names[i]);
        if (lcores->count != 0)
            fprintf(out, "    lcores: %u\n", lcores->count);
        for (uint32_t j = 0; j < lcores->cpus_count; j++)
            fprintf(out, "%s%u%s", j == 0 ? "    cpus: [" : ", ", lcores->cpus[j],
                    j + 1 < lcores->cpus_count ? "" : "]\n");
    }
}

static void
write_value(FILE *out, const struct cluster_rule *rule, const struct cluster_config *config)
{
    switch (rule->kind) {
    case CLUSTER_NUMBER:
        fprintf(out, "%s: %u\n", rule->name, cluster_value_number(rule, config));
        break;
    case CLUSTER_ID:
        fprintf(out, "%s: 0x%08x\n", rule->name, cluster_value_number(rule, config));
        break;
    case CLUSTER_BOOL:
        fprintf(out, "%s: %s\n", rule->name, cluster_value_bool(rule, config) ? "true" : "false");
        break;
    case CLUSTER_WORD:
        fprintf(out, "%s: %s\n", rule->name, rule->words[cluster_value_number(rule, config)]);
        break;
    case CLUSTER_DIRECTORY:
        fprintf(out, "%s: ", rule->name);
        write_quoted(out, config->directory);
        fputc('\n', out);
        break;
    case CLUSTER_CLIENTS:
        write_clients(out, rule->name, config);
        break;
    case CLUSTER_NODES:
        write_nodes(out, rule->name, config);
        break;
    case CLUSTER_NODE_NAME:
    case CLUSTER_LCORES:
    case CLUSTER_CPUS:
    case CLUSTER_USERS:
    case CLUSTER_GROUP:
        break;
    }
}

size_t
cluster_text_encode(const struct cluster_config *config, char *text, size_t text_bytes)
{
    const struct cluster_rules *rules = cluster_file_rules();
    FILE *out = fmemopen(text, text_bytes, "w");
    long used;
    bool failed;

    if (out == NULL)
        return 0;
    fprintf(out, "# cairn cluster file; docs/operations.md describes every key\n");
    for (size_t i = 0; i < rules->count; i++)
        write_value(out, &rules->rules[i], config);
    fflush(out);
    used = ftell(out);
    failed = ferror(out) != 0 || used <= 0;
    fclose(out);
    assert(failed || (size_t)used <= text_bytes);
    return failed ? 0 : (size_t)used;
}
