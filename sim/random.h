/* Streams of numbers that follow from their seeds. */
#ifndef SIM_RANDOM_H
#define SIM_RANDOM_H

#include <stdbool.h>
#include <stdint.h>

/* Independent streams, so that switching one fault off does not change the others. */
struct stream_random {
    uint64_t state;
};
uint64_t random_next(struct stream_random *random);
uint64_t random_under(struct stream_random *random, uint64_t bound);
bool random_chance(struct stream_random *random, uint32_t ppm);

#endif
