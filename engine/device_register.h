/* SPDX-License-Identifier: Apache-2.0 */
/* Dynamic registration (device §1.5): a device that holds only its product's secret gets one of its own, each
 * time a new one, until it has logged in. Who may, and what the answers look like. Pure; any thread. */
#ifndef ENGINE_DEVICE_REGISTER_H
#define ENGINE_DEVICE_REGISTER_H

#include "engine/base/buf.h"

/* What a product lets its devices do; numbers are stored: never change them. */
enum register_mode {
	REGISTER_MODE_OFF = 0,
	REGISTER_MODE_KNOWN = 1, /* devices that are registered under their name */
	REGISTER_MODE_ANY = 2,	 /* also unknown ones, which are registered by it */
};
/* "off", "registered", "any". */
const char *register_mode_name(enum register_mode m);
bool register_mode_parse(const char *name, enum register_mode *ret);

enum register_result {
#define REGISTER_RESULT(id, code, name, text) id,
#include "engine/register.def"
};
/* For metrics and logs: "done", "no_device", ... */
const char *register_result_name(enum register_result r);

struct register_state {
	enum register_mode mode;
	bool any; /* asks by regnwl: the device need not be registered */
	bool exists, disabled;
	bool used; /* has logged in since it was registered or reset */
};
/* REGISTER_DONE: the device gets a new secret, and is registered if it does not exist. */
enum register_result register_decide(const struct register_state *s);

/* ---- answers; names and secrets are valid UTF-8 ---- */
/* The body over HTTP, below 256 bytes with names of the usual length: a real SDK has no more room. pk, dn and
 * secret count for REGISTER_DONE; about: which parameter is wrong, or NULL. */
void register_reply_http(struct arena *a, struct buf *to, enum register_result r, const char *about,
			 const char *pk, const char *dn, const char *secret);
/* Topic and payload over MQTT. */
const char *register_reply_topic(bool any);
void register_reply_mqtt(struct arena *a, struct buf *to, bool any, const char *pk, const char *dn,
			 const char *secret);

#endif
