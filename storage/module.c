/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/module.h"

enum err store_module_add(struct db *db, int64_t product_id, const struct module *m, int64_t limit)
{
	struct rows *r;
	struct args a;

	args_init(&a, db);
	arg_int(&a, product_id);
	arg_text(&a, m->name);
	TRY(db_one(db, S_module_counts, &a, &r));
	if (row_bool(r, 0, C_module_counts_taken))
		return fail_param(db_error(db), ERR_MODULE_EXISTS, NULL);
	if (limit > 0 && row_int(r, 0, C_module_counts_n) >= limit)
		return fail_param(db_error(db), ERR_MODULE_COUNT, NULL);
	arg_text(&a, m->alias);
	arg_text(&a, m->description);
	arg_int(&a, m->created_ms);
	return db_run(db, S_module_add, &a, NULL);
}

enum err store_module_update(struct db *db, int64_t product_id, const struct module *m)
{
	struct args a;

	args_init(&a, db);
	arg_int(&a, product_id);
	arg_text(&a, m->name);
	arg_text(&a, m->alias);
	arg_text(&a, m->description);
	arg_int(&a, m->modified_ms);
	return db_one_or(db, S_module_update, &a, ERR_MODULE_NOT_FOUND, NULL);
}

enum err store_module_delete(struct db *db, int64_t product_id, const char *name)
{
	struct rows *r;
	struct args a;

	args_init(&a, db);
	arg_int(&a, product_id);
	arg_text(&a, name);
	TRY(db_one(db, S_module_in_use, &a, &r));
	if (!row_bool(r, 0, C_module_in_use_there))
		return fail_param(db_error(db), ERR_MODULE_NOT_FOUND, NULL);
	if (row_bool(r, 0, C_module_in_use_used))
		return fail_param(db_error(db), ERR_MODULE_IN_USE, NULL);
	return db_run(db, S_module_delete, &a, NULL);
}

enum err store_module_list(struct db *db, int64_t product_id, const struct module **ret, size_t *ret_n)
{
	struct module *modules;
	struct rows *r;
	struct args a;

	args_init(&a, db);
	arg_int(&a, product_id);
	TRY(db_run(db, S_module_list, &a, &r));
	modules = ARENA_ARRAY(db_arena(db), (size_t)rows_count(r), struct module);
	for (int i = 0; i < rows_count(r); i++)
		modules[i] = (struct module){
			.name = row_text(r, i, C_module_list_name),
			.alias = row_text(r, i, C_module_list_alias),
			.description = row_text(r, i, C_module_list_description),
			.created_ms = row_int(r, i, C_module_list_created_ms),
			.modified_ms = row_int(r, i, C_module_list_modified_ms),
		};
	*ret = modules;
	*ret_n = (size_t)rows_count(r);
	return OK;
}

enum err store_module_versions(struct db *db, int64_t device_id, int64_t from, int64_t count,
			       const struct module_version **ret, size_t *ret_n, int64_t *ret_total)
{
	struct module_version *versions;
	struct rows *r;
	struct args a;

	args_init(&a, db);
	arg_int(&a, device_id);
	TRY(db_page(db, S_module_versions_count, S_module_versions, &a, from, count, &r, ret_total));
	versions = ARENA_ARRAY(db_arena(db), (size_t)rows_count(r), struct module_version);
	for (int i = 0; i < rows_count(r); i++)
		versions[i] = (struct module_version){ .module = row_text(r, i, C_module_versions_module),
						       .version = row_text(r, i, C_module_versions_version) };
	*ret = versions;
	*ret_n = (size_t)rows_count(r);
	return OK;
}
