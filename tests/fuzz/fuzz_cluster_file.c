/* Any text as a cluster file: it is refused by a place in it, or taken as something that is written and read back the same. */
/* fuzz: control/cluster_text.c */
/* fuzz: control/cluster_values.c */
/* fuzz: control/cluster_file.c:write_quoted,write_clients,write_nodes,write_value,cluster_text_encode */
#include <stdlib.h>
#include <string.h>

#include "control/cluster_file.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
check_refusal(const struct cluster_fault *fault, const char *text, size_t size)
{
    uint32_t lines = 1;
    char detail[512];

    for (size_t i = 0; i < size; i++)
        lines += text[i] == '\n';
    if (fault->what[0] == '\0' || fault->mend[0] == '\0' || fault->place.line > lines)
        abort();
    cluster_fault_tell(fault, "a\nb", detail, sizeof(detail));
    if (strchr(detail, '\n') != NULL || detail[strlen(detail) - 1] != ')')
        abort();
}

static void
check_round_trip(const struct cluster_config *config)
{
    static char texts[2][CLUSTER_FILE_BYTES_MAX];
    size_t bytes = cluster_text_encode(config, texts[0], sizeof(texts[0]));
    struct cluster_config again;
    struct cluster_fault fault;

    if (bytes == 0 || !cluster_text_decode(texts[0], bytes, &again, &fault))
        abort();
    if (cluster_text_encode(&again, texts[1], sizeof(texts[1])) != bytes || memcmp(texts[0], texts[1], bytes) != 0)
        abort();
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct cluster_config config, before;
    struct cluster_fault fault = {.what = ""};
    /* Of its own size, so that a byte read behind it is found. */
    char *text = malloc(size + (size == 0));

    memcpy(text, data, size);
    memset(&config, 0xa5, sizeof(config));
    memset(&before, 0xa5, sizeof(before));
    if (cluster_text_decode(text, size, &config, &fault)) {
        check_round_trip(&config);
    } else {
        check_refusal(&fault, text, size);
        if (memcmp(&config, &before, sizeof(config)) != 0)
            abort();
    }
    free(text);
    return 0;
}
