/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/service.h"

enum err store_service_add(struct db *db, int64_t account_id, const char *name, const char *secret_sha256,
			   utc_ms now)
{
	struct rows *r;
	struct args a;

	args_init(&a, db);
	arg_int(&a, account_id);
	arg_text(&a, name);
	arg_text(&a, secret_sha256);
	arg_int(&a, now);
	TRY(db_run(db, S_service_add, &a, &r));
	return rows_count(r) ? OK : ERR_DB_CONFLICT;
}

enum err store_service_disable(struct db *db, int64_t account_id, const char *name, bool disabled)
{
	struct args a;

	args_init(&a, db);
	arg_int(&a, account_id);
	arg_text(&a, name);
	arg_bool(&a, disabled);
	return db_one(db, S_service_set_disabled, &a, NULL);
}

enum err store_service_list(struct db *db, int64_t account_id, const struct service **ret, size_t *ret_n)
{
	struct service *out;
	struct rows *r;
	struct args a;

	args_init(&a, db);
	arg_int(&a, account_id);
	TRY(db_run(db, S_service_list, &a, &r));
	*ret_n = (size_t)rows_count(r);
	*ret = out = ARENA_ARRAY(db_arena(db), *ret_n, struct service);
	for (int i = 0; i < rows_count(r); i++)
		out[i] = (struct service){ .name = row_text(r, i, C_service_list_name),
					   .disabled = row_bool(r, i, C_service_list_disabled),
					   .created_ms = row_int(r, i, C_service_list_created_ms) };
	return OK;
}

enum err store_service_waiting(struct db *db, const char *name, bool *ret)
{
	struct rows *r;
	struct args a;

	args_init(&a, db);
	arg_text(&a, name);
	TRY(db_one(db, S_service_waiting, &a, &r));
	*ret = row_bool(r, 0, C_service_waiting_waiting);
	return OK;
}

enum err store_notice_page(struct db *db, int max, const struct notice **ret, size_t *ret_n)
{
	struct notice *out;
	struct rows *r;
	struct args a;

	args_init(&a, db);
	arg_int(&a, max);
	TRY(db_run(db, S_notice_page, &a, &r));
	*ret_n = (size_t)rows_count(r);
	*ret = out = ARENA_ARRAY(db_arena(db), *ret_n, struct notice);
	for (int i = 0; i < rows_count(r); i++)
		out[i] = (struct notice){
			.id = row_int(r, i, C_notice_page_id),
			.kind = (enum notice_kind)row_int(r, i, C_notice_page_kind),
			.at_ms = row_int(r, i, C_notice_page_at_ms),
			.product_key = row_text(r, i, C_notice_page_product_key),
			.module = row_text(r, i, C_notice_page_module),
			.device_id = row_int(r, i, C_notice_page_device_id),
			.device_name = row_text(r, i, C_notice_page_device_name),
			.detail = row_text(r, i, C_notice_page_detail),
			.job_id = row_int(r, i, C_notice_page_job_id),
			.firmware_id = row_int(r, i, C_notice_page_firmware_id),
			.seq = (int32_t)row_int(r, i, C_notice_page_seq),
			.status = (int)row_int(r, i, C_notice_page_status),
			.src_version = row_text(r, i, C_notice_page_src_version),
			.dest_version = row_text(r, i, C_notice_page_dest_version),
		};
	return OK;
}

enum err store_notice_drop(struct db *db, const int64_t *ids, size_t n)
{
	struct args a;

	if (n == 0)
		return OK;
	args_init(&a, db);
	arg_ints(&a, ids, n);
	return db_run(db, S_notice_drop, &a, NULL);
}
