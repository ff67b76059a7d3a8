/* SPDX-License-Identifier: Apache-2.0 */
/* Events, not prose: one JSON line per event on standard error (or the file given to log_open). The
 * events are rows of events.def. Any thread; a line is written with one write(2).
 *
 *   log_event(EV_READY, LSTR("endpoint", host), LINT("port", port));
 */
#ifndef BASE_LOG_H
#define BASE_LOG_H

#include "engine/base/base.h"

enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARN, LOG_ERROR };

/* Not "enum event": libevent has a struct of that name. */
enum log_id {
#define EVENT(id, level, name, doc) id,
#include "engine/base/events.def"
#undef EVENT
	EV_COUNT
};

struct log_field {
	const char *key; /* NULL ends the list */
	const char *text;
	int64_t number;
	bool is_number;
};
#define LSTR(k, v) ((struct log_field){ .key = (k), .text = (v) })
#define LINT(k, v) ((struct log_field){ .key = (k), .number = (int64_t)(v), .is_number = true })

#define log_event(ev, ...) log_write((ev), (const struct log_field[]){ __VA_ARGS__, { .key = NULL } })
/* For what may repeat thousands of times: at most one line a minute per event, with the number left out
 * since the last one as "suppressed". */
#define log_limited(ev, ...) log_write_limited((ev), (const struct log_field[]){ __VA_ARGS__, { .key = NULL } })

void log_write(enum log_id ev, const struct log_field *fields);
void log_write_limited(enum log_id ev, const struct log_field *fields);
/* Events below the level are dropped. Default LOG_INFO. */
void log_set_level(enum log_level level);
/* "debug", "info", "warn", "error". */
bool log_level_parse(const char *name, enum log_level *ret);
/* Number of LOG_ERROR events so far: tests assert it. */
int64_t log_errors(void);

#endif
