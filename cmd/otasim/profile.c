/* SPDX-License-Identifier: Apache-2.0 */
/* The SDK generations that otasim plays: CONNECT fields, first packets and spellings as captured from the real
 * ones (device §1.2, §1.3, §2, §4.2). */
#include "cmd/otasim/sim.h"

#include <string.h>

/* What each subscribes to after its first connection; none does so again (device §0.2). */
static const char *const topics_v3[] = { "/ota/device/request/$v", "/ota/device/upgrade/$v",
					 "/sys/$v/thing/config/get_reply", "/sys/$v/thing/config/push", NULL };
static const char *const topics_none[] = { NULL }; /* relies on delivery without a subscription */
static const char *const topics_node[] = { "/sys/$v/thing/event/property/post_reply",
					   "/sys/$v/thing/service/property/set",
					   "/sys/$v/thing/event/+/post_reply",
					   "/sys/$v/thing/deviceinfo/update_reply",
					   "/sys/$v/thing/deviceinfo/delete_reply",
					   "/sys/$v/thing/config/get_reply",
					   "/sys/$v/thing/config/push",
					   "/sys/$v/thing/config/push_reply",
					   "/sys/$v/thing/topo/add_reply",
					   "/sys/$v/thing/topo/delete_reply",
					   "/sys/$v/thing/topo/get_reply",
					   "/sys/$v/thing/sub/register_reply",
					   "/sys/$v/rrpc/request/+",
					   "/shadow/get/$v",
					   "/ext/session/$v/combine/login_reply",
					   "/ext/session/$v/combine/logout_reply",
					   "/ota/device/upgrade/$v",
					   NULL };
static const char *const topics_paho[] = { "/ota/device/upgrade/$v", NULL };

static const struct profile profiles[] = {
	{ .name = "c-link-3.2",
	  .cid_options = ",_v=sdk-c-3.2.0,lan=C,_ss=1,gw=0,ext=0",
	  .cid_timestamp = "2524608000000",
	  .cid_joint = '.',
	  .method = DIGEST_SHA256,
	  .upper = true,
	  .clean = false,
	  .keepalive_s = 120,
	  .first_inform = "app-1.0.0-20180101.1000",
	  .topics = topics_v3,
	  .inform_qos = 1,
	  .inform = "{\"id\":\"$n\",\"params\":{\"version\":\"$v\"}}",
	  .progress = "{\"id\":$n,\"params\":{\"step\":\"$v\",\"desc\":\"\"}}" },
	{ .name = "c-link-4",
	  .cid_options = ",_ss=1,_v=sdk-c-4.2.0,ext=3,_conn=tcp_0",
	  .cid_timestamp = "2524608000000",
	  .cid_joint = '.',
	  .method = DIGEST_SHA256,
	  .upper = true,
	  .clean = true,
	  .keepalive_s = 1200,
	  .topics = topics_none,
	  .inform_qos = 0,
	  .inform = "{\"id\":$n, \"params\":{\"version\":\"$v\"}}",
	  .progress = "{\"id\":$n, \"params\":{\"step\":\"$v\",\"desc\":\"\"}}" },
	{ .name = "node",
	  .cid_options = ",lan=NodeJS,_v=1.2.8",
	  .cid_timestamp = "now",
	  .cid_joint = '&',
	  .method = DIGEST_SHA1,
	  .upper = false,
	  .clean = false,
	  .keepalive_s = 60,
	  .topics = topics_node,
	  .inform_qos = 1,
	  .inform = "{\"id\":\"$n\",\"params\":{\"version\":\"$v\"}}",
	  .progress = "{\"id\":\"$n\",\"params\":{\"step\":\"$v\",\"desc\":\"\"}}" },
	{ .name = "paho",
	  .cid_options = "",
	  .cid_joint = '.',
	  .method = DIGEST_SHA256,
	  .upper = false,
	  .clean = true,
	  .keepalive_s = 300,
	  .topics = topics_paho,
	  .inform_qos = 1,
	  .inform = "{\"id\":\"$n\",\"params\":{\"version\":\"$v\"}}",
	  .progress = "{\"id\":\"$n\",\"params\":{\"step\":\"$v\",\"desc\":\"\"}}" },
};

const struct profile *profile_find(const char *name)
{
	for (size_t i = 0; i < ARRAY_LEN(profiles); i++)
		if (strcmp(profiles[i].name, name) == 0)
			return &profiles[i];
	return NULL;
}

void profile_text(struct buf *b, const char *text, int64_t number, const char *value)
{
	for (; *text; text++) {
		if (text[0] == '$' && text[1] == 'n')
			buf_addf(b, "%lld", (long long)number);
		else if (text[0] == '$' && text[1] == 'v')
			buf_adds(b, value);
		else {
			buf_addc(b, *text);
			continue;
		}
		text++;
	}
}

const char *profile_names(void)
{
	return "c-link-3.2 c-link-4 node paho";
}
