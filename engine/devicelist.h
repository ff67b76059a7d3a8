/* SPDX-License-Identifier: Apache-2.0 */
/* Device list files (api §4.2, rules §3): one name a line, LF or CRLF, or separated by commas; a byte order
 * mark and a first line `DeviceName` are skipped, blanks around names too; duplicates are folded. Pure. */
#ifndef ENGINE_DEVICELIST_H
#define ENGINE_DEVICELIST_H

#include "engine/base/arena.h"

enum devicelist_result {
	DEVICELIST_OK,
	DEVICELIST_MALFORMED /* not UTF-8, or contains NUL */,
	DEVICELIST_TOO_MANY
};

/* Names in order of first appearance, in the arena. names_max counts distinct names. An empty file is OK and
 * has none. */
enum devicelist_result devicelist_parse(struct arena *a, const char *text_raw, size_t len, size_t names_max,
					const char *const **ret_names, size_t *ret_n);

/* The first of n names that occurs a second time, or NULL. */
const char *devicelist_duplicate(struct arena *a, const char *const *names, size_t n);

#endif
