/* The cluster file: read whole, or refused by its place; written, read back, and only then put in place. */
#include "tests/unit/check.h"

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/stat.h>
#include <unistd.h>

#include "control/cluster_file.h"
#include "control/plain_text.h"

#define GOOD                                                                                                           \
    "cluster: 7\n"                                                                                                     \
    "directory: /run/cairn\n"                                                                                          \
    "nodes:\n"                                                                                                         \
    "  - name: n1\n"                                                                                                   \
    "  - name: n2\n"

static struct cluster_config
decoded(const char *text)
{
    struct cluster_config config;
    struct cluster_fault fault = {.what = ""};

    if (!cluster_text_decode(text, strlen(text), &config, &fault))
        fail_msg("refused: line %u, column %u: %s (%s) in:\n%s", fault.place.line, fault.place.column, fault.what,
                 fault.mend, text);
    return config;
}

/* By the place and the word, and nothing of it is taken. */
static void
refused_bytes(const char *text, size_t text_bytes, uint32_t line, uint32_t column, const char *word)
{
    struct cluster_config config, before;
    struct cluster_fault fault = {.what = ""};

    memset(&config, 0xa5, sizeof(config));
    memcpy(&before, &config, sizeof(config));
    if (cluster_text_decode(text, text_bytes, &config, &fault))
        fail_msg("not refused:\n%s", text);
    if (fault.place.line != line || fault.place.column != column || strstr(fault.what, word) == NULL ||
        fault.mend[0] == '\0')
        fail_msg("line %u, column %u: %s (%s), not line %u, column %u and '%s', of:\n%s", fault.place.line,
                 fault.place.column, fault.what, fault.mend, line, column, word, text);
    assert_memory_equal(&config, &before, sizeof(config));
}

static void
refused(const char *text, uint32_t line, uint32_t column, const char *word)
{
    refused_bytes(text, strlen(text), line, column, word);
}

static void
what_is_left_out_is_as_documented(void **state)
{
    struct cluster_config config = decoded(GOOD);

    (void)state;
    assert_int_equal(config.id, 7);
    assert_string_equal(config.directory, "/run/cairn");
    assert_int_equal(config.nodes, 2);
    assert_string_equal(config.names[1], "n2");
    assert_int_equal(config.memory_mib, CLUSTER_MEMORY_MIB);
    assert_int_equal(config.transport, TRANSPORT_MEMIF);
    assert_int_equal(config.durability, CAIRN_MEMORY);
    assert_false(config.auto_create);
    assert_int_equal(config.client_users_count, 0);
    assert_string_equal(config.client_group, "");
}

static void
each_key_and_name_has_its_place(void **state)
{
    struct cluster_config config = decoded(GOOD "profile: wan\n");

    (void)state;
    assert_int_equal(config.places[CLUSTER_KEY_CLUSTER].line, 1);
    assert_int_equal(config.places[CLUSTER_KEY_NODES].line, 3);
    assert_int_equal(config.name_places[1].line, 5);
    assert_int_equal(config.name_places[1].column, 11);
    assert_int_equal(config.places[CLUSTER_KEY_PROFILE].line, 6);
    assert_int_equal(config.places[CLUSTER_KEY_TIMEOUT_US].line, 0);
}

