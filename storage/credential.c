/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/credential.h"

#include "engine/base/log.h"
#include "engine/brokerlink.h"
#include "storage/txn.h"

#include <string.h>

static const char *open_secret(struct db *db, const struct seal_key *master, const struct credential *c,
			       const struct rows *r, int i, int col)
{
	const char *aad = strcmp(c->product_key, LINK_REGISTER) == 0
				  ? secret_aad_product(db_arena(db), c->device_name)
				  : secret_aad_device(db_arena(db), c->product_key, c->device_name);
	const char *plain;
	struct error e;
	struct sealed s;

	error_init(&e, db_arena(db));
	s.data = row_bytes(r, i, col, &s.len);
	if (s.data && secret_open(db_arena(db), &e, master, aad, s, &plain) == OK)
		return plain;
	log_limited(EV_SECRET_BAD, LSTR("product_key", c->product_key), LSTR("device_name", c->device_name));
	return NULL;
}

enum err store_credential_changes(struct db *db, const struct seal_key *master, bool bulk, int max,
				  struct credential **ret, size_t *ret_n)
{
	struct rows *r;
	struct args a;

	args_init(&a, db);
	arg_int(&a, max);
	TRY(db_run(db, bulk ? S_credential_changes_all : S_credential_changes, &a, &r));
	*ret_n = (size_t)rows_count(r);
	*ret = ARENA_ARRAY(db_arena(db), *ret_n, struct credential);
	for (int i = 0; i < rows_count(r); i++) {
		struct credential *c = &(*ret)[i];

		c->id = row_int(r, i, C_credential_changes_id);
		c->product_key = row_text(r, i, C_credential_changes_product_key);
		c->device_name = row_text(r, i, C_credential_changes_device_name);
		c->secret = row_text(r, i, C_credential_changes_plain);
		if (row_bool(r, i, C_credential_changes_may_login))
			c->secret = open_secret(db, master, c, r, i, C_credential_changes_secret);
	}
	return OK;
}

enum err store_credential_page(struct db *db, const struct seal_key *master, int64_t after_id, int max,
			       struct credential **ret, size_t *ret_n)
{
	struct rows *r;
	struct args a;

	args_init(&a, db);
	arg_int(&a, after_id);
	arg_int(&a, max);
	TRY(db_run(db, S_credential_page, &a, &r));
	*ret_n = (size_t)rows_count(r);
	*ret = ARENA_ARRAY(db_arena(db), *ret_n, struct credential);
	for (int i = 0; i < rows_count(r); i++) {
		struct credential *c = &(*ret)[i];

		c->id = row_int(r, i, C_credential_page_id);
		c->product_key = row_text(r, i, C_credential_page_product_key);
		c->device_name = row_text(r, i, C_credential_page_device_name);
		c->secret = open_secret(db, master, c, r, i, C_credential_page_secret);
	}
	return OK;
}

enum err store_credential_page_other(struct db *db, const struct seal_key *master,
				     const char *after_product_key, const char *after_device_name, int max,
				     struct credential **ret, size_t *ret_n)
{
	struct rows *r;
	struct args a;

	args_init(&a, db);
	arg_text(&a, after_product_key);
	arg_text(&a, after_device_name);
	arg_int(&a, max);
	TRY(db_run(db, S_credential_page_other, &a, &r));
	*ret_n = (size_t)rows_count(r);
	*ret = ARENA_ARRAY(db_arena(db), *ret_n, struct credential);
	for (int i = 0; i < rows_count(r); i++) {
		struct credential *c = &(*ret)[i];

		c->product_key = row_text(r, i, C_credential_page_other_product_key);
		c->device_name = row_text(r, i, C_credential_page_other_device_name);
		c->secret = row_text(r, i, C_credential_page_other_plain);
		if (!c->secret)
			c->secret = open_secret(db, master, c, r, i, C_credential_page_other_secret);
	}
	return OK;
}

enum err store_credential_position(struct db *db, int shard, int64_t *ret)
{
	struct rows *r;
	struct args a;
	enum err e;

	args_init(&a, db);
	arg_int(&a, shard);
	e = db_one(db, S_credential_position, &a, &r);
	if (e == ERR_NOT_FOUND) {
		*ret = 0;
		return OK;
	}
	TRY(e);
	*ret = row_int(r, 0, C_credential_position_position);
	return OK;
}

static enum err delivered_in_txn(struct db *db, int shard, const int64_t *change_ids, size_t n,
				 int64_t position)
{
	struct args a;

	if (n > 0) {
		args_init(&a, db);
		arg_ints(&a, change_ids, n);
		TRY(db_run(db, S_credential_delivered, &a, NULL));
	}
	args_init(&a, db);
	arg_int(&a, shard);
	arg_int(&a, position);
	return db_run(db, S_credential_reached, &a, NULL);
}

enum err store_credential_delivered(struct db *db, int shard, const int64_t *change_ids, size_t n,
				    int64_t position)
{
	TRY(db_begin(db));
	return txn_end(db, delivered_in_txn(db, shard, change_ids, n, position));
}
