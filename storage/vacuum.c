/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/vacuum.h"

enum err store_vacuum_tables(struct db *db, const struct vacuum_table **ret, size_t *ret_n)
{
	struct vacuum_table *list;
	struct rows *r = NULL;

	TRY(db_run(db, S_vacuum_tables, NULL, &r));
	*ret_n = (size_t)rows_count(r);
	list = ARENA_ARRAY(db_arena(db), *ret_n + 1, struct vacuum_table);
	for (int i = 0; i < rows_count(r); i++)
		list[i] = (struct vacuum_table){
			.name = row_text(r, i, C_vacuum_tables_name),
			.rows = row_int(r, i, C_vacuum_tables_rows),
			.dead = row_int(r, i, C_vacuum_tables_dead),
			.starts_at = row_int(r, i, C_vacuum_tables_starts_at),
			.enabled = row_bool(r, i, C_vacuum_tables_enabled),
			.last_ms = row_int(r, i, C_vacuum_tables_last_ms),
		};
	*ret = list;
	return OK;
}

enum err store_vacuum_server(struct db *db, struct vacuum_server *ret)
{
	struct rows *r = NULL;

	TRY(db_one(db, S_vacuum_server, NULL, &r));
	*ret = (struct vacuum_server){
		.enabled = row_bool(r, 0, C_vacuum_server_enabled),
		.sees_all = row_bool(r, 0, C_vacuum_server_sees_all),
		.prepared_s = row_int(r, 0, C_vacuum_server_prepared_s),
		.slot_xids = row_int(r, 0, C_vacuum_server_slot_xids),
		.oldest_xids = row_int(r, 0, C_vacuum_server_oldest_xids),
		.freeze_xids = row_int(r, 0, C_vacuum_server_freeze_xids),
	};
	return OK;
}
