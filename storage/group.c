/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/group.h"

#include "storage/account.h"
#include "storage/secret.h"

/* ---- groups ---- */

/* ERR_GROUP_NOT_FOUND when it was deleted since it was found. */
static enum err lock_row(struct db *db, enum stmt how, int64_t id)
{
	struct args a;

	args_init(&a, db);
	arg_int(&a, id);
	return db_one_or(db, how, &a, ERR_GROUP_NOT_FOUND, NULL);
}

/* Is there room for one more, and for one more below its parent? */
static enum err check_room(struct db *db, int64_t account_id, int64_t parent_id, int64_t limit)
{
	struct rows *r;
	struct args a;

	args_init(&a, db);
	arg_int(&a, account_id);
	TRY(store_account_lock(db, account_id));
	TRY(db_one(db, S_group_count, &a, &r));
	if (limit > 0 && row_int(r, 0, C_group_count_n) >= limit)
		return fail_param(db_error(db), ERR_GROUP_COUNT, NULL);
	if (parent_id == 0)
		return OK;
	TRY(lock_row(db, S_group_hold, parent_id));
	args_init(&a, db);
	arg_int(&a, parent_id);
	TRY(db_one(db, S_group_place, &a, &r));
	if (row_int(r, 0, C_group_place_level) >= GROUP_LEVELS_MAX)
		return fail_param(db_error(db), ERR_GROUP_LEVEL, NULL);
	if (row_int(r, 0, C_group_place_children) >= GROUP_CHILDREN_MAX)
		return fail_param(db_error(db), ERR_GROUP_COUNT, NULL);
	return OK;
}

static void query_args(struct args *a, const struct group_query *q)
{
	static const struct group_query none;

	q = q ? q : &none;
	arg_texts(a, q->product_keys, q->n_product_keys);
	arg_texts(a, q->names, q->n_names);
	arg_texts(a, q->statuses, q->n_statuses);
	arg_texts(a, q->tag_keys, q->n_tags);
	arg_texts(a, q->tag_values, q->n_tags);
}

enum err store_group_add(struct db *db, int64_t account_id, int64_t instance_id, struct group *g,
			 const struct group_query *q, int64_t limit)
{
	struct rows *r;
	struct args a;

	TRY(check_room(db, account_id, g->parent_id, limit));
	g->group_id = secret_new(db_arena(db), GROUP_ID_LEN);
	args_init(&a, db);
	arg_int(&a, account_id);
	arg_int(&a, instance_id);
	arg_text(&a, g->group_id);
	arg_int_or_null(&a, g->parent_id, 0);
	arg_text(&a, g->kind);
	arg_text(&a, g->name);
	arg_text(&a, g->description);
	arg_int(&a, g->created_ms);
	arg_text(&a, g->expression);
	query_args(&a, q);
	TRY(db_one_or(db, S_group_add, &a, ERR_GROUP_NAME_EXISTS, &r));
	g->id = row_int(r, 0, C_group_add_id);
	return OK;
}

/* All statements that answer with groups have the same columns. */
static struct group group_row(const struct rows *r, int i)
{
	return (struct group){
		.id = row_int(r, i, C_group_find_id),
		.group_id = row_text(r, i, C_group_find_group_id),
		.kind = row_text(r, i, C_group_find_kind),
		.name = row_text(r, i, C_group_find_name),
		.description = row_text(r, i, C_group_find_description),
		.expression = row_text(r, i, C_group_find_expression),
		.parent_id = row_int(r, i, C_group_find_parent_id),
		.created_ms = row_int(r, i, C_group_find_created_ms),
	};
}

static const struct group *group_rows(struct db *db, const struct rows *r, size_t *ret_n)
{
	struct group *g = ARENA_ARRAY(db_arena(db), (size_t)rows_count(r), struct group);

	for (int i = 0; i < rows_count(r); i++)
		g[i] = group_row(r, i);
	*ret_n = (size_t)rows_count(r);
	return g;
}

enum err store_group_find(struct db *db, int64_t account_id, const char *group_id, const char *kind,
			  struct group *ret)
{
	struct rows *r;
	struct args a;

	args_init(&a, db);
	arg_int(&a, account_id);
	arg_text(&a, group_id);
	arg_text(&a, kind);
	TRY(db_one_or(db, S_group_find, &a, ERR_GROUP_NOT_FOUND, &r));
	*ret = group_row(r, 0);
	return OK;
}

enum err store_group_parent(struct db *db, const struct group *g, struct group *ret)
{
	struct rows *r;
	struct args a;

	*ret = (struct group){ .id = 0 };
	args_init(&a, db);
	arg_int(&a, g->parent_id);
	TRY(db_run(db, S_group_by_id, &a, &r));
	if (rows_count(r) > 0)
		*ret = group_row(r, 0);
	return OK;
}

enum err store_group_hold(struct db *db, int64_t id)
{
	return lock_row(db, S_group_hold, id);
}

