/* SPDX-License-Identifier: Apache-2.0 */
/* Who may register dynamically, over every state; the answers to the byte. */
#include "engine/device_register.h"

#include "harness.h"

#include <string.h>

/* Every combination, against the rules in words. */
static void decides(void)
{
	for (int i = 0; i < 3 * 16; i++) {
		struct register_state s = { .mode = (enum register_mode)(i / 16),
					    .any = i & 1,
					    .exists = i & 2,
					    .disabled = i & 4,
					    .used = i & 8 };
		enum register_result got = register_decide(&s);
		bool allowed = s.any ? s.mode == REGISTER_MODE_ANY : s.mode != REGISTER_MODE_OFF;

		CHECK_INT(got == REGISTER_OFF, !allowed);
		CHECK_INT(got == REGISTER_NO_DEVICE, allowed && !s.exists && !s.any);
		CHECK_INT(got == REGISTER_DISABLED, allowed && s.exists && s.disabled);
		CHECK_INT(got == REGISTER_ACTIVATED, allowed && s.exists && !s.disabled && s.used);
		CHECK_INT(got == REGISTER_DONE, allowed && (s.exists ? !s.disabled && !s.used : s.any));
	}
}

static void modes_have_names(void)
{
	enum register_mode m = REGISTER_MODE_ANY;

	for (int i = 0; i <= REGISTER_MODE_ANY; i++) {
		CHECK(register_mode_parse(register_mode_name((enum register_mode)i), &m));
		CHECK_INT(m, i);
	}
	CHECK(!register_mode_parse("", &m) && !register_mode_parse("on", &m) &&
	      !register_mode_parse("OFF", &m));
}

static void answers(void)
{
	struct arena a;
	struct buf *b;

	arena_init(&a);
	b = buf_owned(&a, 1024);
	register_reply_http(&a, b, REGISTER_DONE, NULL, "a1Pk", "dev:1@x", "s3cret");
	CHECK_STR(buf_str(b), "{\"code\":200,\"data\":{\"productKey\":\"a1Pk\",\"deviceName\":\"dev:1@x\","
			      "\"deviceSecret\":\"s3cret\"},\"message\":\"success\"}");
	buf_clear(b);
	register_reply_http(&a, b, REGISTER_BAD_REQUEST, "random", NULL, NULL, NULL);
	CHECK_STR(buf_str(b), "{\"code\":460,\"message\":\"request parameter error: random\"}");
	buf_clear(b);
	register_reply_mqtt(&a, b, false, "a1Pk", "dev:1@x", "s3cret");
	CHECK_STR(register_reply_topic(false), "/ext/register");
	CHECK_STR(buf_str(b),
		  "{\"productKey\":\"a1Pk\",\"deviceName\":\"dev:1@x\",\"deviceSecret\":\"s3cret\"}");
	buf_clear(b);
	register_reply_mqtt(&a, b, true, "a1Pk", "dev:1@x", "s3cret");
	CHECK_STR(register_reply_topic(true), "/ext/regnwl");
	CHECK_STR(buf_str(b),
		  "{\"clientId\":\"a1Pk.dev:1@x\",\"productKey\":\"a1Pk\",\"deviceName\":\"dev:1@x\","
		  "\"deviceToken\":\"s3cret\"}");
	arena_free(&a);
}

/* A real SDK reads at most 255 bytes of the body. */
static void answers_are_short(void)
{
	struct arena a;

	arena_init(&a);
	for (int r = REGISTER_DONE; r <= REGISTER_NO_PRODUCT; r++) {
		struct buf *b = buf_owned(&a, 1024);

		register_reply_http(&a, b, (enum register_result)r,
				    r == REGISTER_BAD_REQUEST ? "signMethod" : NULL, "a1234567890",
				    "0123456789abcdef0123456789abcdef", "0123456789abcdef0123456789abcdef");
		CHECK(b->len < 256);
		CHECK(strlen(register_result_name((enum register_result)r)) > 0);
	}
	arena_free(&a);
}

TESTS("engine/device_register", { "decides", decides }, { "modes_have_names", modes_have_names },
      { "answers", answers }, { "answers_are_short", answers_are_short })
