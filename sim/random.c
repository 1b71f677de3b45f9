/* Streams of numbers that follow from their seeds. */
#include "sim/random.h"

uint64_t
random_next(struct stream_random *random)
{
    uint64_t z = (random->state += 0x9e3779b97f4a7c15u); /* splitmix64 (Steele et al. 2014) */

    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

uint64_t
random_under(struct stream_random *random, uint64_t bound)
{
    return bound == 0 ? 0 : random_next(random) % bound;
}

bool
random_chance(struct stream_random *random, uint32_t ppm)
{
    return ppm != 0 && random_under(random, 1000000) < ppm;
}
