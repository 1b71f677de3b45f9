/*
 * Assertions that a release cannot afford.
 *
 * assert() stays on in a release. What is looked at for each append, or walks over something, takes assert_costly():
 * it is there in every build but a release, that is in the sanitizers', the fuzzers' and the mutants', and in a
 * release it is compiled and never run. Neither may ever look at what a peer, a client, a file or a clock has said.
 */
#pragma once

#include <assert.h>

#ifdef CAIRN_ASSERT_COSTLY
#define assert_costly(condition) assert(condition)
#else
#define assert_costly(condition)                                                                                       \
    do {                                                                                                               \
        if (0)                                                                                                         \
            assert(condition);                                                                                         \
    } while (0)
#endif