static void
numbers_have_units(void **state)
{
    (void)state;
    assert_int_equal(decoded(GOOD "memory_mib: 64\n").memory_mib, 64);
    assert_int_equal(decoded(GOOD "memory_mib: 64MiB\n").memory_mib, 64);
    assert_int_equal(decoded(GOOD "memory_mib: 64GiB\n").memory_mib, 65536);
    assert_int_equal(decoded(GOOD "memory_mib: 16TiB\n").memory_mib, MEMORY_MIB_MAX);
    assert_int_equal(decoded(GOOD "memory_mib: 0\n").memory_mib, CLUSTER_MEMORY_MIB);
    assert_int_equal(decoded(GOOD "heartbeat_us: 5\n").heartbeat_us, 5);
    assert_int_equal(decoded(GOOD "heartbeat_us: 5us\n").heartbeat_us, 5);
    assert_int_equal(decoded(GOOD "heartbeat_us: 5ms\n").heartbeat_us, 5000);
    assert_int_equal(decoded(GOOD "timeout_us: 1s\n").timeout_us, 1000000);
    assert_int_equal(decoded(GOOD "timeout_us: 4294967295\n").timeout_us, UINT32_MAX);
    assert_int_equal(decoded(GOOD "flap_hold_ms: 5000us\n").flap_hold_ms, 5);
    assert_int_equal(decoded(GOOD "clock_bound_ms: 100000us\n").clock_bound_ms, 100);
    assert_int_equal(decoded(GOOD "clock_bound_ms: 2s # of two seconds\n").clock_bound_ms, 2000);
}

static void
no_number_is_taken_by_half(void **state)
{
    static const char *const wrong[] = {"64.9",   "0100",  "00",     "1e3",    "0x40", "0o100", "1_000",
                                        "+64",    "-64",   "64 MiB", "64mib",  "64GB", "64M",   ".5",
                                        "64MiBx", "~",     "null",   "x64",    "64,",  "'64'",  "0b1",
                                        "1:30:0", "64KiB", "64 64",  "\"64\"", "inf",  ".nan",  "true"};

    (void)state;
    for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++) {
        char text[256];

        snprintf(text, sizeof(text), GOOD "memory_mib: %s\n", wrong[i]);
        refused(text, 6, 13, "memory_mib");
    }
    refused(GOOD "memory_mib: 63\n", 6, 13, "at least 64");
    refused(GOOD "memory_mib: 17TiB\n", 6, 13, "16777216 at most");
    refused(GOOD "memory_mib: 18446744073709551616\n", 6, 13, "memory_mib");
    refused(GOOD "memory_mib: 18446744073709551615TiB\n", 6, 13, "at most");
    refused(GOOD "timeout_us: 4294967296\n", 6, 13, "4294967295 at most");
    refused(GOOD "flap_hold_ms: 1500us\n", 6, 15, "no whole number of its unit");
    refused(GOOD "flap_hold_ms: 99999999999999999s\n", 6, 15, "at most");
    refused(GOOD "clock_bound_ms: 99ms\n", 6, 17, "at least 100");
    refused(GOOD "heartbeat_us:\n", 6, 14, "has no value");
    refused(GOOD "heartbeat_us: [5]\n", 6, 15, "single value");
    refused(GOOD "heartbeat_us: {5: 5}\n", 6, 15, "single value");
    refused(GOOD "heartbeat_us: 5\n  0\n", 6, 15, "several lines");
}

static void
the_number_of_a_cluster_may_be_hexadecimal(void **state)
{
    static const char *const wrong[] = {"1a2b3c4d",   "0x", "0x123456789", "0X1",  "0xg",
                                        "4294967296", "07", "-1",          "0x1h", "\"7\""};

    (void)state;
    assert_int_equal(decoded("cluster: 0x1a2B3c4D\ndirectory: /a\nnodes: [{name: a}]\n").id, 0x1a2b3c4d);
    assert_int_equal(decoded("cluster: 4294967295\ndirectory: /a\nnodes: [{name: a}]\n").id, UINT32_MAX);
    assert_int_equal(decoded("cluster: 0x7\ndirectory: /a\nnodes: [{name: a}]\n").id, 7);
    for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++) {
        char text[256];

        snprintf(text, sizeof(text), "cluster: %s\ndirectory: /a\nnodes: [{name: a}]\n", wrong[i]);
        refused(text, 1, 10, "cluster is");
    }
}

static void
booleans_are_true_or_false(void **state)
{
    static const char *const wrong[] = {"yes",  "no", "n", "y", "on",   "off",    "True",
                                        "TRUE", "~",  "1", "0", "null", "'true'", "tru"};

    (void)state;
    assert_true(decoded(GOOD "auto_create: true\n").auto_create);
    assert_false(decoded(GOOD "auto_create: false\n").auto_create);
    for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++) {
        char text[256];

        snprintf(text, sizeof(text), GOOD "memory_at_start: %s\n", wrong[i]);
        refused(text, 6, 18, "memory_at_start");
    }
}

