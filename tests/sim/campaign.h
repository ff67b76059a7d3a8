/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SIM_CAMPAIGN_H
#define SIM_CAMPAIGN_H

#include <stdbool.h>
#include <stdint.h>

/* A campaign of 30 days with 2,000 devices; prints how long it took. Ends the process when something is broken. */
void campaign(uint64_t seed, bool print);

#endif
