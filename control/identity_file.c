#include "control/identity_file.h"

#include <assert.h>
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "control/draft.h"

/* The file always has this size, so that it can be replaced where there is no space left. */
#define FILE_BYTES 32768u
#define PATH_BYTES 512
#define FORMAT "cairn identity "
#define FIRST_LINE FORMAT "4\n"
#define TRIES 200

static enum cairn_error
refuse(char *detail, size_t detail_bytes, const char *path, const char *what)
{
    snprintf(detail, detail_bytes, "%s: %s: %s", path, what, strerror(errno));
    return errno == ENOSPC || errno == EDQUOT || errno == EFBIG ? CAIRN_NO_SPACE : CAIRN_IO;
}

/* A process that was killed while its disk was writing keeps the lock until that has ended. */
static bool
lock(int fd)
{
    struct timespec pause = {.tv_nsec = 10000000};

    for (int tries = 0; tries < TRIES; tries++) {
        if (flock(fd, LOCK_EX | LOCK_NB) == 0)
            return true;
        nanosleep(&pause, NULL);
    }
    return false;
}

/* Opens the node's own directory, and makes it where there is none. -1: errno says why. */
static int
open_directory(const char *directory, const char *node, bool make)
{
    char path[PATH_BYTES];

    snprintf(path, sizeof(path), "%s/%s", directory, node);
    if (make && mkdir(path, 0700) != 0 && errno != EEXIST)
        return -1;
    return open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
}

enum cairn_error
identity_lock(const char *directory, const char *node, struct identity_lock *out, char *detail, size_t detail_bytes)
{
    enum cairn_error error;
    char path[PATH_BYTES];

    snprintf(path, sizeof(path), "%s/%s.lock", directory, node);
    out->directory_fd = -1;
    out->name_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (out->name_fd < 0)
        return refuse(detail, detail_bytes, path, "cannot be opened");
    if (lock(out->name_fd)) {
        snprintf(path, sizeof(path), "%s/%s", directory, node);
        out->directory_fd = open_directory(directory, node, true);
        if (out->directory_fd >= 0 && lock(out->directory_fd))
            return CAIRN_OK;
    }
    error = refuse(detail, detail_bytes, path, "cannot be locked");
    if (errno == EWOULDBLOCK)
        snprintf(detail, detail_bytes, "node %s is in use: it is running already in %s (stop that one first)", node,
                 directory);
    identity_unlock(out);
    return error;
}

void
identity_unlock(struct identity_lock *held)
{
    if (held->directory_fd >= 0)
        close(held->directory_fd);
    if (held->name_fd >= 0)
        close(held->name_fd);
    held->directory_fd = held->name_fd = -1;
}

/* Sums the text that stands before it. */
static uint32_t
sum_of(const char *text, size_t size_bytes)
{
    uint32_t hash = 0x811c9dc5u; /* FNV-1a: against rot, not against people */

    for (size_t i = 0; i < size_bytes; i++)
        hash = (hash ^ (uint8_t)text[i]) * 0x01000193u;
    return hash;
}

/* The line of a life, with a place for each worker. */
static void
print_life(FILE *out, const char *what, int seat, const struct life *life, const uint64_t *places, uint32_t workers)
{
    char text[CAIRN_ID_TEXT_BYTES];

    assert(life->number <= LIFE_NUMBER_MAX && workers <= CAIRN_WORKERS_MAX);
    cairn_id_text(&life->id, text);
    fprintf(out, "%s %d %u %s", what, seat, life->number, text);
    for (uint32_t worker = 0; worker < workers; worker++)
        fprintf(out, " %" PRIx64, places[worker]);
    fputc('\n', out);
}

static void
print_figures(FILE *out, const char *what, const struct agreed_figures *figures)
{
    fprintf(out, "%s %u %" PRIu64 " %" PRIu64 " %u %" PRIu64 "\n", what, figures->nodes, figures->heartbeat_ns,
            figures->timeout_ns, figures->memory_mib, figures->clock_bound_ns);
}

