/* Google Benchmark for C: a benchmark is a C function that loops while gbench_next() says so.
 *
 *     static void copy(struct gbench *b) { while (gbench_next(b)) memcpy(to, from, 64); }
 *     GBENCH(copy)
 */
#ifndef BENCH_GBENCH_H
#define BENCH_GBENCH_H

#include <stdbool.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

struct gbench;

/* true: once more. */
bool gbench_next(struct gbench *bench);
/* The argument this run was registered with. */
int64_t gbench_argument(const struct gbench *bench);
/* How many items an iteration stands for: the report gives items a second. */
void gbench_items(struct gbench *bench, int64_t items_per_iteration);
/* Keeps the compiler from dropping a result. */
void gbench_keep(const void *value);

void gbench_register(const char *name, void (*run)(struct gbench *bench), const int64_t *arguments, int count);

#define GBENCH_ARGS(function, ...)                                                                                     \
    __attribute__((constructor)) static void function##_register(void)                                                 \
    {                                                                                                                  \
        static const int64_t arguments[] = {__VA_ARGS__};                                                              \
                                                                                                                       \
        gbench_register(#function, function, arguments, (int)(sizeof(arguments) / sizeof(*arguments)));                \
    }
#define GBENCH(function) GBENCH_ARGS(function, 0)

#ifdef __cplusplus
}
#endif

#endif
