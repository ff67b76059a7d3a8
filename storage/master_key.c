/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/master_key.h"

#include "storage/secret.h"

#define AAD "master_key"

enum err store_master_key_check(struct db *db, const struct seal_key *master)
{
	struct sealed sealed = secret_seal(db_arena(db), master, AAD, "right");
	struct error ignored;
	const char *plain;
	struct rows *r;
	struct args a;

	args_init(&a, db);
	arg_bytes(&a, sealed.data, sealed.len);
	TRY(db_one(db, S_master_key_check, &a, &r));
	sealed.data = row_bytes(r, 0, C_master_key_check_sealed, &sealed.len);
	error_init(&ignored, db_arena(db));
	if (secret_open(db_arena(db), &ignored, master, AAD, sealed, &plain) != OK)
		return fail(db_error(db), ERR_CONFIG,
			    "this master key is not the one that the secrets in the database are sealed under: put the "
			    "right one into master_key_file (or OTAD_MASTER_KEY)");
	return OK;
}
