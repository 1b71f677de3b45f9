/* The size of a simulated cluster, and the times that it lives by. */
#ifndef SIM_SCALE_H
#define SIM_SCALE_H

#include <stdint.h>

#define SIM_NODES 5u
#define SIM_WORKERS 3u
#define SIM_LOGS 2u /* beside the catalog */
#define SIM_CLIENTS 8u
#define SIM_READERS 4u
#define US 1000ull
#define MS 1000000ull
#define SIM_TIMEOUT_NS (10 * MS)             /* of the profile `shared`, which runs here */
#define SIM_CEILING_NS (50 * SIM_TIMEOUT_NS) /* of what is learned */
#define SIM_INTERVAL_NS (1 * MS)

#endif
