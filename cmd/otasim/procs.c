/* SPDX-License-Identifier: Apache-2.0 */
/* CPU and memory of the processes of a stack on this machine, and of ourselves, as the kernel counts them in
 * /proc. A part counts with its child processes, which is what PostgreSQL consists of. Memory is what the
 * processes have of their own, plus once what they share. Called by load.c. */
#include "cmd/otasim/load.h"
#include "engine/base/parse.h"

#include <dirent.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct usage {
	int64_t pid, cpu_ms, own_kib, shared_kib, file_kib;
};

/* The file's beginning as a string; false: it is not there (any more). */
static bool text_read(const char *path, char *to, size_t size)
{
	FILE *f = fopen(path, "r");
	size_t n;

	if (!f)
		return false;
	n = fread(to, 1, size - 1, f);
	to[n] = '\0';
	(void)fclose(f);
	return n > 0;
}

static int64_t number_at(const char *text)
{
	int64_t n;

	text += strspn(text, " \t");
	return parse_i64n(text, strcspn(text, " \t\n"), 0, INT64_MAX, &n) ? n : 0;
}

static int64_t pid_of(const struct proc *p)
{
	char text[64];

	if (!p->where)
		return 0;
	if (p->where[strspn(p->where, "0123456789")] == '\0')
		return number_at(p->where);
	return text_read(p->where, text, sizeof text) ? number_at(text) : 0;
}

/* The n-th field of a stat line, from 3 on; what is before may contain blanks. */
static int64_t stat_field(const char *stat, int n)
{
	const char *at = strrchr(stat, ')');

	for (n -= 2; at && n > 0; n--)
		at = strchr(at + 1, ' ');
	return at ? number_at(at + 1) : 0;
}

static int64_t status_kib(const char *status, const char *key)
{
	const char *at = strstr(status, key);

	return at ? number_at(at + strlen(key)) : 0;
}

static void usage_add(const char *pid, const char *stat, bool child, struct usage *u)
{
	int64_t tick_ms = 1000 / sysconf(_SC_CLK_TCK);
	char path[64], status[8192];

	(void)snprintf(path, sizeof path, "/proc/%s/status", pid);
	if (!text_read(path, status, sizeof status))
		return;
	u->cpu_ms += tick_ms * (stat_field(stat, 14) + stat_field(stat, 15));
	if (!child) /* children that have ended */
		u->cpu_ms += tick_ms * (stat_field(stat, 16) + stat_field(stat, 17));
	u->own_kib += status_kib(status, "RssAnon:");
	u->shared_kib = i64_max(u->shared_kib, status_kib(status, "RssShmem:"));
	u->file_kib = i64_max(u->file_kib, status_kib(status, "RssFile:"));
}

/* Is this process one of them, or a child of one? */
static void process_look(const char *pid, struct usage u[PROCS])
{
	char path[64], stat[1024];
	int64_t id = number_at(pid), parent;

	(void)snprintf(path, sizeof path, "/proc/%s/stat", pid);
	if (!text_read(path, stat, sizeof stat))
		return;
	parent = stat_field(stat, 4);
	for (size_t i = 0; i < PROCS; i++)
		if (u[i].pid > 0 && (u[i].pid == id || u[i].pid == parent))
			usage_add(pid, stat, u[i].pid == parent, &u[i]);
}

void procs_look(struct load *l)
{
	struct usage u[PROCS] = { { 0 } };
	DIR *d = opendir("/proc");
	const struct dirent *e;

	for (size_t i = 0; i < PROCS; i++)
		u[i].pid = pid_of(&l->procs[i]);
	for (e = d ? readdir(d) : NULL; e; e = readdir(d))
		if (e->d_name[0] >= '1' && e->d_name[0] <= '9')
			process_look(e->d_name, u);
	if (d)
		(void)closedir(d);
	for (size_t i = 0; i < PROCS; i++) {
		struct proc *p = &l->procs[i];

		/* One that was started anew counts from 0 again: what it had used stays used. */
		if (u[i].pid != p->pid) {
			p->before_ms = p->cpu_ms;
			p->pid = u[i].pid;
		}
		p->cpu_ms = p->before_ms + u[i].cpu_ms;
		p->rss_kib = u[i].own_kib + u[i].shared_kib + u[i].file_kib;
		p->peak_kib = i64_max(p->peak_kib, p->rss_kib);
	}
}

static const char *program_of(struct arena *a, int64_t pid)
{
	char path[64], program[512];
	ssize_t n;

	(void)snprintf(path, sizeof path, "/proc/%lld/exe", (long long)pid);
	n = readlink(path, program, sizeof program);
	return n > 0 ? arena_strndup(a, program, (size_t)n) : "";
}

void procs_open(struct load *l)
{
	static const char *const names[PROCS][2] = { { "otad", "OTA_PID_OTAD" },
						     { "PostgreSQL", "OTA_PID_POSTGRES" },
						     { "broker", "OTA_PID_BROKER" },
						     { "otasim", NULL } };

	for (size_t i = 0; i < PROCS; i++) {
		struct proc *p = &l->procs[i];

		p->name = names[i][0];
		p->where = names[i][1] ? getenv(names[i][1])
				       : arena_printf(&l->sim->arena, "%lld", (long long)getpid());
		p->program = program_of(&l->sim->arena, pid_of(p));
	}
	procs_look(l);
	for (size_t i = 0; i < PROCS; i++)
		l->procs[i].from_cpu_ms = l->procs[i].cpu_ms;
}
