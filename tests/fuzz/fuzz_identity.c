/* Any text as the file of who a node is, with its sum made right: it is refused, or holds together. */
/* fuzz: control/identity_file.c:sum_of,parse_life,parse_flag,parse_agreed,parse_figures,parse_member,parse_stop,parse_line,is_whole,identity_parse */
/* fuzz-options: -max_len=8192 */
#include <stdio.h>
#include <stdlib.h>

#include "control/identity_file.h"
#include "rules/lives.h"
#include "tests/fuzz/input.h"

#define TEXT_BYTES_MAX 16384u

/* As the file ends with it. */
static uint32_t
sum_of(const char *text, size_t size_bytes)
{
    uint32_t hash = 0x811c9dc5u;

    for (size_t i = 0; i < size_bytes; i++)
        hash = (hash ^ (uint8_t)text[i]) * 0x01000193u;
    return hash;
}

static void
check(const struct identity *identity)
{
    if (!cairn_id_is_set(&identity->cluster) || !agreed_plausible(&identity->agreed) ||
        identity->self >= identity->agreed.now.nodes || identity->agreed.now.nodes > CAIRN_NODES_MAX ||
        identity->chain_count > CHAIN_MAX || identity->stops_count > STOPS_MAX)
        abort();
    for (uint32_t i = 0; i < identity->agreed.now.nodes; i++) {
        if (!cairn_name_is_valid(identity->agreed.names[i]) || identity->known[i].life.number > LIFE_NUMBER_MAX)
            abort();
    }
    for (uint32_t i = 0; i < identity->stops_count; i++) {
        if (identity->stops[i].last_term > TERM_MAX)
            abort();
    }
}

static void
try_text(const char *text, size_t size)
{
    static struct identity identity;
    /* Of its own size, so that a byte read behind it is found. */
    char *own = malloc(size + 1);

    memcpy(own, text, size);
    own[size] = '\0';
    if (identity_parse(own, size, &identity))
        check(&identity);
    free(own);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static char text[TEXT_BYTES_MAX];
    int sum_bytes;

    if (size > TEXT_BYTES_MAX - 32)
        return 0;
    try_text((const char *)data, size);
    memcpy(text, data, size);
    if (size == 0 || text[size - 1] != '\n')
        text[size++] = '\n';
    sum_bytes = snprintf(text + size, sizeof(text) - size, "sum %08x\n", sum_of(text, size));
    try_text(text, size + (size_t)sum_bytes);
    return 0;
}
