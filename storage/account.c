/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/account.h"

#include "engine/base/crypto.h"

#include <string.h>

#define INSTANCE_RANDOM 10

static enum err add_default_instance(struct db *db, int64_t account_id, utc_ms now)
{
	struct args a;
	char id[sizeof "iot-" + INSTANCE_RANDOM] = "iot-";

	crypto_random_text(id + 4, INSTANCE_RANDOM);
	args_init(&a, db);
	arg_int(&a, account_id);
	arg_text(&a, id);
	arg_int(&a, now);
	return db_run(db, S_instance_add_default, &a, NULL);
}

enum err store_account_ensure(struct db *db, const char *name, utc_ms now, int64_t *ret_id)
{
	struct args a;

	args_init(&a, db);
	arg_text(&a, name);
	arg_int(&a, now);
	TRY(db_run(db, S_account_add, &a, NULL));
	TRY(store_account_find(db, name, ret_id));
	return add_default_instance(db, *ret_id, now);
}

enum err store_account_find(struct db *db, const char *name, int64_t *ret_id)
{
	struct args a;
	struct rows *r = NULL;

	args_init(&a, db);
	arg_text(&a, name);
	TRY(db_one(db, S_account_by_name, &a, &r));
	*ret_id = row_int(r, 0, C_account_by_name_id);
	return OK;
}

enum err store_account_lock(struct db *db, int64_t account_id)
{
	struct args a;

	args_init(&a, db);
	arg_int(&a, account_id);
	return db_one(db, S_account_lock, &a, NULL);
}

enum err store_instance_find(struct db *db, int64_t account_id, const char *instance_id, int64_t *ret_id)
{
	struct args a;
	struct rows *r = NULL;

	args_init(&a, db);
	arg_int(&a, account_id);
	if (instance_id)
		arg_text(&a, instance_id);
	TRY(db_one_or(db, instance_id ? S_instance_by_id : S_instance_default, &a, ERR_INSTANCE_NOT_FOUND, &r));
	*ret_id = row_int(r, 0, C_instance_by_id_id); /* the first column of both */
	return OK;
}
