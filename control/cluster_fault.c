/* What is wrong with a cluster file: where, what, and what to do. */
#include <stdarg.h>
#include <stdio.h>

#include "control/cluster_file.h"

bool
cluster_fault_set(struct cluster_fault *fault, struct cluster_place place, const char *mend, const char *what, ...)
{
    va_list arguments;

    fault->place = place;
    snprintf(fault->mend, sizeof(fault->mend), "%s", mend);
    va_start(arguments, what);
    vsnprintf(fault->what, sizeof(fault->what), what, arguments);
    va_end(arguments);
    return false;
}
