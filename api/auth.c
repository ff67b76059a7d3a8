/* SPDX-License-Identifier: Apache-2.0 */
#include "api/auth.h"

#include "engine/base/clock.h"
#include "engine/base/parse.h"

#include <string.h>
#include <strings.h>

#define API_VERSION "2018-01-20"
#define FRESH_MS (15 * MS_PER_MINUTE)

enum format auth_format(const struct request *rq, const struct params *p)
{
	const char *format = param_value(p, "Format");
	const char *accept = request_header(rq, "Accept");

	if (format && strcasecmp(format, "XML") == 0)
		return FORMAT_XML;
	if (format && strcasecmp(format, "JSON") == 0)
		return FORMAT_JSON;
	if (signature_scheme(rq) == SCHEME_RPC)
		return FORMAT_XML;
	return accept && strcasestr(accept, "xml") && !strcasestr(accept, "json") && !strstr(accept, "*/*")
		       ? FORMAT_XML
		       : FORMAT_JSON;
}

/* The parameter for RPC, the header for ACS3: either may carry both (api §1.2). */
static const char *parameter_or_header(const struct request *rq, const struct params *p, const char *param,
				       const char *header)
{
	const char *v = param_value(p, param), *h = request_header(rq, header);

	if (h && !h[0])
		h = NULL;
	if (signature_scheme(rq) == SCHEME_ACS3)
		return h;
	return v;
}

static enum err find_action(const struct request *rq, const struct params *p, struct call *c)
{
	const char *version = parameter_or_header(rq, p, "Version", "x-acs-version");
	const char *name = parameter_or_header(rq, p, "Action", "x-acs-action");
	const char *format = param_value(p, "Format");

	if (strcmp(rq->path, "/") != 0)
		return fail_param(c->error, ERR_ACTION_NOT_FOUND, NULL);
	if (!version)
		return fail_param(c->error, ERR_MISSING_PARAM, "Version");
	if (strcmp(version, API_VERSION) != 0)
		return fail_param(c->error, ERR_VERSION, NULL);
	if (!name)
		return fail_param(c->error, ERR_MISSING_PARAM, "Action");
	c->action = action_find(name);
	if (!c->action)
		return fail_param(c->error, ERR_ACTION_NOT_FOUND, NULL);
	if (format && strcasecmp(format, "JSON") != 0 && strcasecmp(format, "XML") != 0)
		return fail_param(c->error, ERR_INVALID_PARAM, "Format");
	return OK;
}

/* An unknown key has a secret too, so that its requests cost the same. */
static enum err find_key(const struct auth *auth, struct call *c, const char *key_id, struct access_key *ret,
			 bool *ret_known)
{
	enum err e;

	*ret_known = true;
	if (key_cache_get(auth->keys, key_id, clock_boot_ms(), c->arena, ret))
		return OK;
	e = store_access_key_find(c->db, c->env->master, key_id, ret);
	if (e == ERR_DB_CONNECTION) { /* the server may have been restarted: once more on a new connection */
		db_begin_anew(c->db);
		e = store_access_key_find(c->db, c->env->master, key_id, ret);
	}
	if (e == ERR_NOT_FOUND) {
		*ret_known = false;
		*ret = (struct access_key){ .key_id = key_id, .secret = "no such access key 0123456789" };
		return OK;
	}
	TRY(e);
	key_cache_put(auth->keys, ret, clock_boot_ms());
	return OK;
}

/* Key, time, signature: in this order, whatever they cost. */
static enum err verify(const struct auth *auth, struct request *rq, struct call *c, struct caller *who)
{
	struct error kept;
	enum err signature;
	utc_ms at;
	bool known;

	TRY(find_key(auth, c, who->credentials.key_id, &who->key, &known));
	error_init(&kept, c->arena);
	signature = signature_verify(rq, &who->params, &who->credentials, who->key.secret, &kept);
	if (!known)
		return fail_param(c->error, ERR_KEY_NOT_FOUND, NULL);
	if (who->key.disabled)
		return fail_param(c->error, ERR_KEY_INACTIVE, NULL);
	if (!parse_utc_seconds(who->credentials.timestamp, &at))
		return fail_param(c->error, ERR_TIMESTAMP_FORMAT, NULL);
	if (at < c->now - FRESH_MS || at > c->now + FRESH_MS)
		return fail_param(c->error, ERR_TIMESTAMP_EXPIRED, NULL);
	if (signature != OK)
		return fail(c->error, signature, "%s", error_text(&kept));
	/* No request can be repeated later than 15 minutes after its own time. */
	if (!nonce_table_use(auth->nonces, who->key.id, who->credentials.nonce, c->now, at + FRESH_MS))
		return fail_param(c->error, ERR_NONCE_USED, NULL);
	return OK;
}

static enum role role_of(const char *name)
{
	if (name && strcmp(name, "admin") == 0)
		return ROLE_ADMIN;
	return name && strcmp(name, "operator") == 0 ? ROLE_OPERATOR : ROLE_VIEWER;
}

enum err auth_quota(const struct auth *auth, struct call *c, const char *what, int documented)
{
	int64_t limit = quota_limit(c->config->quota, c->action->name, documented);

	if (!quota_take(auth->quota, c->account_id, what, limit, clock_boot_us()))
		return fail_param(c->error, ERR_THROTTLED, NULL);
	return OK;
}

enum err authenticate(const struct auth *auth, struct request *rq, struct call *c, struct caller *ret)
{
	TRY(find_action(rq, &ret->params, c));
	TRY(credentials_read(rq, &ret->params, c->error, &ret->credentials));
	c->key_id = ret->credentials.key_id;
	TRY(verify(auth, rq, c, ret));
	c->account_id = ret->key.account_id;
	c->instance_id = ret->key.instance_id;
	c->role = role_of(ret->key.role);
	if (c->role < c->action->role)
		return fail_param(c->error, ERR_FORBIDDEN, NULL);
	return auth_quota(auth, c, c->action->name, c->action->qps);
}
