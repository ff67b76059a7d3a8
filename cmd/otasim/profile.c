/* SPDX-License-Identifier: Apache-2.0 */
/* The SDK generations that otasim plays, one row each: CONNECT fields, first packets, spellings, requests for
 * downloads as captured from the real ones (device §1, §2, §4.2, §5.1, §6). */
#include "cmd/otasim/sim.h"

#include <string.h>

#define GET "/sys/$P/$D/thing/ota/firmware/get"
#define UPGRADE "1/ota/device/upgrade/$P/$D"
#define GET_REPLY "1/sys/$P/$D/thing/ota/firmware/get_reply"

static const char *const topics_v3[] = { "1/ota/device/request/$P/$D", UPGRADE,
					 "0/sys/$P/$D/thing/config/get_reply",
					 "0/sys/$P/$D/thing/config/push", NULL };
static const char *const topics_none[] = { NULL }; /* relies on delivery without a subscription */
static const char *const topics_node[] = { "1/sys/$P/$D/thing/event/property/post_reply",
					   "1/sys/$P/$D/thing/service/property/set",
					   "1/sys/$P/$D/thing/event/+/post_reply",
					   "1/sys/$P/$D/thing/deviceinfo/update_reply",
					   "1/sys/$P/$D/thing/deviceinfo/delete_reply",
					   "1/sys/$P/$D/thing/config/get_reply",
					   "1/sys/$P/$D/thing/config/push",
					   "1/sys/$P/$D/thing/config/push_reply",
					   "1/sys/$P/$D/thing/topo/add_reply",
					   "1/sys/$P/$D/thing/topo/delete_reply",
					   "1/sys/$P/$D/thing/topo/get_reply",
					   "1/sys/$P/$D/thing/sub/register_reply",
					   "1/sys/$P/$D/rrpc/request/+",
					   "1/shadow/get/$P/$D",
					   "1/ext/session/$P/$D/combine/login_reply",
					   "1/ext/session/$P/$D/combine/logout_reply",
					   UPGRADE, /* these two are the application's */
					   GET_REPLY,
					   NULL };
static const char *const topics_paho[] = { UPGRADE, GET_REPLY, NULL };

