/* SPDX-License-Identifier: Apache-2.0 */
#include "api/device_register.h"

#include "api/credential_wait.h"
#include "engine/base/clock.h"
#include "engine/base/parse.h"
#include "engine/device_auth.h"
#include "engine/text.h"
#include "storage/registration.h"

#include <string.h>

#define REPLY_BYTES 1024
#define RUNS_MAX 4
#define PRODUCT_KEY_MAX 64
#define RANDOM_MAX 256

struct asking {
	const struct api_env *env;
	struct db *db;
	struct arena *arena;
	struct error error;
	struct registration wish;
	const char *sign;
	struct device_login signed_by;
	const char *about; /* which parameter is wrong */
	const char *secret;
	int64_t change_id;
};

static bool is_product_key(const char *s)
{
	return strlen(s) <= PRODUCT_KEY_MAX && text_of(s, "");
}

static bool is_random(const char *s)
{
	return strlen(s) <= RANDOM_MAX;
}

static bool is_sign(const char *s)
{
	return strlen(s) <= 2 * DIGEST_MAX;
}

/* Everything has to be there; the first that is not good is named. */
static bool read_form(struct asking *k, struct request *rq)
{
	static const struct {
		const char *name;
		bool (*good)(const char *s);
	} wanted[] = {
		{ "productKey", is_product_key },
		{ "deviceName", text_is_device_name },
		{ "random", is_random },
		{ "sign", is_sign },
		{ "signMethod", device_sign_method },
	};
	const char *value[ARRAY_LEN(wanted)];
	struct params form;

	if (strcmp(rq->method, "POST") != 0 || request_params(rq, &k->error, &form) != OK) {
		k->about = "a form is to be posted";
		return false;
	}
	for (size_t i = 0; i < ARRAY_LEN(wanted); i++) {
		value[i] = param_value(&form, wanted[i].name);
		if (!value[i] || !wanted[i].good(value[i])) {
			k->about = wanted[i].name;
			return false;
		}
	}
	k->wish = (struct registration){ .product_key = value[0],
					 .device_name = value[1],
					 .way = "http",
					 .ip = "",
					 .request_id = rq->request_id };
	(void)memcpy(k->signed_by.pk, value[0], strlen(value[0]) + 1);
	(void)memcpy(k->signed_by.dn, value[1], strlen(value[1]) + 1);
	k->signed_by.random = (struct auth_text){ value[2], strlen(value[2]) };
	k->signed_by.signmethod = (struct auth_text){ value[4], strlen(value[4]) };
	k->sign = value[3];
	return true;
}

static enum err register_in_txn(struct asking *k, enum register_result *ret)
{
	struct registration_product p;

	TRY(store_registration_product(k->db, k->env->master, k->wish.product_key, &p));
	if (!device_register_check(&k->signed_by, k->sign, p.secret, strlen(p.secret))) {
		*ret = REGISTER_BAD_SIGN;
		return OK;
	}
	return store_registration(k->db, k->env->master, &k->wish, &p, clock_now(), ret, &k->secret,
				  &k->change_id);
}

/* The transaction as a whole is run again when the database asks for it, and once on a new connection when
 * the old one turns out to be dead before the commit. */
static enum register_result run(struct asking *k)
{
	enum register_result result = REGISTER_FAILED;
	enum err e = OK;

	for (int n = 0; n < RUNS_MAX; n++) {
		error_clear(&k->error);
		db_begin_work(k->db, k->arena, &k->error);
		e = db_begin(k->db, DB_READ_WRITE);
		if (e == OK)
			e = register_in_txn(k, &result);
		if (e == OK)
			e = db_commit(k->db);
		if (e != OK && db_in_txn(k->db))
			db_rollback(k->db);
		if (e != ERR_DB_RETRY && !(e == ERR_DB_CONNECTION && n == 0))
			break;
	}
	if (e == ERR_PRODUCT_NOT_FOUND)
		return REGISTER_NO_PRODUCT;
	return e == OK ? result : REGISTER_FAILED;
}

static enum register_result ask(struct asking *k, struct quota *quota, struct request *rq)
{
	enum register_result result;

	if (!read_form(k, rq))
		return REGISTER_BAD_REQUEST;
	/* Of all products together: what it protects is the database. */
	if (!quota_take(quota, 0, DEVICE_REGISTER_PATH, config_now()->register_per_second, clock_boot_us()))
		return REGISTER_TOO_MANY;
	result = run(k);
	if (result == REGISTER_DONE) {
		db_begin_work(k->db, k->arena, &k->error);
		credential_await(k->env, k->db, &k->error, k->change_id);
	}
	return result;
}

void device_register(const struct api_env *env, struct quota *quota, struct db *db, struct arena *a,
		     struct request *rq)
{
	struct asking k = { .env = env,
			    .db = db,
			    .arena = a,
			    .wish = { .product_key = "", .device_name = "", .way = "http", .ip = "" } };
	enum register_result result;

	error_init(&k.error, a);
	result = ask(&k, quota, rq);
	registration_ended(&k.wish, result);
	rq->status = 200; /* devices read the code in the body */
	rq->content_type = "application/json;charset=utf-8";
	rq->reply = buf_owned(&rq->arena, REPLY_BYTES);
	register_reply_http(&rq->arena, rq->reply, result, k.about, k.wish.product_key, k.wish.device_name,
			    k.secret);
}