static void
words_are_those_that_there_are(void **state)
{
    (void)state;
    assert_int_equal(decoded(GOOD "transport: netns\n").transport, TRANSPORT_NETNS);
    assert_int_equal(decoded(GOOD "profile: \"dedicated\"\n").profile, PROFILE_DEDICATED);
    assert_int_equal(decoded(GOOD "durability: 'disk'\n").durability, CAIRN_DISK);
    refused(GOOD "transport: pigeon\n", 6, 12, "transport is 'pigeon'");
    refused(GOOD "transport: Memif\n", 6, 12, "transport");
    refused(GOOD "transport: 0\n", 6, 12, "transport");
    refused(GOOD "profile: share\n", 6, 10, "profile");
    refused(GOOD "durability: |\n  disk\n", 6, 13, "several lines");
}

static void
a_directory_is_absolute_short_and_clean(void **state)
{
    char text[512], longest[256];

    (void)state;
    memset(longest, 'a', 255);
    longest[0] = '/';
    longest[255] = '\0';
    snprintf(text, sizeof(text), "cluster: 7\nnodes: [{name: a}]\ndirectory: %s\n", longest);
    assert_string_equal(decoded(text).directory, longest);
    snprintf(text, sizeof(text), "cluster: 7\nnodes: [{name: a}]\ndirectory: %sb\n", longest);
    refused(text, 3, 12, "256 bytes long, 255 at most");
    refused("cluster: 7\nnodes: [{name: a}]\ndirectory: a/b\n", 3, 12, "absolute");
    refused("cluster: 7\nnodes: [{name: a}]\ndirectory: ~\n", 3, 12, "absolute");
    refused("cluster: 7\nnodes: [{name: a}]\ndirectory: \"/a\\nb\"\n", 3, 12, "control character");
    refused("cluster: 7\nnodes: [{name: a}]\ndirectory: \"/a\\0b\"\n", 3, 12, "control character");
    refused("cluster: 7\nnodes: [{name: a}]\ndirectory: \"/a\\u2028b\"\n", 3, 12, "control character");
    refused("cluster: 7\nnodes: [{name: a}]\ndirectory: \"\"\n", 3, 12, "no value");
    assert_string_equal(decoded("cluster: 7\nnodes: [{name: a}]\ndirectory: \"/a #b: \\\"c\\\"\"\n").directory,
                        "/a #b: \"c\"");
}

static void
nodes_are_a_list_of_names(void **state)
{
    char text[1024] = "cluster: 7\ndirectory: /a\nnodes:\n";

    (void)state;
    for (int i = 1; i <= CAIRN_NODES_MAX; i++)
        snprintf(text + strlen(text), sizeof(text) - strlen(text), "  - name: n%d\n", i);
    assert_int_equal(decoded(text).nodes, CAIRN_NODES_MAX);
    snprintf(text + strlen(text), sizeof(text) - strlen(text), "  - name: one_more\n");
    refused(text, 20, 5, "nodes has more than 16");
    refused("cluster: 7\ndirectory: /a\nnodes: []\n", 3, 8, "nodes is an empty list");
    refused("cluster: 7\ndirectory: /a\nnodes: n1\n", 3, 8, "nodes is a list");
    refused("cluster: 7\ndirectory: /a\nnodes: {name: n1}\n", 3, 8, "nodes is a list");
    refused("cluster: 7\ndirectory: /a\nnodes: [n1]\n", 3, 9, "key: value");
    refused("cluster: 7\ndirectory: /a\nnodes: [[n1]]\n", 3, 9, "key: value");
    refused("cluster: 7\ndirectory: /a\nnodes: [{}]\n", 3, 9, "name is missing");
    refused("cluster: 7\ndirectory: /a\nnodes: [{name: [a]}]\n", 3, 16, "name takes a single value");
    refused(GOOD "  - name: n3\n    address: 1\n", 7, 5, "address");
    refused(GOOD "  - name: n3\n    name: n4\n", 7, 5, "name is there twice");
    refused(GOOD "  - name: n2\n", 6, 11, "node 'n2' is listed twice");
    refused(GOOD "  - name: ../../x\n", 6, 11, "../../x");
    refused(GOOD "  - name: \"a\\nb\"\n", 6, 11, "a\\nb");
    refused(GOOD "  - name: a b\n", 6, 11, "a b");
    refused(GOOD "  - name:\n", 6, 10, "name has no value");
}

