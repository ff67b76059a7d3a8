/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/nonce.h"

enum err store_nonce_use(struct db *db, int64_t key_id, const char *nonce, utc_ms now)
{
	struct args a;
	struct rows *r;

	args_init(&a, db);
	arg_int(&a, key_id);
	arg_text(&a, nonce);
	TRY(db_run(db, S_nonce_lock, &a, NULL));
	arg_int(&a, now - NONCE_MEMORY_MS);
	TRY(db_one(db, S_nonce_seen, &a, &r));
	if (row_bool(r, 0, C_nonce_seen_seen))
		return fail_param(db_error(db), ERR_NONCE_USED, NULL);
	args_init(&a, db);
	arg_int(&a, key_id);
	arg_text(&a, nonce);
	arg_int(&a, now);
	return db_run(db, S_nonce_add, &a, NULL);
}
