/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/apply.h"

#include "storage/device.h"
#include "storage/product.h"

#include <string.h>

enum err store_apply_add(struct db *db, int64_t account_id, int64_t product_id, int64_t wanted, utc_ms now,
			 int64_t *ret_id)
{
	struct rows *r = NULL;
	struct args a;

	TRY(store_product_hold(db, product_id));
	args_init(&a, db);
	arg_int(&a, account_id);
	arg_int(&a, product_id);
	arg_int(&a, wanted);
	arg_int(&a, now);
	TRY(db_one(db, S_apply_add, &a, &r));
	*ret_id = row_int(r, 0, C_apply_add_id);
	return OK;
}

enum err store_apply_check(struct db *db, int64_t account_id, int64_t product_id, const char *const *names,
			   const char *const *nicknames, size_t n, utc_ms now, int64_t *ret_id)
{
	struct rows *r = NULL;
	struct args a;

	args_init(&a, db);
	arg_int(&a, account_id);
	arg_int(&a, product_id);
	arg_texts(&a, names, n);
	arg_texts(&a, nicknames, n);
	arg_int(&a, now);
	TRY(db_one(db, S_apply_check, &a, &r));
	*ret_id = row_int(r, 0, C_apply_check_id);
	return OK;
}

enum err store_apply_order(struct db *db, const struct apply *ap)
{
	struct args a;

	if (strcmp(ap->status, "CREATE") == 0)
		return fail_param(db_error(db), ERR_APPLY_RUNNING, NULL);
	if (strcmp(ap->status, "CHECK_SUCCESS") != 0)
		return fail_param(db_error(db), ERR_APPLY_STATE, NULL);
	TRY(store_product_hold(db, ap->product_id));
	args_init(&a, db);
	arg_int(&a, ap->id);
	return db_one_or(db, S_apply_order, &a, ERR_APPLY_RUNNING, NULL); /* another call was faster */
}

enum err store_apply_names(struct db *db, int64_t id, const struct apply_name **ret, size_t *ret_n)
{
	struct apply_name *out;
	struct rows *r = NULL;
	struct args a;

	args_init(&a, db);
	arg_int(&a, id);
	TRY(db_run(db, S_apply_names, &a, &r));
	*ret_n = (size_t)rows_count(r);
	out = ARENA_ARRAY(db_arena(db), *ret_n, struct apply_name);
	for (int i = 0; i < rows_count(r); i++)
		out[i] = (struct apply_name){ .name = row_text(r, i, C_apply_names_name),
					      .nickname = row_text(r, i, C_apply_names_nickname),
					      .taken = row_bool(r, i, C_apply_names_taken) };
	*ret = out;
	return OK;
}

enum err store_apply_find(struct db *db, int64_t account_id, int64_t id, struct apply *ret)
{
	struct rows *r = NULL;
	struct args a;

	args_init(&a, db);
	arg_int(&a, account_id);
	arg_int(&a, id);
	TRY(db_one_or(db, S_apply_find, &a, ERR_APPLY_NOT_FOUND, &r));
	*ret = (struct apply){
		.id = row_int(r, 0, C_apply_find_id),
		.product_id = row_int(r, 0, C_apply_find_product_id),
		.status = row_text(r, 0, C_apply_find_status),
		.named = row_bool(r, 0, C_apply_find_named),
		.wanted = row_int(r, 0, C_apply_find_wanted),
	};
	return OK;
}

static enum err open_device(struct db *db, const struct seal_key *master, const struct rows *r, int i,
			    struct apply_device *ret)
{
	struct arena *arena = db_arena(db);
	const char *key = row_text(r, i, C_apply_page_product_key);
	struct sealed sealed = { 0 };

	ret->id = row_int(r, i, C_apply_page_id);
	ret->name = row_text(r, i, C_apply_page_name);
	sealed.data = row_bytes(r, i, C_apply_page_secret, &sealed.len);
	return secret_open(arena, db_error(db), master, secret_aad_device(arena, key, ret->name), sealed,
			   &ret->secret);
}

