/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/firmware.h"

#include "storage/job_end.h"
#include "storage/product.h"

#include <string.h>

enum err store_firmware_check(struct db *db, const struct firmware *f, int64_t limit)
{
	struct rows *r;
	struct args a;
	enum err e = OK;

	args_init(&a, db);
	arg_int(&a, f->account_id);
	arg_int(&a, f->product_id);
	arg_text(&a, f->name);
	arg_text(&a, f->module);
	arg_int(&a, f->differential);
	arg_text(&a, f->src_version);
	arg_text(&a, f->dest_version);
	TRY(db_one(db, S_firmware_check, &a, &r));
	if (!row_bool(r, 0, C_firmware_check_module_there))
		e = ERR_MODULE_NOT_FOUND;
	else if (row_bool(r, 0, C_firmware_check_name_taken))
		e = ERR_FIRMWARE_NAME_EXISTS;
	else if (row_bool(r, 0, C_firmware_check_version_taken))
		e = ERR_FIRMWARE_VERSION_EXISTS;
	else if (limit > 0 && row_int(r, 0, C_firmware_check_count) >= limit)
		e = ERR_FIRMWARE_COUNT;
	return e == OK ? OK : fail_param(db_error(db), e, NULL);
}

static enum err files_insert(struct db *db, const struct firmware *f)
{
	const char *key[FIRMWARE_FILES_MAX], *name[FIRMWARE_FILES_MAX], *md5[FIRMWARE_FILES_MAX];
	const char *sha256[FIRMWARE_FILES_MAX];
	int64_t size[FIRMWARE_FILES_MAX];
	struct args a;

	ensure(f->n_files >= 1 && f->n_files <= FIRMWARE_FILES_MAX);
	for (size_t i = 0; i < f->n_files; i++) {
		key[i] = f->files[i].object_key;
		name[i] = f->files[i].name;
		size[i] = f->files[i].size;
		md5[i] = f->files[i].md5;
		sha256[i] = f->files[i].sha256;
	}
	args_init(&a, db);
	arg_int(&a, f->id);
	arg_texts(&a, key, f->n_files);
	arg_texts(&a, name, f->n_files);
	arg_ints(&a, size, f->n_files);
	arg_texts(&a, md5, f->n_files);
	arg_texts(&a, sha256, f->n_files);
	return db_run(db, S_firmware_files_insert, &a, NULL);
}

enum err store_firmware_create(struct db *db, struct firmware *f)
{
	struct rows *r;
	struct args a;

	TRY(store_product_hold(db, f->product_id));
	args_init(&a, db);
	arg_int(&a, f->account_id);
	arg_int(&a, f->product_id);
	arg_text(&a, f->name);
	arg_text(&a, f->description);
	arg_int(&a, f->differential);
	arg_text(&a, f->module);
	arg_text(&a, f->src_version);
	arg_text(&a, f->dest_version);
	arg_text(&a, f->sha256 ? "SHA256" : "MD5");
	arg_int(&a, f->status);
	arg_text(&a, f->udi);
	arg_int(&a, f->created_ms);
	TRY(db_one(db, S_firmware_insert, &a, &r));
	f->id = row_int(r, 0, C_firmware_insert_id);
	return files_insert(db, f);
}

static enum err files_get(struct db *db, struct firmware *f)
{
	struct firmware_file *files;
	struct rows *r;
	struct args a;

	args_init(&a, db);
	arg_int(&a, f->id);
	TRY(db_run(db, S_firmware_files, &a, &r));
	files = ARENA_ARRAY(db_arena(db), (size_t)rows_count(r), struct firmware_file);
	for (int i = 0; i < rows_count(r); i++)
		files[i] = (struct firmware_file){
			.object_key = row_text(r, i, C_firmware_files_object_key),
			.name = row_text(r, i, C_firmware_files_name),
			.size = row_int(r, i, C_firmware_files_size),
			.md5 = row_text(r, i, C_firmware_files_md5),
			.sha256 = row_text(r, i, C_firmware_files_sha256),
		};
	for (int i = 0; i < rows_count(r); i++)
		f->bytes += files[i].size;
	f->files = files;
	f->n_files = (size_t)rows_count(r);
	return OK;
}

