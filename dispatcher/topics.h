/* SPDX-License-Identifier: Apache-2.0 */
/* The topics between devices and otad, both ways, as one table (device §2.1). Pure; any thread. */
#ifndef DISPATCHER_TOPICS_H
#define DISPATCHER_TOPICS_H

#include "engine/base/buf.h"

enum uplink {
	UPLINK_NONE, /* not a topic of ours */
	UPLINK_INFORM,
	UPLINK_PROGRESS,
	UPLINK_REQUEST,
	UPLINK_GET,
	UPLINK_DOWNLOAD,
	UPLINK_BROKER,	 /* the broker plugin's own, engine/brokerlink.h */
	UPLINK_REGISTER, /* its questions for devices that register */
	UPLINK_COUNT
};

enum downlink {
	DOWNLINK_PUSH,
	DOWNLINK_REQUEST,
	DOWNLINK_GET_REPLY,
	DOWNLINK_DOWNLOAD_REPLY,
	DOWNLINK_COUNT
};

struct uplink_topic {
	enum uplink kind;
	const char *product_key; /* in the arena; NULL for UPLINK_NONE and the plugin's own */
	const char *device_name;
};

/* "inform", "progress", ...: for metrics. */
const char *uplink_name(enum uplink kind);
/* What ingest subscribes to for this kind; NULL for UPLINK_NONE. */
const char *uplink_filter(enum uplink kind);
/* Reads a topic; a closing slash is accepted (some SDKs send it). kind is UPLINK_NONE for anything else,
 * also when a name is empty or longer than 64 bytes. */
struct uplink_topic uplink_parse(struct arena *a, const char *topic, size_t len);
/* The topic for one device, in the arena. */
const char *downlink_topic(struct arena *a, enum downlink kind, const char *product_key,
			   const char *device_name);

#endif
