/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/registration.h"

#include "engine/base/log.h"
#include "engine/base/metrics.h"
#include "storage/audit.h"
#include "storage/device.h"
#include "storage/txn.h"

#include <string.h>

struct registration_product {
	int64_t id, account_id;
	enum register_mode mode;
	const char *secret; /* opened */
};

/* The product of the wish, in any account. */
static enum err read_product(struct db *db, const struct seal_key *master, const char *product_key,
			     struct registration_product *ret)
{
	struct sealed sealed = { 0 };
	struct rows *r = NULL;
	struct args a;

	args_init(&a, db);
	arg_text(&a, product_key);
	TRY(db_one_or(db, S_registration_product, &a, ERR_PRODUCT_NOT_FOUND, &r));
	ret->id = row_int(r, 0, C_registration_product_id);
	ret->account_id = row_int(r, 0, C_registration_product_account_id);
	ret->mode = (enum register_mode)row_int(r, 0, C_registration_product_dynamic_register);
	sealed.data = row_bytes(r, 0, C_registration_product_secret, &sealed.len);
	return secret_open(db_arena(db), db_error(db), master, secret_aad_product(db_arena(db), product_key),
			   sealed, &ret->secret);
}

/* *ret_id: 0 when there is no such device. */
static enum err read_state(struct db *db, const struct registration_product *p, const char *device_name,
			   struct register_state *ret, int64_t *ret_id)
{
	struct rows *r = NULL;
	struct args a;

	*ret_id = 0;
	args_init(&a, db);
	arg_int(&a, p->id);
	arg_text(&a, device_name);
	TRY(db_run(db, S_registration_device, &a, &r));
	if (rows_count(r) == 0)
		return OK;
	ret->exists = true;
	ret->disabled = row_bool(r, 0, C_registration_device_disabled);
	*ret_id = row_int(r, 0, C_registration_device_id);
	args_init(&a, db);
	arg_int(&a, *ret_id);
	arg_int(&a, row_int(r, 0, C_registration_device_reset_ms));
	TRY(db_one(db, S_registration_used, &a, &r));
	ret->used = row_bool(r, 0, C_registration_used_used);
	return OK;
}

static enum err new_secret(struct db *db, const struct seal_key *master, const struct registration *w,
			   int64_t id, const char **ret_secret, int64_t *ret_change_id)
{
	struct arena *arena = db_arena(db);
	const char *secret = secret_new(arena, DEVICE_SECRET_LEN);
	struct sealed sealed =
		secret_seal(arena, master, secret_aad_device(arena, w->product_key, w->device_name), secret);
	struct rows *r = NULL;
	struct args a;

	args_init(&a, db);
	arg_int(&a, id);
	arg_bytes(&a, sealed.data, sealed.len);
	TRY(db_one(db, S_registration_secret, &a, &r));
	*ret_secret = secret;
	*ret_change_id = row_int(r, 0, C_registration_secret_change_id);
	return OK;
}

static enum err new_device(struct db *db, const struct seal_key *master, const struct registration *w,
			   const struct registration_product *p, utc_ms now, const char **ret_secret,
			   int64_t *ret_change_id)
{
	struct device_made made;
	enum err e = store_device_add(db, master, p->id, w->product_key,
				      &(struct device_new){ .name = w->device_name }, now, &made);

	if (e == ERR_DEVICE_NAME_EXISTS) { /* since it was looked for */
		error_clear(db_error(db));
		return ERR_DB_RETRY;
	}
	TRY(e);
	*ret_secret = made.secret;
	*ret_change_id = made.change_id;
	return OK;
}

static enum err audit(struct db *db, const struct registration *w, const struct registration_product *p,
		      utc_ms now)
{
	struct audit row = { .at = now,
			     .account_id = p->account_id,
			     .key_id = arena_printf(db_arena(db), "device:%s", w->ip),
			     .action = w->any ? "device regnwl" : "device register",
			     .request_id = w->request_id,
			     .target = arena_printf(db_arena(db), "%s/%s", w->product_key, w->device_name),
			     .result = "OK" };

	return store_audit_add(db, &row);
}

static enum err register_in_txn(struct db *db, const struct seal_key *master, const struct registration *w, utc_ms now,
				enum register_result *ret, const char **ret_secret, int64_t *ret_change_id)
{
	struct register_state s = { .any = w->any };
	struct registration_product p;
	int64_t id;

	TRY(read_product(db, master, w->product_key, &p));
	*ret = REGISTER_BAD_SIGN;
	if (w->signed_by && !device_register_check(w->signed_by, w->sign, p.secret, strlen(p.secret)))
		return OK;
	s.mode = p.mode;
	TRY(read_state(db, &p, w->device_name, &s, &id));
	*ret = register_decide(&s);
	if (*ret != REGISTER_DONE)
		return OK;
	if (s.exists)
		TRY(new_secret(db, master, w, id, ret_secret, ret_change_id));
	else
		TRY(new_device(db, master, w, &p, now, ret_secret, ret_change_id));
	return audit(db, w, &p, now);
}

enum register_result store_registration(struct db *db, const struct seal_key *master, const struct registration *r,
					utc_ms now, const char **ret_secret, int64_t *ret_change_id)
{
	enum register_result result = REGISTER_FAILED;
	int runs = 0;
	enum err e;

	do {
		db_begin_anew(db);
		e = db_begin(db);
		if (e == OK)
			e = txn_end(db, register_in_txn(db, master, r, now, &result, ret_secret, ret_change_id));
	} while (txn_again(e, ++runs));
	if (e == ERR_PRODUCT_NOT_FOUND)
		return REGISTER_NO_PRODUCT;
	return e == OK ? result : REGISTER_FAILED;
}

void registration_ended(const struct registration *r, enum register_result result)
{
	metric_add_label(M_REGISTRATIONS, register_result_name(result), 1);
	if (result == REGISTER_DONE)
		log_event(EV_DEVICE_REGISTERED, LSTR("product_key", r->product_key),
			  LSTR("device_name", r->device_name), LSTR("way", r->way), LSTR("ip", r->ip));
	else
		log_limited(EV_REGISTRATION_REFUSED, LSTR("product_key", r->product_key),
			    LSTR("device_name", r->device_name), LSTR("way", r->way), LSTR("ip", r->ip),
			    LSTR("why", register_result_name(result)));
}

enum err store_registration_reset(struct db *db, int64_t device_id, utc_ms now)
{
	struct args a;

	args_init(&a, db);
	arg_int(&a, device_id);
	arg_int(&a, now);
	return db_run(db, S_registration_reset, &a, NULL);
}

enum err store_registration_mode(struct db *db, int64_t product_id, enum register_mode mode,
				 int64_t *ret_change_id)
{
	struct rows *r = NULL;
	struct args a;

	args_init(&a, db);
	arg_int(&a, product_id);
	arg_int(&a, mode);
	TRY(db_run(db, S_registration_mode, &a, &r));
	*ret_change_id = rows_count(r) > 0 ? row_int(r, 0, C_registration_mode_change_id) : 0;
	return OK;
}