static void
lcores_and_cpus_are_each_nodes_own(void **state)
{
    struct cluster_config config = decoded(GOOD "    lcores: 3\n"
                                                "  - name: n3\n    cpus: [1, 0]\n"
                                                "  - cpus:\n      - 1023\n    lcores: 1\n    name: n4\n");
    char text[256] = GOOD "    cpus: [0";

    (void)state;
    assert_int_equal(cluster_lcores_count(&config, 0), 0);
    assert_int_equal(cluster_lcores_count(&config, 1), 3);
    assert_int_equal(cluster_lcores_count(&config, 2), 2);
    assert_int_equal(config.lcores[2].cpus[0], 1);
    assert_int_equal(config.lcores[2].cpus[1], 0);
    assert_string_equal(config.names[3], "n4");
    assert_int_equal(config.lcores[3].cpus[0], 1023);
    refused(GOOD "    lcores: 0\n", 6, 13, "lcores is 0, at least 1 is needed");
    refused(GOOD "    lcores: 17\n", 6, 13, "16 at most");
    refused(GOOD "    lcores: 2x\n", 6, 13, "no plain whole number");
    refused(GOOD "workers: 2x\n", 6, 10, "no plain whole number");
    refused(GOOD "    lcores: '1'\n", 6, 13, "quotes");
    refused(GOOD "    lcores: [1]\n", 6, 13, "lcores takes a single value");
    refused(GOOD "    cpus: 1\n", 6, 11, "cpus is a list");
    refused(GOOD "    cpus: []\n", 6, 11, "cpus is an empty list");
    refused(GOOD "    cpus: [1024]\n", 6, 12, "1023 at most");
    refused(GOOD "    cpus: [-1]\n", 6, 12, "no plain whole number");
    refused(GOOD "    cpus: [1, 0, 1]\n", 6, 18, "listed twice");
    refused(GOOD "    cpus: [[1]]\n", 6, 12, "cpus takes a single value");
    refused(GOOD "    lcores: 2\n    cpus: [1]\n", 7, 11, "node 'n2' has 2 lcores, and 1 cpus");
    refused(GOOD "    cpus: [1, 0]\n    lcores: 1\n", 7, 13, "node 'n2' has 1 lcores, and 2 cpus");
    refused("lcores: 1\n" GOOD, 1, 1, "lcores");
    for (uint32_t i = 1; i <= CAIRN_WORKERS_MAX; i++)
        snprintf(text + strlen(text), sizeof(text) - strlen(text), ",%u", i);
    snprintf(text + strlen(text), sizeof(text) - strlen(text), "]\n");
    refused(text, 6, (uint32_t)(strlen(strrchr(text, '[')) + 11 - strlen(",16]\n") + 1), "cpus has more than 16");
}

