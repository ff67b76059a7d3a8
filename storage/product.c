/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/product.h"

#include "engine/base/crypto.h"
#include "storage/account.h"

static const char *product_key_new(struct arena *a)
{
	return arena_printf(a, "a1%s", secret_new(a, PRODUCT_KEY_LEN - 2));
}

/* The lock makes the count exact for calls that come at once. */
static enum err check_count(struct db *db, int64_t account_id, int64_t limit)
{
	struct args a;
	struct rows *r = NULL;

	args_init(&a, db);
	arg_int(&a, account_id);
	TRY(store_account_lock(db, account_id));
	TRY(db_one(db, S_product_count, &a, &r));
	if (limit > 0 && row_int(r, 0, C_product_count_n) >= limit)
		return fail_param(db_error(db), ERR_PRODUCT_COUNT, NULL);
	return OK;
}

static void product_args(struct args *a, const struct product *p, struct sealed secret)
{
	arg_int(a, p->account_id);
	arg_int(a, p->instance_id);
	arg_text(a, p->product_key);
	arg_text(a, p->name);
	arg_bytes(a, secret.data, secret.len);
	arg_text(a, p->description);
	arg_int(a, p->node_type);
	arg_int_or_null(a, p->data_format, -1);
	arg_text(a, p->commodity);
	arg_text(a, p->protocol);
	arg_text(a, p->net_type);
	arg_text(a, p->auth_type);
	arg_bool(a, p->id2);
	arg_text(a, p->category_key);
	arg_int(a, p->validate_type);
	arg_int(a, p->created_ms);
}

/* Which of the two unique keys was in the way? */
static enum err explain_conflict(struct db *db, const struct product *p, bool key_was_given)
{
	struct args a;
	struct rows *r = NULL;

	args_init(&a, db);
	arg_int(&a, p->account_id);
	arg_text(&a, p->name);
	TRY(db_run(db, S_product_by_name, &a, &r));
	if (key_was_given && rows_count(r) == 0)
		return fail(db_error(db), ERR_DB_CONFLICT, "the ProductKey %s exists already",
			    p->product_key);
	return fail_param(db_error(db), ERR_PRODUCT_NAME_EXISTS, NULL);
}

enum err store_product_add(struct db *db, const struct seal_key *master, struct product *p, int64_t limit,
			   const char *secret, const char **ret_secret)
{
	struct arena *arena = db_arena(db);
	bool key_was_given = p->product_key != NULL;
	struct rows *r = NULL;
	struct args a;
	enum err e;

	TRY(check_count(db, p->account_id, limit));
	if (!key_was_given)
		p->product_key = product_key_new(arena);
	if (!secret)
		secret = secret_new(arena, PRODUCT_SECRET_LEN);
	args_init(&a, db);
	product_args(&a, p, secret_seal(arena, master, secret_aad_product(arena, p->product_key), secret));
	e = db_one(db, S_product_add, &a, &r);
	if (e == ERR_NOT_FOUND)
		return explain_conflict(db, p, key_was_given);
	TRY(e);
	p->id = row_int(r, 0, C_product_add_id);
	*ret_secret = secret;
	return OK;
}

enum err store_product_find(struct db *db, int64_t account_id, const char *product_key, struct product *ret)
{
	struct rows *r = NULL;
	struct args a;

	args_init(&a, db);
	arg_int(&a, account_id);
	arg_text(&a, product_key);
	TRY(db_one_or(db, S_product_find, &a, ERR_PRODUCT_NOT_FOUND, &r));
	*ret = (struct product){
		.id = row_int(r, 0, C_product_find_id),
		.account_id = account_id,
		.instance_id = row_int(r, 0, C_product_find_instance_id),
		.product_key = row_text(r, 0, C_product_find_product_key),
		.name = row_text(r, 0, C_product_find_name),
		.description = row_text(r, 0, C_product_find_description),
		.node_type = row_int(r, 0, C_product_find_node_type),
		.data_format = row_int_or(r, 0, C_product_find_data_format, -1),
		.commodity = row_text(r, 0, C_product_find_commodity),
		.protocol = row_text(r, 0, C_product_find_protocol),
		.net_type = row_text(r, 0, C_product_find_net_type),
		.auth_type = row_text(r, 0, C_product_find_auth_type),
		.id2 = row_bool(r, 0, C_product_find_id2),
		.category_key = row_text(r, 0, C_product_find_category_key),
		.validate_type = row_int(r, 0, C_product_find_validate_type),
		.created_ms = row_int(r, 0, C_product_find_created_ms),
	};
	ret->secret.data = row_bytes(r, 0, C_product_find_secret, &ret->secret.len);
	return OK;
}

