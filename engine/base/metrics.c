/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/base/metrics.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#define LABELS_MAX ((size_t)512)

enum kind { COUNTER, GAUGE, HISTOGRAM };

static const struct {
	enum kind kind;
	const char *name, *label, *help;
} rows[METRIC_COUNT] = {
#define METRIC(id, kind, name, label, help) [id] = { kind, name, label, help },
#include "engine/base/metrics.def"
#undef METRIC
};

static const int64_t bounds_us[] = { 250, 1000, 2500, 5000, 10000, 25000, 50000, 100000, 250000, 1000000, 3000000 };
#define BOUNDS ARRAY_LEN(bounds_us)

struct cell {
	_Atomic(char *) label; /* NULL: free; set once, never changed */
	_Atomic int64_t value; /* counter, gauge, or number of observations */
	_Atomic int64_t sum_us;
	_Atomic int64_t bucket[BOUNDS];
};

static struct cell cells[METRIC_COUNT][LABELS_MAX + 1];

/* The cell of a label value; cell 0 is the unlabelled one and "other". Labels come from code and tables,
 * so the few copies live as long as the process. */
static struct cell *cell_of(enum metric m, const char *label)
{
	uint32_t h = 2166136261U;

	if (!label)
		return &cells[m][0];
	for (const char *p = label; *p; p++)
		h = (h ^ (unsigned char)*p) * 16777619U;
	for (size_t i = 0; i < LABELS_MAX; i++) {
		struct cell *c = &cells[m][1 + (h + i) % LABELS_MAX];
		char *have = atomic_load(&c->label);

		if (!have) {
			char *copy = strdup(label);

			ensure(copy != NULL);
			if (atomic_compare_exchange_strong(&c->label, &have, copy))
				return c;
			free(copy);
		}
		if (strcmp(have, label) == 0)
			return c;
	}
	return &cells[m][0];
}

void metric_add_label(enum metric m, const char *label, int64_t n)
{
	atomic_fetch_add(&cell_of(m, label)->value, n);
}

void metric_add(enum metric m, int64_t n)
{
	metric_add_label(m, NULL, n);
}

void metric_set(enum metric m, int64_t value)
{
	atomic_store(&cell_of(m, NULL)->value, value);
}

void metric_raise(enum metric m, int64_t value)
{
	int64_t have = atomic_load(&cells[m][0].value);

	while (value > have && !atomic_compare_exchange_weak(&cells[m][0].value, &have, value))
		;
}

void metric_observe_us(enum metric m, const char *label, int64_t us)
{
	struct cell *c = cell_of(m, label);

	atomic_fetch_add(&c->value, 1);
	atomic_fetch_add(&c->sum_us, us);
	for (size_t i = 0; i < BOUNDS; i++)
		if (us <= bounds_us[i]) {
			atomic_fetch_add(&c->bucket[i], 1);
			break;
		}
}

int64_t metric_get(enum metric m)
{
	int64_t sum = 0;

	for (size_t i = 0; i <= LABELS_MAX; i++)
		sum += atomic_load(&cells[m][i].value);
	return sum;
}

static void print_label(struct buf *out, const char *name, const char *label, const char *le)
{
	const char *sep = label ? "," : "";

	if (!label && !le)
		return;
	buf_addc(out, '{');
	if (label) {
		buf_addf(out, "%s=\"", name);
		for (; *label; label++) {
			if (*label == '"' || *label == '\\')
				buf_addc(out, '\\');
			buf_adds(out, *label == '\n' ? "\\n" : (const char[]){ *label, '\0' });
		}
		buf_addc(out, '"');
	}
	if (le)
		buf_addf(out, "%sle=\"%s\"", sep, le);
	buf_addc(out, '}');
}

static void print_histogram(struct buf *out, enum metric m, const struct cell *c, const char *label)
{
	int64_t seen = 0;
	char le[32];

	for (size_t i = 0; i < BOUNDS; i++) {
		struct buf n;

		seen += atomic_load(&c->bucket[i]);
		buf_init(&n, sizeof le - 1);
		buf_addf(&n, "%g", (double)bounds_us[i] / 1e6);
		memcpy(le, buf_str(&n), n.len + 1);
		buf_free(&n);
		buf_addf(out, "%s_bucket", rows[m].name);
		print_label(out, rows[m].label, label, le);
		buf_addf(out, " %lld\n", (long long)seen);
	}
	buf_addf(out, "%s_bucket", rows[m].name);
	print_label(out, rows[m].label, label, "+Inf");
	buf_addf(out, " %lld\n%s_sum", (long long)atomic_load(&c->value), rows[m].name);
	print_label(out, rows[m].label, label, NULL);
	buf_addf(out, " %.6f\n%s_count", (double)atomic_load(&c->sum_us) / 1e6, rows[m].name);
	print_label(out, rows[m].label, label, NULL);
	buf_addf(out, " %lld\n", (long long)atomic_load(&c->value));
}

void metrics_print(struct buf *out)
{
	static const char *const kinds[] = { "counter", "gauge", "histogram" };

	for (int m = 0; m < METRIC_COUNT; m++) {
		bool labelled = rows[m].label[0] != '\0';

		buf_addf(out, "# HELP %s %s\n# TYPE %s %s\n", rows[m].name, rows[m].help, rows[m].name,
			 kinds[rows[m].kind]);
		for (size_t i = 0; i <= LABELS_MAX; i++) {
			const struct cell *c = &cells[m][i];
			const char *label = i ? atomic_load(&c->label) : labelled ? "other" : NULL;

			if ((i > 0 && !label) || (i == 0 && labelled && atomic_load(&c->value) == 0))
				continue;
			if (rows[m].kind == HISTOGRAM) {
				print_histogram(out, (enum metric)m, c, label);
				continue;
			}
			buf_adds(out, rows[m].name);
			print_label(out, rows[m].label, label, NULL);
			buf_addf(out, " %lld\n", (long long)atomic_load(&c->value));
		}
	}
}