static void
clients_are_users_and_a_group(void **state)
{
    struct cluster_config config = decoded(
        "clients:\n  group: '1000'\n  users:\n    - alice\n    - 1001\n    - svc-x$\n" GOOD);
    char text[1024] = GOOD "clients:\n  users:\n";

    (void)state;
    assert_int_equal(config.client_users_count, 3);
    assert_string_equal(config.client_users[0], "alice");
    assert_string_equal(config.client_users[1], "1001");
    assert_string_equal(config.client_users[2], "svc-x$");
    assert_string_equal(config.client_group, "1000");
    for (uint32_t i = 0; i < CLUSTER_CLIENT_USERS_MAX; i++)
        snprintf(text + strlen(text), sizeof(text) - strlen(text), "    - %u\n", i);
    assert_int_equal(decoded(text).client_users_count, CLUSTER_CLIENT_USERS_MAX);
    snprintf(text + strlen(text), sizeof(text) - strlen(text), "    - 99\n");
    refused(text, 24, 7, "users has more than 16");
    refused(GOOD "clients:\n", 6, 9, "key: value");
    refused(GOOD "clients: {}\n", 6, 10, "clients says nothing");
    refused(GOOD "clients: alice\n", 6, 10, "key: value");
    refused(GOOD "clients:\n  users: alice\n", 7, 10, "users is a list");
    refused(GOOD "clients:\n  users: []\n", 7, 10, "users is an empty list");
    refused(GOOD "clients:\n  users: [a, a]\n", 7, 14, "twice");
    refused(GOOD "clients:\n  users: [007]\n", 7, 11, "007");
    refused(GOOD "clients:\n  users: [4294967295]\n", 7, 11, "4294967295");
    refused(GOOD "clients:\n  users: [{a: b}]\n", 7, 11, "users takes a single value");
    refused(GOOD "clients:\n  group: a b\n", 7, 10, "group");
    refused(GOOD "clients:\n  group: [a]\n", 7, 10, "group");
    refused(GOOD "clients:\n  group: a\n  group: b\n", 8, 3, "group is there twice");
    refused(GOOD "clients:\n  uid: 7\n", 7, 3, "uid");
}

static void
no_key_is_unknown_double_or_missing(void **state)
{
    (void)state;
    refused(GOOD "colour: red\n", 6, 1, "colour");
    refused(GOOD "Cluster: 8\n", 6, 1, "Cluster");
    refused(GOOD "\"cluster\\0\": 8\n", 6, 1, "cluster\\x00");
    refused(GOOD "cluster: 7\n", 6, 1, "twice, first in line 1");
    refused(GOOD "7: 8\n", 6, 1, "7");
    refused(GOOD "? [a]\n: b\n", 6, 3, "a key");
    refused("directory: /a\nnodes: [{name: a}]\n", 0, 0, "cluster is missing");
    refused("cluster: 7\nnodes: [{name: a}]\n", 0, 0, "directory is missing");
    refused("cluster: 7\ndirectory: /a\n", 0, 0, "nodes is missing");
}

static void
there_is_one_document_of_plain_keys_and_values(void **state)
{
    (void)state;
    assert_int_equal(decoded("---\n" GOOD "...\n# the end\n").id, 7);
    refused("", 0, 0, "says nothing");
    refused("\n  \n# only this\n", 0, 0, "says nothing");
    refused("---\n", 2, 1, "key: value");
    refused("---", 1, 4, "key: value");
    refused(GOOD "---\n" GOOD, 6, 1, "second document");
    refused(GOOD "...\ncluster: 8\n", 7, 1, "document start");
    refused(GOOD "---\n", 6, 1, "second document");
    refused("%YAML 1.1\n---\n" GOOD, 1, 1, "directive");
    refused("cluster\n", 1, 1, "key: value");
    refused("- cluster: 7\n", 1, 1, "key: value");
    refused("&a " GOOD, 1, 1, "anchor");
    refused("cluster: &a 7\n", 1, 10, "anchor");
    refused("cluster: !!int 7\n", 1, 10, "tag");
    refused("cluster: *a\n", 1, 10, "alias");
    refused(GOOD "<<: {auto_create: true}\n", 6, 1, "<<");
    refused(GOOD "auto_create: !!bool true\n", 6, 14, "tag");
    refused("cluster: 7\nnodes: [\n", 3, 1, "no YAML");
    refused(GOOD "\tx: 1\n", 6, 1, "no YAML");
    refused("cluster: 7: 8\n", 1, 11, "no YAML");
}

