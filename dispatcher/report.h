/* SPDX-License-Identifier: Apache-2.0 */
/* What devices say, read leniently (device §2, §9.5): ids of any type, numbers as text, blanks, fractions,
 * commas too many, unknown keys. What makes no sense gets a reason and changes nothing. Pure; any thread. */
#ifndef DISPATCHER_REPORT_H
#define DISPATCHER_REPORT_H

#include "dispatcher/topics.h"

/* Larger payloads are nonsense. */
#define REPORT_BYTES_MAX ((size_t)64 * 1024)
/* Largest block that a device gets. */
#define REPORT_BLOCK_MAX 262144

struct report {
	enum uplink kind;
	const char *product_key, *device_name;
	const char *id;	    /* as text; "" when it had none */
	const char *module; /* "default" when none was named */
	const char *version; /* INFORM; REQUEST: may be NULL */
	int step;	     /* PROGRESS: -4..100 */
	const char *desc;    /* PROGRESS: never NULL */
	/* DOWNLOAD */
	const char *file_token; /* NULL: none */
	int64_t stream_id, file_id, block_size, block_offset;
};

enum nonsense {
	SENSE = 0,
	NONSENSE_TOPIC,
	NONSENSE_SIZE,
	NONSENSE_JSON,
	NONSENSE_PARAMS,
	NONSENSE_MODULE,
	NONSENSE_VERSION,
	NONSENSE_STEP,
	NONSENSE_BLOCK,
	NONSENSE_OWN,	 /* our own answer on the request topic, or an echo: not the device's fault */
	NONSENSE_DEVICE, /* no such device */
	NONSENSE_POISON, /* the database would not have it */
	NONSENSE_LATE,	 /* a registration whose device has given up, or another owner has gone on meanwhile */
	NONSENSE_COUNT
};
/* "json", "step", ...: label of the metric. */
const char *nonsense_name(enum nonsense n);

/* Reads one message of a device. *ret is whole only for SENSE. The plugin's own topics are not for this
 * function. */
enum nonsense report_parse(struct arena *a, const struct uplink_topic *topic, const void *payload, size_t len,
			   struct report *ret);

#endif