enum err store_group_describe(struct db *db, int64_t id, const char *description)
{
	struct args a;

	args_init(&a, db);
	arg_int(&a, id);
	arg_text(&a, description);
	return db_run(db, S_group_describe, &a, NULL);
}

enum err store_group_delete(struct db *db, int64_t account_id, int64_t id, utc_ms now)
{
	struct rows *r;
	struct args a;

	TRY(store_account_lock(db, account_id));
	TRY(lock_row(db, S_group_lock_whole, id));
	args_init(&a, db);
	arg_int(&a, id);
	TRY(db_one(db, S_group_uses, &a, &r));
	if (row_int(r, 0, C_group_uses_children) > 0)
		return fail_param(db_error(db), ERR_GROUP_HAS_SUBGROUPS, NULL);
	if (row_int(r, 0, C_group_uses_jobs) > 0)
		return fail_param(db_error(db), ERR_GROUP_DELETE, NULL);
	arg_int(&a, now);
	return db_run(db, S_group_delete, &a, NULL);
}

enum err store_group_counts(struct db *db, int64_t id, int64_t product_id, struct device_counts *ret)
{
	struct rows *r;
	struct args a;

	args_init(&a, db);
	arg_int(&a, id);
	arg_int_or_null(&a, product_id, 0);
	TRY(db_one(db, S_group_counts, &a, &r));
	*ret = (struct device_counts){
		.devices = row_int(r, 0, C_group_counts_devices),
		.active = row_int(r, 0, C_group_counts_active),
		.online = row_int(r, 0, C_group_counts_online),
	};
	return OK;
}

/* A page and the total of the same question, whose arguments are given. */
static enum err groups_page(struct db *db, enum stmt count_stmt, enum stmt page, struct args *a, int64_t from,
			    int64_t count, const struct group **ret, size_t *ret_n, int64_t *ret_total)
{
	struct rows *r;

	TRY(db_page(db, count_stmt, page, a, from, count, &r, ret_total));
	*ret = group_rows(db, r, ret_n);
	return OK;
}

enum err store_group_page(struct db *db, int64_t account_id, int64_t instance_id, const char *kind,
			  const char *name, int64_t parent_id, int64_t from, int64_t count,
			  const struct group **ret, size_t *ret_n, int64_t *ret_total)
{
	struct args a;

	args_init(&a, db);
	arg_int(&a, account_id);
	arg_int(&a, instance_id);
	arg_text(&a, kind);
	arg_text(&a, name);
	arg_int_or_null(&a, parent_id, 0);
	return groups_page(db, S_group_page_count, S_group_page, &a, from, count, ret, ret_n, ret_total);
}

enum err store_groups_of_device(struct db *db, int64_t device_id, const struct group **ret, size_t *ret_n)
{
	struct rows *r;
	struct args a;

	args_init(&a, db);
	arg_int(&a, device_id);
	TRY(db_run(db, S_group_of_device, &a, &r));
	*ret = group_rows(db, r, ret_n);
	return OK;
}

/* ---- devices ---- */

/* Locks the group and then the devices, and says who they are: both stay what they are until the end of the
 * transaction. */
static enum err lock_both(struct db *db, int64_t account_id, int64_t id, const char *const *product_keys,
			  const char *const *names, size_t n, int64_t **ret_ids, size_t *ret_n)
{
	struct rows *r;
	struct args a;

	TRY(lock_row(db, S_group_lock, id));
	args_init(&a, db);
	arg_int(&a, account_id);
	arg_texts(&a, product_keys, n);
	arg_texts(&a, names, n);
	TRY(db_run(db, S_group_lock_devices, &a, &r));
	*ret_n = (size_t)rows_count(r);
	*ret_ids = ARENA_ARRAY(db_arena(db), *ret_n, int64_t);
	for (size_t i = 0; i < *ret_n; i++)
		(*ret_ids)[i] = row_int(r, (int)i, C_group_lock_devices_id);
	return OK;
}

enum err store_group_devices_add(struct db *db, int64_t account_id, int64_t id,
				 const char *const *product_keys, const char *const *names, size_t n,
				 int64_t limit, struct group_change *ret)
{
	struct group_change out = { 0 };
	struct rows *r;
	struct args a;
	int64_t *ids;
	size_t n_ids;

	TRY(lock_both(db, account_id, id, product_keys, names, n, &ids, &n_ids));
	args_init(&a, db);
	arg_int(&a, id);
	arg_ints(&a, ids, n_ids);
	arg_int(&a, GROUPS_PER_DEVICE_MAX);
	TRY(db_one(db, S_group_members_of, &a, &r));
	out.valid = (int64_t)n_ids;
	out.inside = row_int(r, 0, C_group_members_of_inside);
	out.full = row_int(r, 0, C_group_members_of_full);
	if (limit > 0 &&
	    row_int(r, 0, C_group_members_of_members) + out.valid - out.inside - out.full > limit)
		return fail_param(db_error(db), ERR_GROUP_BIND, NULL);
	TRY(db_run(db, S_group_members_add, &a, NULL));
	out.changed = db_touched(db);
	*ret = out;
	return OK;
}