static void
nesting_costs_nothing(void **state)
{
    static char text[CLUSTER_FILE_BYTES_MAX];
    struct cluster_config config;
    struct cluster_fault fault;

    (void)state;
    memset(text, '[', sizeof(text));
    memcpy(text, "nodes: ", 7);
    assert_false(cluster_text_decode(text, sizeof(text), &config, &fault));
    assert_int_equal(fault.place.line, 1);
    for (size_t i = 7; i + 1 < sizeof(text); i += 2)
        memcpy(text + i, "- ", 2);
    assert_false(cluster_text_decode(text, sizeof(text), &config, &fault));
    for (size_t i = 0; i + 1 < sizeof(text); i += 2)
        memcpy(text + i, "? ", 2);
    assert_false(cluster_text_decode(text, sizeof(text), &config, &fault));
}

static void
bytes_are_text(void **state)
{
    static const char zero[] = GOOD "# a\0b\n";

    (void)state;
    assert_int_equal(decoded("cluster: 7\r\ndirectory: /a\r\nnodes:\r\n  - name: n1\r\n").nodes, 1);
    assert_string_equal(decoded("cluster: 7\ndirectory: /d\xc3\xa9j\xc3\xa0\nnodes: [{name: a}]").directory,
                        "/d\xc3\xa9j\xc3\xa0");
    refused_bytes(zero, sizeof(zero) - 1, 6, 4, "zero byte");
    refused("\xef\xbb\xbf" GOOD, 1, 1, "byte order mark");
    refused(GOOD "# \xef\xbb\xbf\n", 6, 3, "control character");
    refused("\xff\xfe" GOOD, 1, 1, "no UTF-8");
    refused(GOOD "# \xc3\xa9 \xe9\n", 6, 5, "no UTF-8");
    refused(GOOD "# \xc0\xaf\n", 6, 3, "no UTF-8");
    refused(GOOD "# \xed\xa0\x80\n", 6, 3, "no UTF-8");
    refused(GOOD "# \xf4\x90\x80\x80\n", 6, 3, "no UTF-8");
    refused(GOOD "# \xc3", 6, 3, "no UTF-8");
    refused(GOOD "# \x1b[2J\n", 6, 3, "control character");
    refused(GOOD "# a\rb\n", 6, 4, "carriage return");
    refused("cluster: 7\xe2\x80\xa8"
            "directory: /a\n",
            1, 11, "control character");
    refused("cluster: 7\xc2\x85"
            "directory: /a\n",
            1, 11, "control character");
}

/* Text of all that can be set, and what decodes from what was encoded. */
static struct cluster_config
full_config(void)
{
    struct cluster_config config = decoded("clients: {users: [alice, 1001], group: ops}\n" GOOD "    cpus: [1, 3]\n"
                                           "transport: netns\nprofile: wan\nmemory_mib: 2GiB\nmemory_at_start: true\n"
                                           "durability: disk\nauto_create: true\nflap_hold_ms: 1s\nheartbeat_us: 5ms\n"
                                           "timeout_us: 50ms\ntimeout_ceiling_us: 1s\nclock_bound_ms: 2s\n");

    snprintf(config.directory, sizeof(config.directory), "/a #b: \"c\" \\d 'e' {f} [g] \xc3\xa9");
    return config;
}

static void
forget_places(struct cluster_config *config)
{
    memset(config->places, 0, sizeof(config->places));
    memset(config->name_places, 0, sizeof(config->name_places));
    for (uint32_t i = 0; i < CAIRN_NODES_MAX; i++)
        config->lcores[i].place = (struct cluster_place){0};
}

static void
what_is_encoded_decodes_to_the_same(void **state)
{
    static char text[CLUSTER_FILE_BYTES_MAX];
    struct cluster_config config = full_config(), again;
    size_t text_bytes = cluster_text_encode(&config, text, sizeof(text));

    (void)state;
    assert_true(text_bytes > 0);
    again = decoded(text);
    forget_places(&config);
    forget_places(&again);
    assert_memory_equal(&config, &again, sizeof(config));
    assert_int_equal(cluster_text_encode(&config, text, 100), 0);
}

