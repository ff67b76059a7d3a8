/* SPDX-License-Identifier: Apache-2.0 */
/* One thread with its own connection that does what has to be done every few minutes: partitions made ahead
 * and dropped, unused uploads removed. Every process runs one; doing the work twice is harmless. */
#ifndef OTAD_HOUSEKEEPER_H
#define OTAD_HOUSEKEEPER_H

#include "engine/base/config.h"

struct housekeeper;
struct package_store;

/* The first round runs at once. store outlives the housekeeper. */
struct housekeeper *housekeeper_start(const struct config *c, struct package_store *store);
/* The next round runs at once, with the configuration that is in force then. */
void housekeeper_wake(struct housekeeper *h);
/* Lets the current statement end, joins. h may be NULL. */
void housekeeper_stop(struct housekeeper *h);

#endif
