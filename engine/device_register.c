/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/device_register.h"

#include "engine/base/json.h"

#include <string.h>

static const char *const modes[] = {
	[REGISTER_MODE_OFF] = "off",
	[REGISTER_MODE_KNOWN] = "registered",
	[REGISTER_MODE_ANY] = "any",
};

static const struct {
	int code;
	const char *name, *text;
} results[] = {
#define REGISTER_RESULT(id, code, name, text) [id] = { code, name, text },
#include "engine/register.def"
};

const char *register_mode_name(enum register_mode m)
{
	return modes[m];
}

bool register_mode_parse(const char *name, enum register_mode *ret)
{
	for (size_t i = 0; i < ARRAY_LEN(modes); i++)
		if (strcmp(modes[i], name) == 0) {
			*ret = (enum register_mode)i;
			return true;
		}
	return false;
}

const char *register_result_name(enum register_result r)
{
	return results[r].name;
}

enum register_result register_decide(const struct register_state *s)
{
	if (s->mode == REGISTER_MODE_OFF || (s->any && s->mode != REGISTER_MODE_ANY))
		return REGISTER_OFF;
	if (!s->exists)
		return s->any ? REGISTER_DONE : REGISTER_NO_DEVICE;
	if (s->disabled)
		return REGISTER_DISABLED;
	return s->used ? REGISTER_ACTIVATED : REGISTER_DONE;
}

void register_reply_http(struct arena *a, struct buf *to, enum register_result r, const char *about,
			 const char *pk, const char *dn, const char *secret)
{
	struct json_out *j = json_new(a, to);

	json_object(j);
	json_put_int(j, "code", results[r].code);
	if (r == REGISTER_DONE) {
		json_put_object(j, "data");
		json_put_string(j, "productKey", pk);
		json_put_string(j, "deviceName", dn);
		json_put_string(j, "deviceSecret", secret);
		json_object_end(j);
	}
	json_put_string(j, "message",
			about ? arena_printf(a, "%s: %s", results[r].text, about) : results[r].text);
	json_object_end(j);
}

const char *register_reply_topic(bool any)
{
	return any ? "/ext/regnwl" : "/ext/register";
}

void register_reply_mqtt(struct arena *a, struct buf *to, bool any, const char *pk, const char *dn,
			 const char *secret)
{
	struct json_out *j = json_new(a, to);

	json_object(j);
	if (any)
		json_put_string(j, "clientId", arena_printf(a, "%s.%s", pk, dn));
	json_put_string(j, "productKey", pk);
	json_put_string(j, "deviceName", dn);
	json_put_string(j, any ? "deviceToken" : "deviceSecret", secret);
	json_object_end(j);
}