/* A directory for files, which ends with the test. */
static void
in_directory(char *directory, size_t directory_bytes)
{
    snprintf(directory, directory_bytes, "/tmp/cairn-unit-XXXXXX");
    assert_non_null(mkdtemp(directory));
}

/* But for the two that every directory has. */
static uint32_t
names_in(const char *directory)
{
    DIR *listing = opendir(directory);
    uint32_t names = 0;

    assert_non_null(listing);
    while (readdir(listing) != NULL)
        names++;
    closedir(listing);
    return names - 2;
}

static void
what_is_written_reads_back(void **state)
{
    struct cluster_config config = full_config(), again;
    char directory[64], path[96], detail[512] = "";

    (void)state;
    in_directory(directory, sizeof(directory));
    snprintf(path, sizeof(path), "%s/cluster.yaml", directory);
    assert_int_equal(cluster_config_save(path, &config, detail, sizeof(detail)), CAIRN_OK);
    assert_int_equal(cluster_config_load(path, &again, detail, sizeof(detail)), CAIRN_OK);
    forget_places(&config);
    forget_places(&again);
    assert_memory_equal(&config, &again, sizeof(config));
    assert_int_equal(names_in(directory), 1);
    unlink(path);
    rmdir(directory);
}

/* A node adopts what was agreed on while somebody writes the same file. */
static void
who_writes_at_the_same_time_has_a_draft_of_his_own(void **state)
{
    struct cluster_fault fault = {.what = ""};
    char directory[64], path[96], drafts[2][PATH_MAX], text[CLUSTER_FILE_BYTES_MAX];
    size_t text_bytes;

    (void)state;
    in_directory(directory, sizeof(directory));
    snprintf(path, sizeof(path), "%s/cluster.yaml", directory);
    assert_true(cluster_file_draft(path, "one\n", 4, drafts[0], &fault));
    assert_true(cluster_file_draft(path, "two\n", 4, drafts[1], &fault));
    assert_string_not_equal(drafts[0], drafts[1]);
    for (uint32_t i = 0; i < 2; i++) {
        assert_true(cluster_file_publish(path, drafts[i], &fault));
        assert_true(cluster_file_read(path, text, &text_bytes, &fault));
        assert_int_equal(text_bytes, 4);
        assert_memory_equal(text, i == 0 ? "one\n" : "two\n", 4);
    }
    assert_int_equal(names_in(directory), 1);
    unlink(path);
    rmdir(directory);
}

static void
what_would_not_read_back_replaces_nothing(void **state)
{
    struct cluster_config good = full_config(), wrong = good, again;
    char directory[64], path[96], detail[512] = "";

    (void)state;
    in_directory(directory, sizeof(directory));
    snprintf(path, sizeof(path), "%s/cluster.yaml", directory);
    assert_int_equal(cluster_config_save(path, &good, detail, sizeof(detail)), CAIRN_OK);
    snprintf(wrong.directory, sizeof(wrong.directory), "/a\nb");
    assert_int_equal(cluster_config_save(path, &wrong, detail, sizeof(detail)), CAIRN_INVALID);
    assert_non_null(strstr(detail, "not written"));
    assert_non_null(strstr(detail, "control character"));
    assert_null(strchr(detail, '\n'));
    wrong = good;
    snprintf(wrong.directory, sizeof(wrong.directory), "/a\xff");
    assert_int_equal(cluster_config_save(path, &wrong, detail, sizeof(detail)), CAIRN_INVALID);
    wrong = good;
    snprintf(wrong.names[1], sizeof(wrong.names[1]), "a: b");
    assert_int_equal(cluster_config_save(path, &wrong, detail, sizeof(detail)), CAIRN_INVALID);
    wrong = good;
    wrong.memory_mib = 0;
    assert_int_equal(cluster_config_save(path, &wrong, detail, sizeof(detail)), CAIRN_INVALID);
    assert_non_null(strstr(detail, "would not read back"));
    assert_int_equal(cluster_config_load(path, &again, detail, sizeof(detail)), CAIRN_OK);
    assert_string_equal(again.directory, good.directory);
    assert_int_equal(names_in(directory), 1);
    snprintf(path, sizeof(path), "%s/none/cluster.yaml", directory);
    assert_int_equal(cluster_config_save(path, &good, detail, sizeof(detail)), CAIRN_IO);
    assert_non_null(strstr(detail, "cannot be written"));
    snprintf(path, sizeof(path), "%s/cluster.yaml", directory);
    unlink(path);
    assert_int_equal(mkdir(path, 0700), 0);
    assert_int_equal(cluster_config_save(path, &good, detail, sizeof(detail)), CAIRN_IO);
    assert_int_equal(names_in(directory), 1);
    rmdir(path);
    rmdir(directory);
}

