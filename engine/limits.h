/* SPDX-License-Identifier: Apache-2.0 */
/* The limits in force: the profile's number unless a key sets it (rules.md §1). */
#ifndef ENGINE_LIMITS_H
#define ENGINE_LIMITS_H

#include "engine/base/config.h"

struct limits {
	int64_t target_names, list_names, list_bytes;
	int64_t max_per_minute_min, max_per_minute_max, max_per_minute_default;
	int64_t tag_value;          /* characters */
	int64_t tag_total;          /* characters of all keys and values; 0: no such limit */
	int64_t tags;               /* per job */
	bool retry_below_timeout;   /* RetryInterval must be smaller than TimeoutInMinutes */
};
struct limits limits_of(const struct config *c);

#endif