/* Of an account's own; ERR_PRODUCT_NOT_FOUND when it was deleted since it was found. */
static enum err lock_row(struct db *db, enum stmt how, int64_t id)
{
	struct args a;

	args_init(&a, db);
	arg_int(&a, id);
	return db_one_or(db, how, &a, ERR_PRODUCT_NOT_FOUND, NULL);
}

enum err store_product_hold(struct db *db, int64_t id)
{
	return lock_row(db, S_product_hold, id);
}

enum err store_product_lock_tasks(struct db *db, int64_t id)
{
	struct args a;

	args_init(&a, db);
	arg_int(&a, id);
	return db_one(db, S_product_lock_tasks, &a, NULL);
}

enum err store_product_secret(struct db *db, const struct seal_key *master, const struct product *p,
			      const char **ret)
{
	return secret_open(db_arena(db), db_error(db), master,
			   secret_aad_product(db_arena(db), p->product_key), p->secret, ret);
}

enum err store_product_devices(struct db *db, int64_t id, int64_t *ret_n)
{
	struct rows *r;
	struct args a;

	args_init(&a, db);
	arg_int(&a, id);
	TRY(db_one(db, S_product_devices, &a, &r));
	*ret_n = row_int(r, 0, C_product_devices_n);
	return OK;
}

enum err store_product_page(struct db *db, int64_t account_id, int64_t instance_id, const char *commodity,
			    int64_t from, int64_t count, const struct product **ret, size_t *ret_n,
			    int64_t *ret_total)
{
	struct product *p;
	struct rows *r;
	struct args a;

	args_init(&a, db);
	arg_int(&a, account_id);
	arg_int(&a, instance_id);
	arg_text(&a, commodity);
	TRY(db_page(db, S_product_page_count, S_product_page, &a, from, count, &r, ret_total));
	*ret_n = (size_t)rows_count(r);
	p = ARENA_ARRAY(db_arena(db), *ret_n, struct product);
	for (int i = 0; i < rows_count(r); i++)
		p[i] = (struct product){
			.product_key = row_text(r, i, C_product_page_product_key),
			.name = row_text(r, i, C_product_page_name),
			.description = row_text(r, i, C_product_page_description),
			.auth_type = row_text(r, i, C_product_page_auth_type),
			.node_type = row_int(r, i, C_product_page_node_type),
			.data_format = row_int_or(r, i, C_product_page_data_format, -1),
			.devices = row_int(r, i, C_product_page_devices),
			.created_ms = row_int(r, i, C_product_page_created_ms),
		};
	*ret = p;
	return OK;
}

enum err store_product_update(struct db *db, int64_t account_id, int64_t id, const char *name,
			      const char *description)
{
	struct args a;

	TRY(store_account_lock(db, account_id));
	args_init(&a, db);
	arg_int(&a, id);
	arg_text(&a, name);
	arg_text(&a, description);
	return db_one_or(db, S_product_update, &a, ERR_PRODUCT_NAME_EXISTS, NULL);
}

enum err store_product_delete(struct db *db, int64_t id, utc_ms now)
{
	struct rows *r;
	struct args a;

	TRY(lock_row(db, S_product_lock, id));
	args_init(&a, db);
	arg_int(&a, id);
	TRY(db_one(db, S_product_contents, &a, &r));
	if (row_bool(r, 0, C_product_contents_devices) || row_bool(r, 0, C_product_contents_packages) ||
	    row_bool(r, 0, C_product_contents_applies))
		return fail_param(db_error(db), ERR_PRODUCT_DELETE, NULL);
	arg_int(&a, now);
	return db_run(db, S_product_delete, &a, NULL);
}
