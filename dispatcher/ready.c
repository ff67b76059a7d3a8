/* SPDX-License-Identifier: Apache-2.0 */
#include "dispatcher/ready.h"

#include <stdlib.h>
#include <string.h>

static void grow(struct ready_fifo *f)
{
	size_t cap = f->cap ? 2 * f->cap : 64;
	struct ready_entry *items = calloc(cap, sizeof *items);

	ensure(items != NULL);
	for (size_t i = 0; i < f->count; i++)
		items[i] = f->items[(f->head + i) % f->cap];
	free(f->items);
	f->items = items;
	f->cap = cap;
	f->head = 0;
}

static struct ready_fifo *fifo_of(struct ready *r, bool first)
{
	return first ? &r->first : &r->again;
}

void ready_free(struct ready *r)
{
	free(r->first.items);
	free(r->again.items);
	memset(r, 0, sizeof *r);
}

size_t ready_depth(const struct ready *r)
{
	return r->first.count + r->again.count;
}

void ready_put(struct ready *r, struct ready_entry e)
{
	struct ready_fifo *f = fifo_of(r, e.first);

	if (ready_depth(r) >= READY_MAX) {
		r->overflow = true;
		return;
	}
	if (f->count == f->cap)
		grow(f);
	f->items[(f->head + f->count++) % f->cap] = e;
}

void ready_put_back(struct ready *r, struct ready_entry e)
{
	struct ready_fifo *f = fifo_of(r, e.first);

	if (f->count == f->cap)
		grow(f);
	f->head = (f->head + f->cap - 1) % f->cap;
	f->items[f->head] = e;
	f->count++;
}

size_t ready_take(struct ready *r, size_t n, struct ready_entry *out)
{
	size_t taken = 0;

	while (taken < n && ready_depth(r) > 0) {
		bool again = r->again.count > 0 && (r->again_next || r->first.count == 0);
		struct ready_fifo *f = again ? &r->again : &r->first;

		r->again_next = !again;
		out[taken++] = f->items[f->head];
		f->head = (f->head + 1) % f->cap;
		f->count--;
	}
	return taken;
}

void later_free(struct later *l)
{
	free(l->items);
	memset(l, 0, sizeof *l);
}

static void swap(struct later_entry *a, struct later_entry *b)
{
	struct later_entry t = *a;

	*a = *b;
	*b = t;
}

void later_put(struct later *l, struct later_entry e)
{
	size_t i = l->count++;

	if (l->count > l->cap) {
		l->cap = l->cap ? 2 * l->cap : 64;
		l->items = realloc(l->items, l->cap * sizeof *l->items);
		ensure(l->items != NULL);
	}
	l->items[i] = e;
	while (i > 0 && l->items[(i - 1) / 2].due_ms > l->items[i].due_ms) {
		swap(&l->items[(i - 1) / 2], &l->items[i]);
		i = (i - 1) / 2;
	}
}

/* Moves an entry down to its place. */
static void sink(struct later *l, size_t i)
{
	for (;;) {
		size_t least = i, a = 2 * i + 1, b = a + 1;

		if (a < l->count && l->items[a].due_ms < l->items[least].due_ms)
			least = a;
		if (b < l->count && l->items[b].due_ms < l->items[least].due_ms)
			least = b;
		if (least == i)
			return;
		swap(&l->items[i], &l->items[least]);
		i = least;
	}
}

void later_forget(struct later *l, int64_t job_id)
{
	size_t kept = 0;

	for (size_t i = 0; i < l->count; i++)
		if (l->items[i].job_id != job_id)
			l->items[kept++] = l->items[i];
	if (kept == l->count)
		return;
	l->count = kept;
	for (size_t i = kept / 2; i-- > 0;)
		sink(l, i);
}

bool later_take(struct later *l, utc_ms now, struct later_entry *ret)
{
	if (l->count == 0 || l->items[0].due_ms > now)
		return false;
	*ret = l->items[0];
	l->items[0] = l->items[--l->count];
	sink(l, 0);
	return true;
}
