/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/base/log.h"

#include "engine/base/buf.h"
#include "engine/base/clock.h"
#include "engine/base/parse.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const struct {
	enum log_level level;
	const char *name;
} events[EV_COUNT] = {
#define EVENT(id, level, name, doc) [id] = { level, name },
#include "engine/base/events.def"
#undef EVENT
};

static const char *const level_names[] = { "debug", "info", "warn", "error" };
static _Atomic int min_level = LOG_INFO;
static _Atomic int64_t errors;
static struct {
	_Atomic int64_t next_boot_ms;
	_Atomic int64_t suppressed;
} limits[EV_COUNT];

void log_set_level(enum log_level level)
{
	atomic_store(&min_level, (int)level);
}

bool log_level_parse(const char *name, enum log_level *ret)
{
	for (size_t i = 0; i < ARRAY_LEN(level_names); i++)
		if (strcmp(name, level_names[i]) == 0) {
			*ret = (enum log_level)i;
			return true;
		}
	return false;
}

int64_t log_errors(void)
{
	return atomic_load(&errors);
}

/* A longer text is cut: a line that grew too long would be dropped whole. */
#define TEXT_BYTES_MAX 2048

static void add_string(struct buf *b, const char *s)
{
	bool valid = utf8_valid(s, strlen(s));
	const char *end = s + TEXT_BYTES_MAX;

	buf_addc(b, '"');
	for (; *s; s++) {
		unsigned char c = (unsigned char)*s;

		if (s >= end && (!valid || (c & 0xc0) != 0x80)) {
			buf_adds(b, "..");
			break;
		}
		if (c == '"' || c == '\\')
			buf_addf(b, "\\%c", c);
		else if (c < 0x20 || c == 0x7f || (c >= 0x80 && !valid))
			buf_addf(b, "\\u%04x", c);
		else
			buf_addc(b, (char)c);
	}
	buf_addc(b, '"');
}

void log_write(enum log_id ev, const struct log_field *fields)
{
	struct buf b;
	char time[UTC_TEXT_LEN];

	if (events[ev].level == LOG_ERROR)
		atomic_fetch_add(&errors, 1);
	if ((int)events[ev].level < atomic_load(&min_level))
		return;
	buf_init(&b, (size_t)64 * 1024);
	format_utc_ms(clock_now(), time);
	buf_adds(&b, "{\"time\":\"");
	buf_adds(&b, time);
	buf_adds(&b, "\",\"level\":\"");
	buf_adds(&b, level_names[events[ev].level]);
	buf_adds(&b, "\",\"event\":\"");
	buf_adds(&b, events[ev].name);
	buf_addc(&b, '"');
	for (const struct log_field *f = fields; f->key; f++) {
		buf_adds(&b, ",\"");
		buf_adds(&b, f->key);
		buf_adds(&b, "\":");
		if (f->is_number)
			buf_addf(&b, "%lld", (long long)f->number);
		else
			add_string(&b, f->text ? f->text : "");
	}
	buf_adds(&b, "}\n");
	if (!b.overflow && write(STDERR_FILENO, b.data, b.len) < 0)
		atomic_fetch_add(&errors, 1); /* nowhere left to say it */
	buf_free(&b);
}

void log_write_limited(enum log_id ev, const struct log_field *fields)
{
	int64_t now = clock_boot_ms(), next = atomic_load(&limits[ev].next_boot_ms);
	struct log_field with[16];
	size_t n = 0;

	if (now < next || !atomic_compare_exchange_strong(&limits[ev].next_boot_ms, &next, now + MS_PER_MINUTE)) {
		atomic_fetch_add(&limits[ev].suppressed, 1);
		return;
	}
	while (fields[n].key && n < ARRAY_LEN(with) - 2) {
		with[n] = fields[n];
		n++;
	}
	with[n++] = LINT("suppressed", atomic_exchange(&limits[ev].suppressed, 0));
	with[n] = (struct log_field){ .key = NULL };
	log_write(ev, with);
}

NORETURN void ensure_failed(const char *file, int line, const char *what)
{
	log_event(EV_BUG, LSTR("file", file), LINT("line", line), LSTR("condition", what));
	abort();
}
