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
#define PRODUCT_KEY_MAX 64
#define RANDOM_MAX 256

struct asking {
	const struct api_env *env;
	struct db *db;
	struct arena *arena;
	struct error error;
	struct registration wish;
	struct device_login signed_by;
	const char *about; /* which parameter is wrong */
	const char *secret;
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
					 .signed_by = &k->signed_by,
					 .sign = value[3],
					 .way = "http",
					 .ip = "",
					 .request_id = rq->request_id };
	(void)memcpy(k->signed_by.pk, value[0], strlen(value[0]) + 1);
	(void)memcpy(k->signed_by.dn, value[1], strlen(value[1]) + 1);
	k->signed_by.random = (struct auth_text){ value[2], strlen(value[2]) };
	k->signed_by.signmethod = (struct auth_text){ value[4], strlen(value[4]) };
	return true;
}

static enum register_result ask(struct asking *k, struct quota *quota, struct request *rq)
{
	enum register_result result;
	int64_t change_id;

	if (!read_form(k, rq))
		return REGISTER_BAD_REQUEST;
	/* Of all products together: what it protects is the database. */
	if (!quota_take(quota, 0, DEVICE_REGISTER_PATH, config_now()->register_per_second, clock_boot_us()))
		return REGISTER_TOO_MANY;
	db_begin_work(k->db, k->arena, &k->error);
	result = store_registration(k->db, k->env->master, &k->wish, clock_now(), &k->secret, &change_id);
	if (result == REGISTER_DONE) {
		db_begin_anew(k->db);
		credential_await(k->env, k->db, change_id);
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