static void
print_identity(FILE *out, const struct identity *identity)
{
    const struct agreed *agreed = &identity->agreed;
    char text[CAIRN_ID_TEXT_BYTES];

    assert(identity->self < agreed->now.nodes && agreed->now.nodes <= CAIRN_NODES_MAX);
    assert(identity->chain_count <= CHAIN_MAX && identity->stops_count <= STOPS_MAX);
    cairn_id_text(&identity->cluster, text);
    fprintf(out, FIRST_LINE "cluster %s\nself %u\nforgotten %d\nborn %d\nbegun %d\n", text, identity->self,
            identity->forgotten, identity->born, identity->begun);
    fprintf(out, "agreed %u %d %u %" PRIu64 " %u\n", agreed->number, (int)agreed->durability, agreed->workers,
            agreed->lsn, agreed->removed);
    print_figures(out, "now", &agreed->now);
    print_figures(out, "founded", &agreed->founded);
    fprintf(out, "doubted %d\npromised %" PRIu64 "\n", identity->doubts_agreed, identity->promised_ns);
    for (uint32_t i = 0; i < agreed->now.nodes; i++) {
        cairn_id_text(&identity->members[i], text);
        fprintf(out, "member %u %s %s\n", i, text, agreed->names[i]);
    }
    fprintf(out, "alone %u\nobeyed %u\ndiscard %d\n", identity->alone_for, identity->obeyed_number, identity->discard);
    print_life(out, "life", identity->self, &identity->life, NULL, 0);
    for (uint32_t worker = 0; worker < agreed->workers; worker++)
        fprintf(out, "settled %u %u\n", worker, identity->settled_numbers[worker]);
    fprintf(out, "forgetful %x\n", identity->forgetful_workers);
    for (uint32_t i = 0; i < identity->chain_count; i++)
        print_life(out, "chain", identity->self, &identity->chain[i].life, identity->chain[i].began_places,
                   agreed->workers);
    for (uint32_t i = 0; i < identity->stops_count; i++)
        fprintf(out, "stopped %u %u %" PRIu64 "\n", identity->stops[i].log, identity->stops[i].kind,
                identity->stops[i].last_term);
    for (uint32_t i = 0; i < agreed->now.nodes; i++)
        print_life(out, identity->known[i].decided ? "decided" : "known", (int)i, &identity->known[i].life,
                   identity->known[i].places, agreed->workers);
}

/* The whole file: its lines, their sum, and empty lines up to its size. */
static bool
text_of(const struct identity *identity, char text[FILE_BYTES])
{
    FILE *out = fmemopen(text, FILE_BYTES, "w");
    long used;

    if (out == NULL)
        return false;
    print_identity(out, identity);
    fflush(out);
    used = ftell(out);
    fprintf(out, "sum %08x\n", sum_of(text, (size_t)used));
    fflush(out);
    used = ftell(out);
    if (fclose(out) != 0 || used <= 0 || used >= (long)FILE_BYTES)
        return false;
    memset(text + used, '\n', FILE_BYTES - (size_t)used);
    return true;
}

/* The two names change places, so that the old file is there to be written over next time. */
static bool
put_in_place(int home)
{
    if (renameat2(home, "identity.new", home, "identity", RENAME_EXCHANGE) != 0 &&
        renameat(home, "identity.new", home, "identity") != 0)
        return false;
    return fsync(home) == 0;
}

