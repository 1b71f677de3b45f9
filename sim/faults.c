/* The names of faults. */
#include "sim/faults.h"

#include <string.h>

static const char *const names[FAULT_KINDS] = {
#define FAULT_NAME(NAME, name) [FAULT_##NAME] = #name,
    FAULTS(FAULT_NAME)
#undef FAULT_NAME
};

const char *
fault_name(enum fault_kind kind)
{
    return (unsigned)kind < FAULT_KINDS ? names[kind] : "?";
}

bool
fault_parse(const char *name, enum fault_kind *out)
{
    for (unsigned kind = 0; kind < FAULT_KINDS; kind++) {
        if (strcmp(name, names[kind]) == 0) {
            *out = (enum fault_kind)kind;
            return true;
        }
    }
    return false;
}
