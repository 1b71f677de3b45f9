/* What a demo replicates, and how it tells of its steps. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/cli.h"
#include "cli/demo/demo.h"

/* A real text that a machine has, where none is given. */
static const char *const usual_inputs[] = {"/usr/share/dict/words", "/usr/share/common-licenses/GPL-3",
                                           "/usr/share/perl/5.36.0/unicore/Name.pl", "/etc/services"};

void
demo_tell(const struct demo *demo, const char *step, const char *text, ...)
{
    char line[512];
    va_list arguments;

    va_start(arguments, text);
    vsnprintf(line, sizeof(line), text, arguments);
    va_end(arguments);
    if (demo->json)
        cli_row(json_pack("{s:s,s:s,s:I}", "step", step, "text", line, "t_ns", (json_int_t)cli_now_ns()));
    else
        printf("%-10s %s\n", step, line);
    fflush(stdout);
}

bool
demo_line(const struct demo_lines *lines, uint64_t index, const uint8_t **bytes, uint32_t *size_bytes)
{
    uint64_t start = index == 0 ? 0 : lines->ends[index - 1] + 1;

    *bytes = lines->text + start;
    *size_bytes = (uint32_t)(lines->ends[index] - start);
    return index + 1 < lines->count || lines->terminated;
}

static int
too_long(const char *path, uint64_t number)
{
    return cli_fail("input %s: line %" PRIu64 " is longer than 1 MiB, the limit of an entry", path, number);
}

static int
index_lines(struct demo_lines *lines, const char *path)
{
    uint64_t capacity = 1024;
    size_t start = 0;

    lines->ends = malloc(capacity * sizeof(*lines->ends));
    while (lines->ends != NULL && start < lines->size_bytes) {
        const uint8_t *end = memchr(lines->text + start, '\n', lines->size_bytes - start);
        size_t stop = end == NULL ? lines->size_bytes : (size_t)(end - lines->text);

        if (stop - start > CAIRN_PAYLOAD_BYTES_MAX)
            return too_long(path, lines->count + 1);
        if (lines->count == capacity) {
            uint64_t *more = realloc(lines->ends, (capacity *= 2) * sizeof(*lines->ends));

            if (more == NULL)
                free(lines->ends);
            lines->ends = more;
            if (more == NULL)
                break;
        }
        lines->ends[lines->count++] = stop;
        lines->terminated = end != NULL;
        start = stop + 1;
    }
    return lines->ends != NULL ? 0 : cli_fail("no memory for the lines of %s", path);
}

int
demo_load(struct demo *demo)
{
    struct stat status;
    void *memory;
    int fd;

    for (size_t i = 0; demo->input == NULL && i < sizeof(usual_inputs) / sizeof(*usual_inputs); i++) {
        if (access(usual_inputs[i], R_OK) == 0)
            demo->input = usual_inputs[i];
    }
    if (demo->input == NULL)
        return cli_usage("demo: name a text file with --input FILE");
    fd = cli_open_regular(demo->input);
    if (fd < 0 && errno == EINVAL)
        return cli_fail("input %s: it is not a regular file (give a text file)", demo->input);
    if (fd < 0 || fstat(fd, &status) != 0)
        return cli_fail("input %s: cannot be read: %s (give a readable file)", demo->input, strerror(errno));
    if (status.st_size == 0) {
        close(fd);
        return cli_fail("input %s: it is empty (give a text file)", demo->input);
    }
    memory = mmap(NULL, (size_t)status.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
    close(fd);
    if (memory == MAP_FAILED)
        return cli_fail("input %s: cannot be mapped: %s", demo->input, strerror(errno));
    demo->lines.text = memory;
    demo->lines.size_bytes = (size_t)status.st_size;
    return index_lines(&demo->lines, demo->input);
}