enum cairn_error
identity_save(const char *directory, const char *node, const struct identity *identity, char *detail,
              size_t detail_bytes)
{
    char path[PATH_BYTES], text[FILE_BYTES];
    int home = open_directory(directory, node, true), file = -1;
    bool done;

    snprintf(path, sizeof(path), "%s/%s/identity", directory, node);
    if (home >= 0)
        file = openat(home, "identity.new", O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0600);
    done = file >= 0 && text_of(identity, text) && draft_fill(file, text, FILE_BYTES) && put_in_place(home);
    if (!done)
        refuse(detail, detail_bytes, path, "cannot be written");
    if (file >= 0)
        close(file);
    if (home >= 0)
        close(home);
    return done ? CAIRN_OK : CAIRN_IO;
}

/* The line of a life, with so many places behind it. */
static bool
parse_life(const char *line, const char *what, int *seat, struct life *life, uint64_t *places, uint32_t workers)
{
    char format[64], text[CAIRN_ID_TEXT_BYTES], *end;
    int used = 0;

    snprintf(format, sizeof(format), "%s %%d %%u %%32s%%n", what);
    if (sscanf(line, format, seat, &life->number, text, &used) != 3 || !cairn_id_parse(text, &life->id) ||
        life->number > LIFE_NUMBER_MAX || *seat < 0 || *seat >= CAIRN_NODES_MAX)
        return false;
    line += used;
    for (uint32_t worker = 0; worker < workers; worker++) {
        if (line[0] != ' ' || !isxdigit((unsigned char)line[1]))
            return false;
        places[worker] = strtoull(line + 1, &end, 16);
        line = end;
    }
    return *line == '\0';
}

static bool
parse_settled(const char *line, struct identity *out)
{
    unsigned worker, number;

    if (sscanf(line, "settled %u %u", &worker, &number) != 2 || worker >= CAIRN_WORKERS_MAX || number > LIFE_NUMBER_MAX)
        return false;
    out->settled_numbers[worker] = number;
    return true;
}

static bool
parse_forgetful(const char *line, struct identity *out)
{
    return sscanf(line, "forgetful %x", &out->forgetful_workers) == 1 && (out->forgetful_workers & 1) == 0 &&
           out->forgetful_workers <= WORKERS_ALL;
}

static bool
parse_flag(const char *line, const char *what, bool *out)
{
    size_t length = strlen(what);

    if (strncmp(line, what, length) != 0 || line[length] != ' ' || (line[length + 1] & ~1) != '0' ||
        line[length + 2] != '\0')
        return false;
    *out = line[length + 1] == '1';
    return true;
}

static bool
parse_agreed(const char *line, struct agreed *out)
{
    int durability;

    if (sscanf(line, "agreed %u %d %u %" SCNu64 " %u", &out->number, &durability, &out->workers, &out->lsn,
               &out->removed) != 5)
        return false;
    out->durability = (enum cairn_durability)durability;
    return true;
}

static bool
parse_figures(const char *line, const char *what, struct agreed_figures *out)
{
    char format[80];

    snprintf(format, sizeof(format), "%s %%u %%" SCNu64 " %%" SCNu64 " %%u %%" SCNu64, what);
    return sscanf(line, format, &out->nodes, &out->heartbeat_ns, &out->timeout_ns, &out->memory_mib,
                  &out->clock_bound_ns) == 5;
}

static bool
parse_member(const char *line, struct identity *out)
{
    char text[CAIRN_ID_TEXT_BYTES], name[CAIRN_NAME_BYTES] = "";
    unsigned seat;

    if (sscanf(line, "member %u %32s %63s", &seat, text, name) != 3 || seat >= CAIRN_NODES_MAX ||
        !cairn_id_parse(text, &out->members[seat]))
        return false;
    memcpy(out->agreed.names[seat], name, sizeof(name));
    return true;
}

static bool
parse_stop(const char *line, struct identity *out)
{
    struct stop stop;

    if (sscanf(line, "stopped %u %u %" SCNu64, &stop.log, &stop.kind, &stop.last_term) != 3 ||
        out->stops_count == STOPS_MAX || stop.kind == 0 || stop.kind > STOP_KIND_MAX || stop.last_term > STOP_TERM_MAX)
        return false;
    out->stops[out->stops_count++] = stop;
    return true;
}

