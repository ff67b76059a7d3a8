/* SPDX-License-Identifier: Apache-2.0 */
/* The configuration: one row per key in config.def. One immutable snapshot is in force; a reload builds a
 * new one and swaps it, or keeps the old one whole. Old snapshots live until exit, so a pointer stays good.
 *
 * File format: `key = value` lines, # comments, blank lines; unknown keys and keys given twice are errors.
 * The environment variable OTAD_<KEY IN CAPITALS> beats the file. */
#ifndef BASE_CONFIG_H
#define BASE_CONFIG_H

#include "engine/base/buf.h"
#include "engine/base/err.h"

/* Longest base of a URL. */
#define CONFIG_URL_MAX 90

struct config {
#define CONFIG_TEXT(key, def, reloadable, secret, doc) const char *key;
#define CONFIG_INT(key, def, min, max, unit, reloadable, doc) int64_t key;
#define CONFIG_BOOL(key, def, reloadable, doc) bool key;
#include "engine/base/config.def"
};

/* CONFIG_MAX_<key>: the largest value that a number can have. */
enum config_max {
#define CONFIG_INT(key, def, min, max, unit, reloadable, doc) CONFIG_MAX_##key = max,
#include "engine/base/config.def"
};

/* The snapshot in force; before config_load the defaults. Any thread. */
const struct config *config_now(void);
/* Reads the file (NULL: defaults and environment only) and puts it in force. ERR_CONFIG with line and key
 * in the error. At a reload (second call) a changed key that is not reloadable is an error too. */
enum err config_load(const char *path, struct error *e) MUST_USE;
/* Checks a file without putting it in force. */
enum err config_check(const char *path, struct error *e) MUST_USE;
/* A sample file: every key with its text, unit, range and default; with `current` the values in force
 * (secrets print as ***). */
void config_print(struct buf *out, bool current);
/* Releases all snapshots, at exit. */
void config_free(void);

#endif
