/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/device_view.h"

/* All statements that answer with devices have the same columns. */
static enum err view_row(struct db *db, const struct seal_key *master, const struct rows *r, int i,
			 struct device_view *ret)
{
	struct arena *arena = db_arena(db);
	struct sealed sealed;

	*ret = (struct device_view){
		.id = row_int(r, i, C_device_view_id),
		.product_key = row_text(r, i, C_device_view_product_key),
		.product_name = row_text(r, i, C_device_view_product_name),
		.node_type = row_int(r, i, C_device_view_node_type),
		.name = row_text(r, i, C_device_view_name),
		.nickname = row_text(r, i, C_device_view_nickname),
		.status = row_text(r, i, C_device_view_status),
		.version = row_text(r, i, C_device_view_version),
		.ip = row_text(r, i, C_device_view_ip),
		.created_ms = row_int(r, i, C_device_view_created_ms),
		.modified_ms = row_int(r, i, C_device_view_modified_ms),
		.active_ms = row_int(r, i, C_device_view_active_ms),
		.online_ms = row_int(r, i, C_device_view_online_ms),
		.changed_ms = row_int(r, i, C_device_view_changed_ms),
	};
	if (!master)
		return OK;
	sealed.data = row_bytes(r, i, C_device_view_secret, &sealed.len);
	return secret_open(arena, db_error(db), master, secret_aad_device(arena, ret->product_key, ret->name),
			   sealed, &ret->secret);
}

static enum err view_rows(struct db *db, const struct seal_key *master, const struct rows *r, struct device_views *ret)
{
	struct device_view *v = ARENA_ARRAY(db_arena(db), (size_t)rows_count(r), struct device_view);

	for (int i = 0; i < rows_count(r); i++)
		TRY(view_row(db, master, r, i, &v[i]));
	*ret = (struct device_views){ .n = (size_t)rows_count(r), .v = v };
	return OK;
}

enum err store_device_view(struct db *db, const struct seal_key *master, int64_t id, struct device_view *ret)
{
	struct rows *r;
	struct args a;

	args_init(&a, db);
	arg_int(&a, id);
	TRY(db_one_or(db, S_device_view, &a, ERR_DEVICE_NOT_FOUND, &r));
	return view_row(db, master, r, 0, ret);
}

enum err store_device_views_named(struct db *db, const struct seal_key *master, int64_t product_id,
				  const char *const *names, size_t n, struct device_views *ret)
{
	struct rows *r;
	struct args a;

	args_init(&a, db);
	arg_int(&a, product_id);
	arg_texts(&a, names, n);
	TRY(db_run(db, S_device_view_named, &a, &r));
	return view_rows(db, master, r, ret);
}

enum err store_device_views_of(struct db *db, int64_t account_id, const int64_t *ids, size_t n,
			       struct device_views *ret)
{
	struct rows *r;
	struct args a;

	args_init(&a, db);
	arg_int(&a, account_id);
	arg_ints(&a, ids, n);
	TRY(db_run(db, S_device_view_of, &a, &r));
	return view_rows(db, NULL, r, ret);
}

enum err store_device_page_below(struct db *db, const struct seal_key *master, int64_t product_id,
				 int64_t below_id, int64_t count, struct device_views *ret)
{
	struct rows *r;
	struct args a;

	args_init(&a, db);
	arg_int(&a, product_id);
	arg_int(&a, below_id);
	arg_int(&a, count);
	TRY(db_run(db, S_device_page_below, &a, &r));
	return view_rows(db, master, r, ret);
}

enum err store_device_page_status(struct db *db, const struct seal_key *master, int64_t account_id,
				  int64_t instance_id, int64_t product_id, const char *status, int64_t from,
				  int64_t count, struct device_views *ret, int64_t *ret_total)
{
	struct rows *r;
	struct args a;

	args_init(&a, db);
	arg_int(&a, account_id);
	arg_int(&a, instance_id);
	arg_int_or_null(&a, product_id, 0);
	arg_text(&a, status);
	TRY(db_page(db, S_device_status_count, S_device_status_page, &a, from, count, &r, ret_total));
	return view_rows(db, master, r, ret);
}

/* A page of many devices with the same tags is near in the first eighth of them. */
#define NEAR 8

enum err store_device_page_tags(struct db *db, int64_t instance_id, const char *tags, int64_t from,
				int64_t count, struct device_views *ret, int64_t *ret_total)
{
	struct rows *r;
	struct args a;

	args_init(&a, db);
	arg_int(&a, instance_id);
	arg_text(&a, tags);
	TRY(db_one(db, S_device_tags_count, &a, &r));
	*ret_total = row_int(r, 0, C_device_tags_count_n);
	arg_int(&a, from);
	arg_int(&a, count);
	TRY(db_run(db, (from + count) * NEAR < *ret_total ? S_device_tags_page_near : S_device_tags_page, &a,
		   &r));
	return view_rows(db, NULL, r, ret);
}

enum err store_device_counts(struct db *db, int64_t account_id, int64_t product_id, struct device_counts *ret)
{
	struct rows *r;
	struct args a;

	args_init(&a, db);
	arg_int(&a, account_id);
	arg_int_or_null(&a, product_id, 0);
	TRY(db_one(db, S_device_counts, &a, &r));
	*ret = (struct device_counts){
		.devices = row_int(r, 0, C_device_counts_devices),
		.active = row_int(r, 0, C_device_counts_active),
		.online = row_int(r, 0, C_device_counts_online),
	};
	return OK;
}

/* ---- tags ---- */

enum err store_device_tags(struct db *db, int64_t device_id, const char **ret)
{
	struct rows *r;
	struct args a;

	args_init(&a, db);
	arg_int(&a, device_id);
	TRY(db_run(db, S_device_tags_get, &a, &r));
	*ret = rows_count(r) > 0 ? row_text(r, 0, C_device_tags_get_tags) : "{}";
	return OK;
}

enum err store_device_tags_save(struct db *db, int64_t device_id, const char *tags)
{
	struct args a;

	args_init(&a, db);
	arg_int(&a, device_id);
	arg_text(&a, tags);
	arg_int(&a, DEVICE_TAGS_MAX);
	return db_one_or(db, S_device_tags_save, &a, ERR_DEVICE_TAGS_SAVE, NULL);
}

enum err store_device_tag_remove(struct db *db, int64_t device_id, const char *key)
{
	struct args a;

	args_init(&a, db);
	arg_int(&a, device_id);
	arg_text(&a, key);
	return db_run(db, S_device_tags_remove, &a, NULL);
}