enum err store_group_devices_remove(struct db *db, int64_t account_id, int64_t id,
				    const char *const *product_keys, const char *const *names, size_t n,
				    struct group_change *ret)
{
	struct args a;
	int64_t *ids;
	size_t n_ids;

	TRY(lock_both(db, account_id, id, product_keys, names, n, &ids, &n_ids));
	args_init(&a, db);
	arg_int(&a, id);
	arg_ints(&a, ids, n_ids);
	TRY(db_run(db, S_group_members_remove, &a, NULL));
	*ret = (struct group_change){ .valid = (int64_t)n_ids,
				      .inside = db_touched(db),
				      .changed = db_touched(db) };
	return OK;
}

enum err store_group_devices(struct db *db, int64_t id, const struct group_filter *filter, int64_t from,
			     int64_t count, const struct group_device **ret, size_t *ret_n,
			     int64_t *ret_total)
{
	struct group_device *d;
	bool in_blocks;
	struct rows *r;
	struct args a;

	args_init(&a, db);
	arg_int(&a, id);
	arg_text(&a, filter->product_key);
	arg_text(&a, filter->name);
	arg_text(&a, filter->name_prefix);
	arg_text(&a, filter->status);
	TRY(db_one(db, S_group_devices_count, &a, &r));
	*ret_total = row_int(r, 0, C_group_devices_count_n);
	in_blocks = row_bool(r, 0, C_group_devices_count_in_blocks);
	arg_int(&a, filter->below_id ? filter->below_id : INT64_MAX);
	arg_int(&a, from);
	arg_int(&a, count);
	TRY(db_run(db, in_blocks ? S_group_devices_in_blocks : S_group_devices, &a, &r));
	*ret_n = (size_t)rows_count(r);
	d = ARENA_ARRAY(db_arena(db), *ret_n, struct group_device);
	for (int i = 0; i < rows_count(r); i++)
		d[i] = (struct group_device){
			.id = row_int(r, i, C_group_devices_id),
			.product_key = row_text(r, i, C_group_devices_product_key),
			.product_name = row_text(r, i, C_group_devices_product_name),
			.category_key = row_text(r, i, C_group_devices_category_key),
			.node_type = row_int(r, i, C_group_devices_node_type),
			.name = row_text(r, i, C_group_devices_name),
			.nickname = row_text(r, i, C_group_devices_nickname),
			.status = row_text(r, i, C_group_devices_status),
			.active_ms = row_int(r, i, C_group_devices_active_ms),
			.online_ms = row_int(r, i, C_group_devices_online_ms),
		};
	*ret = d;
	return OK;
}

/* ---- tags ---- */

static void tag_args(struct args *a, struct arena *arena, const struct group_tag *tags, size_t n)
{
	const char **keys = ARENA_ARRAY(arena, n, const char *),
		   **values = ARENA_ARRAY(arena, n, const char *);

	for (size_t i = 0; i < n; i++) {
		keys[i] = tags[i].key;
		values[i] = tags[i].value;
	}
	arg_texts(a, keys, n);
	arg_texts(a, values, n);
}

enum err store_group_tags_set(struct db *db, int64_t id, const struct group_tag *tags, size_t n)
{
	struct args a;

	TRY(lock_row(db, S_group_lock, id));
	args_init(&a, db);
	arg_int(&a, id);
	tag_args(&a, db_arena(db), tags, n);
	return db_run(db, S_group_tags_set, &a, NULL);
}

enum err store_group_tags(struct db *db, int64_t id, const struct group_tag **ret, size_t *ret_n)
{
	struct group_tag *tags;
	struct rows *r;
	struct args a;

	args_init(&a, db);
	arg_int(&a, id);
	TRY(db_run(db, S_group_tags, &a, &r));
	*ret_n = (size_t)rows_count(r);
	tags = ARENA_ARRAY(db_arena(db), *ret_n, struct group_tag);
	for (int i = 0; i < rows_count(r); i++)
		tags[i] = (struct group_tag){ .key = row_text(r, i, C_group_tags_key),
					      .value = row_text(r, i, C_group_tags_value) };
	*ret = tags;
	return OK;
}

enum err store_groups_by_tags(struct db *db, int64_t account_id, int64_t instance_id,
			      const struct group_tag *tags, size_t n_tags, int64_t from, int64_t count,
			      const struct group **ret, size_t *ret_n, int64_t *ret_total)
{
	struct args a;

	args_init(&a, db);
	arg_int(&a, account_id);
	arg_int(&a, instance_id);
	tag_args(&a, db_arena(db), tags, n_tags);
	return groups_page(db, S_group_by_tags_count, S_group_by_tags, &a, from, count, ret, ret_n,
			   ret_total);
}
