/* SPDX-License-Identifier: Apache-2.0 */
/* Candidates come from the directory, the verdict from the database, 500 at a time. */
#include "storage/store_sweep.h"

#include "engine/base/config.h"

#include <string.h>

#define BATCH 500
/* A CreateOTAFirmware that found its object in the 60th minute commits within this time, or never. */
#define COMMIT_SLACK_MS (2 * MS_PER_MINUTE)
#define TEMP_LIFE_MS MS_PER_HOUR

struct candidates {
	struct arena *arena;
	struct batch *first, *last;
};

struct batch {
	struct batch *next;
	size_t n;
	const char *keys[BATCH];
};

static void candidate_add(void *ctx, const char *key)
{
	struct candidates *c = ctx;

	if (!c->last || c->last->n == BATCH) {
		struct batch *b = ARENA_NEW(c->arena, struct batch);

		if (c->last)
			c->last->next = b;
		else
			c->first = b;
		c->last = b;
	}
	c->last->keys[c->last->n++] = arena_strdup(c->arena, key);
}

static enum err batch_sweep(struct db *db, struct package_store *s, const struct batch *b, utc_ms links_ms,
			    int64_t *deleted)
{
	struct args args;
	struct rows *rows = NULL;

	args_init(&args, db);
	arg_texts(&args, b->keys, b->n);
	arg_int(&args, links_ms);
	TRY(db_run(db, S_store_objects_used, &args, &rows));
	for (size_t i = 0; i < b->n; i++) {
		bool used = false;

		for (int r = 0; r < rows_count(rows) && !used; r++)
			used = strcmp(row_text(rows, r, C_store_objects_used_object_key), b->keys[i]) == 0;
		if (used)
			continue;
		package_store_delete(s, b->keys[i]);
		(*deleted)++;
	}
	return OK;
}

enum err store_sweep(struct db *db, struct package_store *s, utc_ms now, int64_t *ret_deleted)
{
	struct candidates c = { .arena = db_arena(db) };
	utc_ms links_ms = now - CONFIG_MAX_store_url_hours * MS_PER_HOUR;
	int64_t deleted = 0;

	package_store_clean(s, now - TEMP_LIFE_MS);
	package_store_each(s, now - STORE_UNUSED_MS - COMMIT_SLACK_MS, candidate_add, &c);
	for (const struct batch *b = c.first; b; b = b->next)
		TRY(batch_sweep(db, s, b, links_ms, &deleted));
	*ret_deleted = deleted;
	return OK;
}