static bool
parse_line(const char *line, struct identity *out)
{
    char text[CAIRN_ID_TEXT_BYTES];
    struct life life;
    uint64_t places[CAIRN_WORKERS_MAX] = {0};
    const uint32_t workers = out->agreed.workers;
    unsigned self, alone;
    int seat;

    if (sscanf(line, "cluster %32s", text) == 1)
        return cairn_id_parse(text, &out->cluster);
    if (parse_flag(line, "forgotten", &out->forgotten) || parse_flag(line, "born", &out->born) ||
        parse_flag(line, "begun", &out->begun) || parse_flag(line, "discard", &out->discard) ||
        parse_flag(line, "doubted", &out->doubts_agreed))
        return true;
    if (sscanf(line, "self %u", &self) == 1) {
        out->self = (uint8_t)self;
        return self < CAIRN_NODES_MAX;
    }
    if (strncmp(line, "settled ", 8) == 0)
        return parse_settled(line, out);
    if (strncmp(line, "forgetful ", 10) == 0)
        return parse_forgetful(line, out);
    if (sscanf(line, "obeyed %u", &out->obeyed_number) == 1)
        return out->obeyed_number <= LIFE_NUMBER_MAX;
    if (sscanf(line, "alone %u", &alone) == 1) {
        out->alone_for = (cairn_node_set)alone;
        return alone >> CAIRN_NODES_MAX == 0;
    }
    if (strncmp(line, "agreed ", 7) == 0)
        return parse_agreed(line, &out->agreed) && out->agreed.workers <= CAIRN_WORKERS_MAX;
    if (parse_figures(line, "now", &out->agreed.now) || parse_figures(line, "founded", &out->agreed.founded) ||
        sscanf(line, "promised %" SCNu64, &out->promised_ns) == 1)
        return true;
    if (strncmp(line, "stopped ", 8) == 0)
        return parse_stop(line, out);
    if (strncmp(line, "member ", 7) == 0)
        return parse_member(line, out);
    if (parse_life(line, "life", &seat, &life, places, 0))
        return (out->life = life, true);
    if (parse_life(line, "chain", &seat, &life, places, workers) && out->chain_count < CHAIN_MAX) {
        struct link *link = &out->chain[out->chain_count++];

        link->life = life;
        for (uint32_t worker = 0; worker < CAIRN_WORKERS_MAX; worker++)
            link->began_places[worker] = worker < workers ? places[worker] : PLACE_UNKNOWN;
        return true;
    }
    if (parse_life(line, "known", &seat, &life, places, workers) ||
        parse_life(line, "decided", &seat, &life, places, workers)) {
        out->known[seat] = (struct known_life){.life = life, .decided = line[0] == 'd'};
        memcpy(out->known[seat].places, places, sizeof(places));
        return true;
    }
    return false;
}

/* Does what the lines say hold together? */
static bool
is_whole(const struct identity *identity)
{
    const struct life *last;
    uint64_t began_place = 0;

    if (!cairn_id_is_set(&identity->cluster) || !agreed_plausible(&identity->agreed) ||
        identity->self >= identity->agreed.now.nodes || identity->promised_ns > TIMEOUT_MAX_NS ||
        !identity_members_fit(&identity->agreed, identity->members))
        return false;
    for (uint32_t i = 1; i < identity->chain_count; i++) {
        if (identity->chain[i].life.number != identity->chain[i - 1].life.number + 1)
            return false;
        /* Another worker's journal may have begun anew. */
        if (identity->chain[i].began_places[0] == PLACE_UNKNOWN)
            continue;
        if (identity->chain[i].began_places[0] < began_place)
            return false;
        began_place = identity->chain[i].began_places[0];
    }
    if (identity->life.number == 0 || identity->chain_count == 0)
        return identity->forgotten && identity->life.number == 0 && identity->chain_count == 0;
    last = &identity->chain[identity->chain_count - 1].life;
    return last->number == identity->life.number && cairn_id_equal(&last->id, &identity->life.id);
}

