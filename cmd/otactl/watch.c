/* SPDX-License-Identifier: Apache-2.0 */
#include "cmd/otactl/watch.h"

#include "engine/base/buf.h"
#include "engine/base/parse.h"
#include "storage/report.h"

#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define LINE_MAX_BYTES ((size_t)1024)
#define BAR_MIN 10
#define BAR_MAX 40

static int terminal_width(void)
{
	struct winsize w;

	return ioctl(STDOUT_FILENO, TIOCGWINSZ, &w) == 0 && w.ws_col >= 40 ? w.ws_col : 80;
}

/* "[#####.....]  50 %"; width: columns of the terminal, at least 40. */
static const char *bar(struct arena *a, int64_t done, int64_t total, int width)
{
	int cells = (int)i64_max(BAR_MIN, i64_min(BAR_MAX, width - 60));
	int full = total > 0 ? (int)(done * cells / total) : 0;
	struct buf *b = buf_owned(a, LINE_MAX_BYTES);

	buf_addc(b, '[');
	for (int i = 0; i < cells; i++)
		buf_addc(b, i < full ? '#' : '.');
	buf_addf(b, "] %3d %%", total > 0 ? (int)(done * 100 / total) : 0);
	return buf_str(b);
}

/* "IN_PROGRESS 300 queued, 20 succeeded": states that have tasks. */
static const char *numbers(struct arena *a, const struct report_job *j)
{
	static const char *const words[] = {
		[TASK_CONFIRM] = "to confirm",	[TASK_QUEUED] = "queued",
		[TASK_NOTIFIED] = "notified",	[TASK_IN_PROGRESS] = "in progress",
		[TASK_SUCCEEDED] = "succeeded", [TASK_FAILED] = "failed",
		[TASK_CANCELED] = "canceled"
	};
	struct buf *b = buf_owned(a, LINE_MAX_BYTES);

	buf_addf(b, "%s%s", job_status_name(j->status),
		 j->paused && !job_status_ended(j->status) ? " (paused)" : "");
	if (j->making != MAKING_DONE)
		buf_addf(b, ", making %lld of %lld", (long long)j->made, (long long)j->chosen);
	for (int s = TASK_SUCCEEDED; s <= TASK_CANCELED; s++)
		if (j->count[s])
			buf_addf(b, ", %lld %s", (long long)j->count[s], words[s]);
	for (int s = TASK_IN_PROGRESS; s >= TASK_CONFIRM; s--)
		if (j->count[s])
			buf_addf(b, ", %lld %s", (long long)j->count[s], words[s]);
	return buf_str(b);
}

static const char *line_of(struct arena *a, const struct report_job *j, bool terminal)
{
	int64_t done = j->count[TASK_SUCCEEDED] + j->count[TASK_FAILED] + j->count[TASK_CANCELED];
	int64_t total = j->making == MAKING_DONE ? j->made : i64_max(j->chosen, j->made);
	int width = terminal ? terminal_width() : 80;
	char *line = arena_printf(a, "%s  %s", bar(a, done, total, width), numbers(a, j));

	if (terminal && strlen(line) >= (size_t)width)
		line[width - 1] = '\0'; /* a wrapped line could not be drawn over */
	return line;
}

enum err watch_run(struct ctl *c, int64_t job_id, int64_t interval_ms)
{
	bool terminal = ctl_terminal();
	char last[LINE_MAX_BYTES] = "";
	struct report_job j;

	for (;;) {
		char time[UTC_TEXT_LEN];
		const char *line;
		enum err err;

		arena_reset(c->arena);
		ctl_next(c);
		err = store_report_job(c->db, job_id, &j);
		if (err == ERR_NOT_FOUND)
			return fail(c->error, err, "no such job");
		TRY(err);
		line = line_of(c->arena, &j, terminal);
		format_utc_ms(c->now, time);
		if (terminal)
			(void)printf("\r\033[K%s", line);
		else if (strncmp(line, last, sizeof last - 1) != 0)
			(void)printf("%s %s\n", time, line);
		(void)snprintf(last, sizeof last, "%s", line);
		(void)fflush(stdout);
		if (job_status_ended(j.status))
			break;
		(void)usleep((useconds_t)interval_ms * 1000U);
	}
	if (terminal)
		(void)putchar('\n');
	return OK;
}