/* VerifyProgress: 0 before a verification, 100 after it, whatever it showed (api §10.1). */
static int verify_percent(enum firmware_status status, int64_t ended, int64_t total)
{
	if (status == FIRMWARE_VERIFIED || status == FIRMWARE_VERIFY_FAILED)
		return 100;
	return status == FIRMWARE_VERIFYING && total > 0 ? (int)(100 * ended / total) : 0;
}

enum err store_firmware_get(struct db *db, int64_t account_id, int64_t firmware_id, struct firmware *ret)
{
	struct rows *r;
	struct args a;

	args_init(&a, db);
	arg_int(&a, firmware_id);
	arg_int(&a, account_id);
	TRY(db_one_or(db, S_firmware_get, &a, ERR_FIRMWARE_NOT_FOUND, &r));
	*ret = (struct firmware){
		.id = firmware_id,
		.account_id = account_id,
		.product_id = row_int(r, 0, C_firmware_get_product_id),
		.name = row_text(r, 0, C_firmware_get_name),
		.description = row_text(r, 0, C_firmware_get_description),
		.differential = row_int(r, 0, C_firmware_get_type) == 1,
		.module = row_text(r, 0, C_firmware_get_module),
		.src_version = row_text(r, 0, C_firmware_get_src_version),
		.dest_version = row_text(r, 0, C_firmware_get_dest_version),
		.sha256 = strcmp(row_text(r, 0, C_firmware_get_sign_method), "SHA256") == 0,
		.status = (enum firmware_status)row_int(r, 0, C_firmware_get_status),
		.udi = row_text(r, 0, C_firmware_get_udi),
		.created_ms = row_int(r, 0, C_firmware_get_created_ms),
		.modified_ms = row_int(r, 0, C_firmware_get_modified_ms),
		.product_key = row_text(r, 0, C_firmware_get_product_key),
		.product_name = row_text(r, 0, C_firmware_get_product_name),
	};
	ret->verify_percent = verify_percent(ret->status, row_int(r, 0, C_firmware_get_ended),
					     row_int(r, 0, C_firmware_get_total));
	return files_get(db, ret);
}

static void arg_filters(struct args *a, struct db *db, int64_t account_id, int64_t product_id,
			const char *dest_version)
{
	args_init(a, db);
	arg_int(a, account_id);
	arg_int_or_null(a, product_id, 0);
	arg_text(a, dest_version);
}

/* A row of the list. */
static struct firmware listed(struct db *db, const struct rows *r, int i, int64_t account_id)
{
	struct firmware_file *file = ARENA_NEW(db_arena(db), struct firmware_file);

	file->md5 = row_text(r, i, C_firmware_page_md5);
	file->sha256 = row_text(r, i, C_firmware_page_sha256);
	return (struct firmware){
		.id = row_int(r, i, C_firmware_page_id),
		.account_id = account_id,
		.product_id = row_int(r, i, C_firmware_page_product_id),
		.name = row_text(r, i, C_firmware_page_name),
		.description = row_text(r, i, C_firmware_page_description),
		.differential = row_int(r, i, C_firmware_page_type) == 1,
		.module = row_text(r, i, C_firmware_page_module),
		.src_version = row_text(r, i, C_firmware_page_src_version),
		.dest_version = row_text(r, i, C_firmware_page_dest_version),
		.sha256 = strcmp(row_text(r, i, C_firmware_page_sign_method), "SHA256") == 0,
		.status = (enum firmware_status)row_int(r, i, C_firmware_page_status),
		.udi = row_text(r, i, C_firmware_page_udi),
		.created_ms = row_int(r, i, C_firmware_page_created_ms),
		.modified_ms = row_int(r, i, C_firmware_page_modified_ms),
		.product_key = row_text(r, i, C_firmware_page_product_key),
		.product_name = row_text(r, i, C_firmware_page_product_name),
		.n_files = (size_t)row_int(r, i, C_firmware_page_files),
		.files = file,
		.bytes = row_int(r, i, C_firmware_page_bytes),
	};
}

enum err store_firmware_page(struct db *db, int64_t account_id, int64_t product_id, const char *dest_version,
			     int64_t from, int64_t count, const struct firmware **ret, size_t *ret_n,
			     int64_t *ret_total)
{
	struct firmware *page;
	struct rows *r;
	struct args a;

	arg_filters(&a, db, account_id, product_id, dest_version);
	TRY(db_page(db, S_firmware_count, S_firmware_page, &a, from, count, &r, ret_total));
	page = ARENA_ARRAY(db_arena(db), (size_t)rows_count(r), struct firmware);
	for (int i = 0; i < rows_count(r); i++)
		page[i] = listed(db, r, i, account_id);
	*ret = page;
	*ret_n = (size_t)rows_count(r);
	return OK;
}

