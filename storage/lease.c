/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/lease.h"

enum err store_lease_take(struct db *db, int shard, const char *owner, int64_t ms, struct lease *ret)
{
	struct rows *r = NULL;
	struct args a;

	args_init(&a, db);
	arg_int(&a, shard);
	arg_text(&a, owner);
	arg_int(&a, ms);
	TRY(db_one(db, S_lease_take, &a, &r));
	*ret = (struct lease){ .epoch = row_int(r, 0, C_lease_take_epoch),
			       .since_ms = row_int(r, 0, C_lease_take_since_ms),
			       .now_ms = row_int(r, 0, C_lease_take_now_ms) };
	return OK;
}

enum err store_lease_machine(struct db *db, const char *boot_id, int64_t offset_ms, int64_t *ret_offset_ms)
{
	struct rows *r = NULL;
	struct args a;
	enum err e;

	args_init(&a, db);
	arg_text(&a, boot_id);
	arg_int(&a, offset_ms);
	e = db_one(db, S_lease_machine, &a, &r);
	if (e == ERR_NOT_FOUND)
		return fail(db_error(db), ERR_DB_RETRY, "another process registers the machine");
	TRY(e);
	*ret_offset_ms = row_int(r, 0, C_lease_machine_offset_ms);
	return OK;
}

enum err store_lease_check(struct db *db, int shard, const char *owner, int64_t epoch)
{
	struct args a;

	args_init(&a, db);
	arg_int(&a, shard);
	arg_text(&a, owner);
	arg_int(&a, epoch);
	return db_one(db, S_lease_check, &a, NULL);
}

enum err store_lease_give_back(struct db *db, int shard, const char *owner)
{
	struct args a;

	args_init(&a, db);
	arg_int(&a, shard);
	arg_text(&a, owner);
	return db_run(db, S_lease_give_back, &a, NULL);
}
