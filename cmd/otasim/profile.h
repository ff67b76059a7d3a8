/* SPDX-License-Identifier: Apache-2.0 */
/* The SDK generations that otasim plays. */
#ifndef OTASIM_PROFILE_H
#define OTASIM_PROFILE_H

#include "engine/base/crypto.h"

/* What a generation of SDK does otherwise than a program that follows the documents. */
enum trait {
	CLEAN_SESSION = 1,   /* and subscribes again after every connection */
	PING_FIRST = 1 << 1, /* PINGREQ right after the CONNACK */
	PASSWORD_UPPER = 1 << 2,
	PUSH_MD5 = 1 << 3,     /* ignores pushes without md5 or "message":"success"; md5 is what it checks */
	PUSH_SCANNED = 1 << 4, /* first match wins: no blanks, known spellings, files[] last */
	PUSH_FILES = 1 << 5,   /* takes pushes with files[] */
	PUSH_BLOCKS = 1 << 6,  /* takes pushes with dProtocol mqtt */
	HTTP_NO_PORT = 1 << 7, /* takes host:port in a URL for a name */
	HTTP_RANGE = 1 << 8,   /* asks with Range from the first byte on */
	HTTP_ANY_STATUS = 1 << 9, /* does not look at the status: every body is part of the image */
	HTTP_FATAL = 1 << 10,	  /* gives up at the first status other than 200 and 206 */
	SAYS_ZERO = 1 << 11,	  /* reports 0 at every request of a download */
	SAYS_PERCENT = 1 << 12,	  /* reports at every request how far it is */
};

/* One generation of SDK: at login, on topics, in words. In its texts $P is the ProductKey, $D the DeviceName,
 * $t the login's time stamp, $m the module, $n a number, $v and $w texts that depend on what it is for; what
 * stands between brackets is left out by devices without a module. */
struct profile {
	const char *name;
	unsigned traits;
	const char *cid, *cid_options; /* client id: before and between the bars; $s: 3, with TLS 2 */
	const char *stamp;	       /* $t; NULL: when its process started, ms */
	enum digest method;
	uint16_t keepalive_s, keepalive_again_s; /* the latter after a loss of the connection */
	const char *const *topics; /* to subscribe to, each with its QoS in front; NULL ends the list */
	const char *first_inform;  /* what it reports by itself whenever it starts, or NULL */
	int inform_qos, pull_qos;
	const char *inform;	       /* $n: number, $v: version */
	const char *progress;	       /* $n: number, $v: step, $w: description */
	const char *pull_topic, *pull; /* $n: number, $v: version */
	const char *load_desc;	       /* description at the request of a download */
	const char *loss_desc;	       /* of step -2 */
	const char *http, *http_end;   /* $v: path, $w: host; a Range header goes between the two */
};
const struct profile *profile_find(const char *name);
/* NULL: there are no more. */
const struct profile *profile_at(size_t i);
/* Their names with blanks between. */
const char *profile_names(void);

#endif
