/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/audit.h"

enum err store_audit_add(struct db *db, const struct audit *row)
{
	struct args a;

	args_init(&a, db);
	arg_int(&a, row->at);
	arg_int(&a, row->account_id);
	arg_text(&a, row->key_id);
	arg_text(&a, row->action);
	arg_text(&a, row->request_id);
	arg_text(&a, row->target ? row->target : "");
	arg_text(&a, row->result);
	return db_run(db, S_audit_add, &a, NULL);
}