enum err store_firmware_product(struct db *db, int64_t account_id, int64_t firmware_id, int64_t *ret)
{
	struct rows *r;
	struct args a;

	args_init(&a, db);
	arg_int(&a, firmware_id);
	arg_int(&a, account_id);
	TRY(db_one_or(db, S_firmware_product, &a, ERR_FIRMWARE_NOT_FOUND_OTA, &r));
	*ret = row_int(r, 0, C_firmware_product_product_id);
	return OK;
}

/* Pushes of jobs that run carry the text for the devices. */
static enum err renew_jobs(struct db *db, int64_t firmware_id)
{
	int64_t *jobs;
	struct rows *r;
	struct args a;
	size_t n;

	args_init(&a, db);
	arg_int(&a, firmware_id);
	TRY(db_run(db, S_firmware_live_jobs, &a, &r));
	n = (size_t)rows_count(r);
	if (n == 0)
		return OK;
	jobs = ARENA_ARRAY(db_arena(db), n, int64_t);
	for (size_t i = 0; i < n; i++)
		jobs[i] = row_int(r, (int)i, C_firmware_live_jobs_job_id);
	TRY(store_job_lock(db, jobs, n));
	args_init(&a, db);
	arg_ints(&a, jobs, n);
	return db_run(db, S_firmware_renew_jobs, &a, NULL);
}

enum err store_firmware_modify(struct db *db, int64_t account_id, int64_t firmware_id, const char *name,
			       const char *description, const char *udi, utc_ms now)
{
	struct rows *r;
	struct args a;

	args_init(&a, db);
	arg_int(&a, firmware_id);
	arg_int(&a, account_id);
	arg_text(&a, name);
	TRY(db_one(db, S_firmware_name_taken, &a, &r));
	if (row_bool(r, 0, C_firmware_name_taken_taken))
		return fail_param(db_error(db), ERR_FIRMWARE_NAME_EXISTS, NULL);
	if (udi)
		TRY(renew_jobs(db, firmware_id));
	args_init(&a, db);
	arg_int(&a, firmware_id);
	arg_text(&a, name);
	arg_text(&a, description);
	arg_text(&a, udi);
	arg_int(&a, now);
	return db_run(db, S_firmware_modify, &a, NULL);
}

static enum err firmware_must(struct db *db, enum stmt s, int64_t account_id, int64_t firmware_id, struct rows **ret)
{
	struct args a;

	args_init(&a, db);
	arg_int(&a, firmware_id);
	arg_int(&a, account_id);
	return db_one_or(db, s, &a, ERR_FIRMWARE_NOT_FOUND, ret);
}

enum err store_firmware_owned(struct db *db, int64_t account_id, int64_t firmware_id, int64_t *ret_product_id)
{
	struct rows *r;

	TRY(firmware_must(db, S_firmware_owned, account_id, firmware_id, &r));
	*ret_product_id = row_int(r, 0, C_firmware_owned_product_id);
	return OK;
}

enum err store_firmware_delete(struct db *db, int64_t account_id, int64_t firmware_id, utc_ms now)
{
	struct rows *r;
	struct args a;

	TRY(firmware_must(db, S_firmware_lock, account_id, firmware_id, NULL));
	args_init(&a, db);
	arg_int(&a, firmware_id);
	TRY(db_one(db, S_firmware_busy, &a, &r));
	if (row_bool(r, 0, C_firmware_busy_busy))
		return fail_param(db_error(db), ERR_FIRMWARE_DELETE, NULL);
	arg_int(&a, now);
	return db_run(db, S_firmware_delete, &a, NULL);
}

enum err store_firmware_object_used(struct db *db, const char *object_key, bool *ret)
{
	struct rows *r;
	struct args a;

	args_init(&a, db);
	arg_text(&a, object_key);
	TRY(db_one(db, S_firmware_object_used, &a, &r));
	*ret = row_bool(r, 0, C_firmware_object_used_used);
	return OK;
}