bool
identity_parse(char *text, size_t size_bytes, struct identity *out)
{
    static const char first[] = FIRST_LINE;
    char *sum, *line, *rest = NULL;
    unsigned stated;

    memset(out, 0, sizeof(*out));
    while (size_bytes > 1 && text[size_bytes - 1] == '\n' && text[size_bytes - 2] == '\n')
        text[--size_bytes] = '\0';
    sum = size_bytes < 14 ? NULL : text + size_bytes - 13;
    if (strncmp(text, first, sizeof(first) - 1) != 0 || sum == NULL || sum[-1] != '\n' ||
        sscanf(sum, "sum %8x\n", &stated) != 1 || stated != sum_of(text, (size_t)(sum - text)))
        return false;
    *sum = '\0';
    for (line = strtok_r(text + sizeof(first) - 1, "\n", &rest); line != NULL; line = strtok_r(NULL, "\n", &rest)) {
        if (!parse_line(line, out))
            return false;
    }
    return is_whole(out);
}

enum cairn_error
identity_load(const char *directory, const char *node, struct identity *out, bool *found, char *detail,
              size_t detail_bytes)
{
    char path[PATH_BYTES], text[FILE_BYTES + 2]; /* a byte more than it has shows that there is more */
    int home = open_directory(directory, node, false);
    int file = home < 0 ? -1 : openat(home, "identity", O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    int why = errno;
    ssize_t got;

    if (home >= 0)
        close(home);
    errno = why;
    snprintf(path, sizeof(path), "%s/%s/identity", directory, node);
    *found = file >= 0;
    if (file < 0)
        return errno == ENOENT ? CAIRN_OK : refuse(detail, detail_bytes, path, "cannot be read");
    got = read(file, text, sizeof(text) - 1);
    close(file);
    if (got < 0)
        return refuse(detail, detail_bytes, path, "cannot be read");
    text[got] = '\0';
    if (got <= (ssize_t)FILE_BYTES && strlen(text) == (size_t)got && identity_parse(text, (size_t)got, out))
        return CAIRN_OK;
    if (strncmp(text, FORMAT, sizeof(FORMAT) - 1) == 0 && strncmp(text, FIRST_LINE, sizeof(FIRST_LINE) - 1) != 0) {
        snprintf(detail, detail_bytes, "%s: written by another release of cairn (start that one)", path);
        return CAIRN_CORRUPT;
    }
    snprintf(detail, detail_bytes,
             "%s: damaged: it is not as it was written (take it away, and %s recovers from the others as a node that "
             "has forgotten)",
             path, node);
    return CAIRN_CORRUPT;
}

void
identity_remove(const char *directory, const char *node)
{
    int home = open_directory(directory, node, false);

    if (home < 0)
        return;
    unlinkat(home, "identity", 0);
    unlinkat(home, "identity.new", 0);
    close(home);
}

bool
identity_draw(struct cairn_id *out)
{
    do {
        if (getrandom(out->bytes, sizeof(out->bytes), 0) != sizeof(out->bytes))
            return false;
    } while (!cairn_id_is_set(out));
    return true;
}

bool
identity_draw_cluster(const struct agreed *agreed, struct identity *out)
{
    struct cairn_id cluster, members[CAIRN_NODES_MAX], lives[CAIRN_NODES_MAX];

    if (!identity_draw(&cluster))
        return false;
    for (uint32_t i = 0; i < agreed->now.nodes; i++) {
        if (!identity_draw(&members[i]) || !identity_draw(&lives[i]))
            return false;
    }
    for (uint32_t i = 0; i < agreed->now.nodes; i++)
        identity_found(&out[i], &cluster, members, lives, agreed, (uint8_t)i);
    return true;
}
