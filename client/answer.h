/* What a node says over its admin socket is another process's word: of another release's, or of one that means harm. */
#ifndef CLIENT_ANSWER_H
#define CLIENT_ANSWER_H

#include <stdbool.h>

#include <jansson.h>

/* Is each key of it that this release knows of the kind that it is to be, and can every text be shown on a terminal? Keys that
 * it does not know may be anything; none need be there. */
bool answer_is_sane(const json_t *answer);

#endif