static const struct profile profiles[] = {
	{ .name = "c-link-3.2",
	  .traits = PASSWORD_UPPER | PUSH_MD5 | HTTP_NO_PORT | HTTP_RANGE | HTTP_ANY_STATUS | SAYS_ZERO,
	  .cid = "$P.$D",
	  .cid_options =
		  "timestamp=$t,_v=sdk-c-3.2.0,securemode=$s,signmethod=hmacsha256,lan=C,_ss=1,gw=0,ext=0",
	  .stamp = "2524608000000",
	  .method = DIGEST_SHA256,
	  .keepalive_s = 120,
	  .keepalive_again_s = 60,
	  .topics = topics_v3,
	  .first_inform = "{\"id\":\"1\",\"params\":{\"version\":\"app-1.0.0-20180101.1000\"}}",
	  .inform_qos = 1,
	  .inform = "{\"id\":\"0\",\"params\":{\"version\":\"$v\"[, \"module\":\"$m\"]}}",
	  .progress = "{\"id\":0,\"params\":{\"step\":\"$v\",\"desc\":\"$w\"[, \"module\":\"$m\"]}}",
	  .pull_topic = "/ota/device/request/$P/$D",
	  .pull_qos = 1,
	  .pull = "{\"id\":\"0\",\"params\":{\"version\":\"$v\"}}",
	  .load_desc = "Enter in downloading state",
	  .loss_desc = "download failed",
	  .http = "GET $v HTTP/1.1\r\nHost: $w\r\n"
		  "Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8\r\n"
		  "Accept-Encoding: gzip, deflate\r\n",
	  .http_end = "\r\n" },
	{ .name = "c-link-4",
	  .traits = CLEAN_SESSION | PING_FIRST | PASSWORD_UPPER | PUSH_SCANNED | PUSH_FILES | PUSH_BLOCKS |
		    HTTP_RANGE | HTTP_FATAL | SAYS_PERCENT,
	  .cid = "$P.$D",
	  .cid_options =
		  "timestamp=$t,_ss=1,_v=sdk-c-4.2.0,securemode=$s,signmethod=hmacsha256,ext=3,_conn=$c",
	  .stamp = "2524608000000",
	  .method = DIGEST_SHA256,
	  .keepalive_s = 1200,
	  .keepalive_again_s = 1200,
	  .topics = topics_none,
	  .inform = "{\"id\":$n, \"params\":{\"version\":\"$v\"[,\"module\":\"$m\"]}}",
	  .progress = "{\"id\":$n, \"params\":{\"step\":\"$v\",\"desc\":\"$w\"[,\"module\":\"$m\"]}}",
	  .pull_topic = GET,
	  .pull = "{\"id\":$n, \"params\":{[\"module\":\"$m\"]}}",
	  .load_desc = "",
	  .loss_desc = "",
	  .http = "GET $v HTTP/1.1\r\nHost: $w\r\n"
		  "Accept: text/html, application/xhtml+xml, application/xml;q=0.9, */*;q=0.8\r\n",
	  .http_end = "Content-Length: 0\r\n\r\n" },
	{ .name = "node",
	  .traits = PUSH_FILES,
	  .cid = "$P&$D",
	  .cid_options = "securemode=$s,signmethod=hmacsha1,timestamp=$t,lan=NodeJS,_v=1.2.8",
	  .method = DIGEST_SHA1,
	  .keepalive_s = 60,
	  .keepalive_again_s = 60,
	  .topics = topics_node,
	  .inform = "{\"id\":\"$n\",\"params\":{\"version\":\"$v\"[,\"module\":\"$m\"]}}",
	  .progress = "{\"id\":\"$n\",\"params\":{\"step\":\"$v\",\"desc\":\"$w\"[,\"module\":\"$m\"]}}",
	  .pull_topic = GET,
	  .pull = "{\"id\":\"$n\",\"version\":\"1.0\",\"params\":{[\"module\":\"$m\"]},"
		  "\"method\":\"thing.ota.firmware.get\"}",
	  .loss_desc = "download failed",
	  .http = "GET $v HTTP/1.1\r\n",
	  .http_end = "Host: $w\r\nConnection: close\r\n\r\n" },
	{ .name = "paho",
	  .traits = CLEAN_SESSION | PUSH_FILES,
	  .cid = "$P.$D",
	  .cid_options = "securemode=$s,signmethod=hmacsha256",
	  .method = DIGEST_SHA256,
	  .keepalive_s = 300,
	  .keepalive_again_s = 300,
	  .topics = topics_paho,
	  .inform_qos = 1,
	  .inform = "{\"id\": $n,\"params\": {\"version\":\"$v\"[,\"module\":\"$m\"]}}",
	  .progress = "{\"id\": $n,\"params\": {\"step\":$v,\"desc\":\"$w\"[,\"module\":\"$m\"]}}",
	  .pull_topic = GET,
	  .pull = "{\"id\": $n, \"params\": {[\"module\": \"$m\"]}}",
	  .loss_desc = "download failed",
	  .http = "GET $v HTTP/1.1\r\nAccept-Encoding: identity\r\nHost: $w\r\nUser-Agent: "
		  "Python-urllib/3.11\r\n",
	  .http_end = "Connection: close\r\n\r\n" },
};

const struct profile *profile_find(const char *name)
{
	for (size_t i = 0; i < ARRAY_LEN(profiles); i++)
		if (strcmp(profiles[i].name, name) == 0)
			return &profiles[i];
	return NULL;
}

const struct profile *profile_at(size_t i)
{
	return i < ARRAY_LEN(profiles) ? &profiles[i] : NULL;
}

static void mark_fill(struct buf *b, const struct device *d, char mark, int64_t n, const char *v,
		      const char *w)
{
	switch (mark) {
	case 'P':
		buf_adds(b, d->pk);
		return;
	case 'D':
		buf_adds(b, d->name);
		return;
	case 't':
		buf_adds(b, d->stamp);
		return;
	case 's':
		buf_addc(b, d->sim->o.ca ? '2' : '3');
		return;
	case 'c':
		buf_adds(b, d->sim->o.ca ? "tls_33" : "tcp_0");
		return;
	case 'm':
		buf_adds(b, d->sim->o.module);
		return;
	case 'n':
		buf_addf(b, "%lld", (long long)n);
		return;
	case 'v':
		buf_adds(b, v);
		return;
	default:
		ensure(mark == 'w');
		buf_adds(b, w);
		return;
	}
}

void profile_text(struct buf *b, const struct device *d, const char *text, int64_t n, const char *v,
		  const char *w)
{
	for (; *text; text++) {
		if (*text == '[' && !d->sim->o.module)
			text = strchr(text, ']');
		else if (*text == '$')
			mark_fill(b, d, *++text, n, v, w);
		else if (*text != '[' && *text != ']')
			buf_addc(b, *text);
	}
}

const char *profile_names(void)
{
	return "c-link-3.2 c-link-4 node paho";
}
