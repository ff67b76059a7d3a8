/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/device.h"

#include "engine/base/parse.h"
#include "engine/ids.h"
#include "storage/product.h"

#include <string.h>

#define IOT_ID_MIN 25 /* older ones of the vendor have 25 characters */

enum err store_device_add(struct db *db, const struct seal_key *master, int64_t product_id,
			  const char *product_key, const struct device_new *in, utc_ms now,
			  struct device_made *ret)
{
	struct arena *arena = db_arena(db);
	struct rows *r = NULL;
	struct sealed sealed;
	struct args a;

	TRY(store_product_hold(db, product_id));
	ret->name = in->name ? in->name : secret_new(arena, DEVICE_NAME_RANDOM_LEN);
	ret->secret = secret_new(arena, DEVICE_SECRET_LEN);
	sealed = secret_seal(arena, master, secret_aad_device(arena, product_key, ret->name), ret->secret);
	args_init(&a, db);
	arg_int(&a, product_id);
	arg_text(&a, product_key);
	arg_text(&a, ret->name);
	arg_text(&a, in->nickname);
	arg_bytes(&a, sealed.data, sealed.len);
	arg_int(&a, now);
	TRY(db_one_or(db, S_device_add, &a, ERR_DEVICE_NAME_EXISTS, &r));
	ret->id = row_int(r, 0, C_device_add_id);
	ret->change_id = row_int(r, 0, C_device_add_change_id);
	return OK;
}

enum err store_devices_add(struct db *db, const struct seal_key *master, int64_t product_id,
			   const char *product_key, const struct device_import *in, size_t n,
			   int64_t apply_id, utc_ms now, int64_t *ret_added)
{
	struct arena *arena = db_arena(db);
	const char **names = ARENA_ARRAY(arena, n, const char *),
		   **versions = ARENA_ARRAY(arena, n, const char *),
		   **nicknames = ARENA_ARRAY(arena, n, const char *);
	const void **secrets = ARENA_ARRAY(arena, n, const void *);
	size_t *lens = ARENA_ARRAY(arena, n, size_t);
	struct rows *r = NULL;
	struct args a;

	TRY(store_product_hold(db, product_id));
	for (size_t i = 0; i < n; i++) {
		const char *aad = secret_aad_device(arena, product_key, in[i].name);
		struct sealed s = secret_seal(arena, master, aad, in[i].secret);

		names[i] = in[i].name;
		versions[i] = in[i].version;
		nicknames[i] = in[i].nickname;
		secrets[i] = s.data;
		lens[i] = s.len;
	}
	args_init(&a, db);
	arg_int(&a, product_id);
	arg_text(&a, product_key);
	arg_texts(&a, names, n);
	arg_byteas(&a, secrets, lens, n);
	arg_texts(&a, versions, n);
	arg_int_or_null(&a, apply_id, 0);
	arg_int(&a, now);
	arg_texts(&a, nicknames, n);
	TRY(db_one(db, S_devices_add, &a, &r));
	*ret_added = row_int(r, 0, C_devices_add_added);
	return OK;
}

enum err store_device_key(struct error *e, const char *iot_id, int64_t *ret_id)
{
	size_t len = strlen(iot_id);

	*ret_id = 0;
	if (id_parse(ID_DEVICE, iot_id, ret_id, NULL))
		return OK;
	if (len < IOT_ID_MIN || len > ID_LEN || !text_of(iot_id, ""))
		return fail_param(e, ERR_IOT_ID, NULL);
	return OK;
}

enum err store_device_find(struct db *db, int64_t account_id, const char *iot_id, const char *product_key,
			   const char *name, struct device_ref *ret)
{
	struct rows *r = NULL;
	int64_t id = 0;
	struct args a;

	if (iot_id)
		TRY(store_device_key(db_error(db), iot_id, &id));
	else if (!product_key)
		return fail_param(db_error(db), ERR_NULL_PRODUCT_KEY, NULL);
	else if (!name)
		return fail_param(db_error(db), ERR_NULL_DEVICE_NAME, NULL);
	args_init(&a, db);
	arg_int(&a, account_id);
	if (iot_id) {
		arg_int(&a, id);
	} else {
		arg_text(&a, product_key);
		arg_text(&a, name);
	}
	TRY(db_one_or(db, iot_id ? S_device_find_id : S_device_find_name, &a, ERR_DEVICE_NOT_FOUND, &r));
	/* Both statements have the same columns. */
	ret->id = row_int(r, 0, C_device_find_id_id);
	ret->product_id = row_int(r, 0, C_device_find_id_product_id);
	ret->product_key = row_text(r, 0, C_device_find_id_product_key);
	ret->name = row_text(r, 0, C_device_find_id_name);
	return OK;
}

enum err store_device_delete(struct db *db, int64_t device_id, utc_ms now, int64_t *ret_change_id)
{
	struct rows *r = NULL;
	struct args a;

	args_init(&a, db);
	arg_int(&a, device_id);
	arg_int(&a, now);
	TRY(db_one_or(db, S_device_delete, &a, ERR_DEVICE_NOT_FOUND, &r));
	*ret_change_id = row_int(r, 0, C_device_delete_change_id);
	args_init(&a, db);
	arg_int(&a, device_id);
	return db_run(db, S_device_forget, &a, NULL);
}

enum err store_device_disable(struct db *db, int64_t device_id, bool disabled, utc_ms now,
			      int64_t *ret_change_id)
{
	struct rows *r = NULL;
	struct args a;

	args_init(&a, db);
	arg_int(&a, device_id);
	arg_bool(&a, disabled);
	arg_int(&a, now);
	TRY(db_run(db, S_device_set_disabled, &a, &r));
	*ret_change_id = rows_count(r) > 0 ? row_int(r, 0, C_device_set_disabled_change_id) : 0;
	return OK;
}

enum err store_device_nicknames(struct db *db, const struct device_nickname *list, size_t n, utc_ms now)
{
	int64_t *ids = ARENA_ARRAY(db_arena(db), n, int64_t);
	const char **nicknames = ARENA_ARRAY(db_arena(db), n, const char *);
	struct args a;

	for (size_t i = 0; i < n; i++) {
		ids[i] = list[i].device_id;
		nicknames[i] = list[i].nickname;
	}
	args_init(&a, db);
	arg_ints(&a, ids, n);
	arg_texts(&a, nicknames, n);
	arg_int(&a, now);
	return db_run(db, S_device_nicknames, &a, NULL);
}

enum err store_credential_waits(struct db *db, int64_t change_id, bool *ret_waits)
{
	struct rows *r = NULL;
	struct args a;

	args_init(&a, db);
	arg_int(&a, change_id);
	TRY(db_one(db, S_credential_change_waits, &a, &r));
	*ret_waits = row_bool(r, 0, C_credential_change_waits_waits);
	return OK;
}
