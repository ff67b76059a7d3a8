/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SIM_EVERY_RULE_H
#define SIM_EVERY_RULE_H

#include <stdbool.h>
#include <stdint.h>

/* An hour that is played, cue by cue, and comes past every rule of a campaign; the model and the invariants judge it, as
 * everywhere. Ends the process when something is broken. */
void every_rule(uint64_t seed, bool print);

#endif