enum err store_apply_page(struct db *db, const struct seal_key *master, int64_t id, int64_t from,
			  int64_t count, const struct apply_device **ret, size_t *ret_n, int64_t *ret_total)
{
	struct rows *r = NULL, *total = NULL;
	struct apply_device *out;
	struct args a;

	args_init(&a, db);
	arg_int(&a, id);
	TRY(db_one(db, S_apply_count, &a, &total));
	*ret_total = row_int(total, 0, C_apply_count_n);
	arg_int(&a, from);
	arg_int(&a, count);
	TRY(db_run(db, S_apply_page, &a, &r));
	*ret_n = (size_t)rows_count(r);
	out = ARENA_ARRAY(db_arena(db), *ret_n, struct apply_device);
	for (int i = 0; i < rows_count(r); i++)
		TRY(open_device(db, master, r, i, &out[i]));
	*ret = out;
	return OK;
}

enum err store_apply_claim(struct db *db, int64_t most, struct apply *ret)
{
	struct rows *r = NULL;
	struct args a;
	size_t n;

	args_init(&a, db);
	arg_int(&a, most);
	TRY(db_one(db, S_apply_claim, &a, &r));
	*ret = (struct apply){
		.id = row_int(r, 0, C_apply_claim_id),
		.product_id = row_int(r, 0, C_apply_claim_product_id),
		.product_key = row_text(r, 0, C_apply_claim_product_key),
		.wanted = row_int(r, 0, C_apply_claim_wanted),
		.made = row_int(r, 0, C_apply_claim_made),
		.named = !row_null(r, 0, C_apply_claim_names),
	};
	ret->names = row_texts(r, 0, C_apply_claim_names, &ret->n_names);
	ret->nicknames = row_texts(r, 0, C_apply_claim_nicknames, &n);
	return OK;
}

/* The next devices of the order, with secrets of their own. */
static struct device_import *next_devices(struct arena *arena, const struct apply *ap, size_t n)
{
	struct device_import *in = ARENA_ARRAY(arena, n, struct device_import);

	for (size_t i = 0; i < n; i++) {
		in[i].name = ap->named ? ap->names[i] : secret_new(arena, DEVICE_NAME_RANDOM_LEN);
		in[i].secret = secret_new(arena, DEVICE_SECRET_LEN);
		if (ap->named && ap->nicknames[i][0])
			in[i].nickname = ap->nicknames[i];
	}
	return in;
}

enum err store_apply_make(struct db *db, const struct seal_key *master, const struct apply *ap, int64_t most,
			  utc_ms now)
{
	struct arena *arena = db_arena(db);
	size_t n = ap->named ? ap->n_names : (size_t)i64_min(most, ap->wanted - ap->made);
	struct device_import *in = next_devices(arena, ap, n);
	int64_t added = 0;
	struct args a;

	TRY(store_devices_add(db, master, ap->product_id, ap->product_key, in, n, ap->id, now, &added));
	args_init(&a, db);
	arg_int(&a, ap->id);
	arg_int(&a, (int64_t)n);
	arg_int(&a, now);
	arg_texts(&a, ap->names, ap->n_names);
	return db_run(db, S_apply_advance, &a, NULL);
}

enum err store_apply_finish(struct db *db, utc_ms waited_since)
{
	struct args a;

	args_init(&a, db);
	arg_int(&a, waited_since);
	return db_run(db, S_apply_finish, &a, NULL);
}

enum err store_apply_open(struct db *db, int64_t *ret_n)
{
	struct rows *r = NULL;

	TRY(db_one(db, S_apply_open, NULL, &r));
	*ret_n = row_int(r, 0, C_apply_open_n);
	return OK;
}

enum err store_apply_forget(struct db *db, utc_ms before)
{
	struct args a;

	args_init(&a, db);
	arg_int(&a, before);
	return db_run(db, S_apply_forget, &a, NULL);
}
