/* SPDX-License-Identifier: Apache-2.0 */
/* Properties that are proven apart from campaigns. Each is run in a process of its own; it ends the process with a
 * text when it does not hold. */
#ifndef SIM_PROPS_H
#define SIM_PROPS_H

#include <stdbool.h>

/* n random sequences of reports, pushes and timers of one task: engine/task.c and rules.c come to the same, and it is
 * an end that is permitted. No database. */
void prop_any_order(int n);
/* GRAY cohorts are exact, repeatable, and the larger contain the smaller. */
void prop_gray(void);
/* A job takes the devices that had one of its versions when it was created, whatever they have said since. */
void prop_versions(void);
/* Jobs over the same devices, made, canceled, confirmed and run again from several connections at once: a device never
 * has two unfinished tasks, and nobody sees a deadlock. */
void prop_overlapping(void);

#endif
