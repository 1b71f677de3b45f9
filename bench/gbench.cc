// The one C++ file: Google Benchmark behind gbench.h.
#include "bench/gbench.h"

#include <benchmark/benchmark.h>

struct gbench {
    benchmark::State *state;
    int64_t items;
};

bool
gbench_next(gbench *bench)
{
    return bench->state->KeepRunning();
}

int64_t
gbench_argument(const gbench *bench)
{
    return bench->state->range(0);
}

void
gbench_items(gbench *bench, int64_t items_per_iteration)
{
    bench->items = items_per_iteration;
}

void
gbench_keep(const void *value)
{
    benchmark::DoNotOptimize(value);
    benchmark::ClobberMemory();
}

void
gbench_register(const char *name, void (*run)(gbench *), const int64_t *arguments, int count)
{
    auto *registered = benchmark::RegisterBenchmark(name, [run](benchmark::State &state) {
        gbench bench{&state, 1};
        run(&bench);
        state.SetItemsProcessed(state.iterations() * bench.items);
    });
    for (int i = 0; i < count; i++)
        registered->Arg(arguments[i]);
}

BENCHMARK_MAIN();