static void
a_refusal_is_one_line_that_names_place_and_mend(void **state)
{
    const struct cluster_fault fault = {.place = {.line = 3, .column = 9}, .what = "it is so", .mend = "mend it"};
    char detail[100], path[400];

    (void)state;
    cluster_fault_tell(&fault, "/a\nb\x1b", detail, sizeof(detail));
    assert_string_equal(detail, "cluster file /a\\nb\\x1b, line 3, column 9: it is so (mend it)");
    memset(path, 'p', sizeof(path));
    memcpy(path + sizeof(path) - 6, "/the/e", 6);
    path[sizeof(path) - 1] = '\0';
    cluster_fault_tell(&fault, path, detail, sizeof(detail));
    assert_int_equal(strlen(detail), sizeof(detail) - 1);
    assert_non_null(strstr(detail, "file ...pp"));
    assert_non_null(strstr(detail, "pp/the/, line 3, column 9: it is so (mend it)"));
}

static void
text_is_shown_in_one_line(void **state)
{
    char shown[24];

    (void)state;
    plain_text_show("a\nb\x7f\xc3\xa9\xc2\x9b", 8, shown, sizeof(shown));
    assert_string_equal(shown, "a\\nb\\x7f\xc3\xa9\\xc2\\x9b");
    plain_text_show("aaaaaaaaaaaaaaaaaaaaaaa", 23, shown, sizeof(shown));
    assert_string_equal(shown, "aaaaaaaaaaaaaaaaaaaaaaa");
    plain_text_show("aaaaaaaaaaaaaaaaaaaaaaaa", 24, shown, sizeof(shown));
    assert_string_equal(shown, "aaaaaaaaaaaaaaaaaaaa...");
    plain_text_show("", 0, shown, sizeof(shown));
    assert_string_equal(shown, "");
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_left_out_is_as_documented),
        cmocka_unit_test(each_key_and_name_has_its_place),
        cmocka_unit_test(numbers_have_units),
        cmocka_unit_test(no_number_is_taken_by_half),
        cmocka_unit_test(the_number_of_a_cluster_may_be_hexadecimal),
        cmocka_unit_test(booleans_are_true_or_false),
        cmocka_unit_test(words_are_those_that_there_are),
        cmocka_unit_test(a_directory_is_absolute_short_and_clean),
        cmocka_unit_test(nodes_are_a_list_of_names),
        cmocka_unit_test(lcores_and_cpus_are_each_nodes_own),
        cmocka_unit_test(clients_are_users_and_a_group),
        cmocka_unit_test(no_key_is_unknown_double_or_missing),
        cmocka_unit_test(there_is_one_document_of_plain_keys_and_values),
        cmocka_unit_test(nesting_costs_nothing),
        cmocka_unit_test(bytes_are_text),
        cmocka_unit_test(what_is_encoded_decodes_to_the_same),
        cmocka_unit_test(what_is_written_reads_back),
        cmocka_unit_test(who_writes_at_the_same_time_has_a_draft_of_his_own),
        cmocka_unit_test(what_would_not_read_back_replaces_nothing),
        cmocka_unit_test(a_refusal_is_one_line_that_names_place_and_mend),
        cmocka_unit_test(text_is_shown_in_one_line),
    };

    return RUN_TESTS(tests);
}
