/* SPDX-License-Identifier: Apache-2.0 */
/* otasim: a fleet of devices in one process and one thread. What its files share: options, one device, one
 * download, the counters. Random choices come from the seed and the device's number alone, so the same command
 * plays the same roles. */
#ifndef OTASIM_SIM_H
#define OTASIM_SIM_H

#include "cmd/otasim/mqtt.h"
#include "engine/base/arena.h"
#include "engine/base/buf.h"
#include "engine/base/crypto.h"

#include <event2/event.h>
#include <stdio.h>
#include <sys/socket.h>

#define NAME_MAX_LEN 64
#define VERSION_MAX_LEN 64
#define PERCENT_MILLI 100000 /* 100 % in the unit of parse_percent */

/* How one generation of SDK behaves at connect and what its messages look like. */
struct profile {
	const char *name;
	const char *cid_options; /* after "securemode=3,signmethod=..": in the client id, with a leading comma */
	const char *cid_timestamp; /* value of timestamp=, part of what is signed; "now" or NULL for none */
	char cid_joint;		   /* between ProductKey and DeviceName in the client id */
	enum digest method;
	bool upper; /* the password in capitals */
	bool clean;
	uint16_t keepalive_s;
	const char *first_inform; /* placeholder version that it reports by itself after each start, or NULL */
	const char *const *topics; /* subscribed after the first connect; $v: "PK/DN"; NULL ends the list */
	int inform_qos;
	const char *inform; /* $n: number, $v: version */
	const char *progress; /* $n: number, $v: step */
};
const struct profile *profile_find(const char *name);
/* Appends text with $n and $v filled in. */
void profile_text(struct buf *b, const char *text, int64_t number, const char *value);
/* Their names with blanks between. */
const char *profile_names(void);

struct options {
	const char *broker, *devices_file, *version, *report_file, *push_log_file;
	const struct profile *profiles[8]; /* device i plays profile i modulo their number */
	size_t n_profiles;
	int64_t connect_rate;			  /* connections a second */
	int64_t fail_milli, offline_milli, duplicate_milli, flap_milli; /* shares of the fleet, percent * 1000 */
	int64_t fail_first; /* a failing device fails this many pushes, then does well; 0: all */
	const char *fail_kinds; /* which ends failing devices play, in turn: "-1,-2,version,stall" */
	int64_t offline_until_s; /* when the offline ones come; 0: never */
	int64_t flap_every_s;
	int64_t delay_ms, steps, download_kbps; /* 0: as fast as it goes */
	int64_t downloads_max;
	int64_t seed, duration_s, idle_s;
	bool reboot, download;
};

struct stats {
	int64_t connects, refused, disconnects, pushes, duplicates, foreign, downloads, download_failures, digest_errors;
	int64_t bytes, successes, failures, stalls, reports, resent, resumed;
};

enum link_state { LINK_OFF, LINK_QUEUED, LINK_CONNECTING, LINK_UP };
enum update_state { UPDATE_NONE, UPDATE_WAITING, UPDATE_LOADING, UPDATE_FLASHING, UPDATE_FAILING, UPDATE_STALLED };

struct sim;
struct download;

struct device {
	struct sim *sim;
	const char *pk, *name, *secret;
	const struct profile *profile;
	size_t index;

	enum link_state link;
	struct bufferevent *bev;
	int64_t link_since_ms; /* boot time of the last step of the link */
	int64_t pinged_ms, flap_at_ms;
	struct device *next_queued;
	struct event *timer; /* of the update, or of a reconnect */
	uint16_t packet_id;
	bool subscribed, ever_online, inform_due;
	uint16_t inform_packet; /* QoS 1 inform without its PUBACK; 0: none */

	char version[VERSION_MAX_LEN + 1];
	enum update_state update;
	char wanted[VERSION_MAX_LEN + 1];
	char *url;
	enum digest method;
	unsigned char sign[DIGEST_MAX];
	int64_t size, pushed_ms, number, failed_pushes, next_step;
	struct download *download;
	bool done; /* an update of this device ended, well or not */
};

struct sim {
	struct options o;
	struct event_base *base;
	struct arena arena; /* devices and options, until the end */
	struct device *devices;
	size_t n;
	struct sockaddr_storage broker;
	socklen_t broker_len;
	struct device *queue_first, *queue_last; /* waiting to connect */
	struct device **loads; /* ring of n: waiting for one of downloads_max places */
	size_t loads_first, n_loads;
	int64_t n_downloading;
	int64_t connect_credit_milli, ticked_ms, started_ms, active_ms;
	size_t n_late; /* offline ones that are still to come */
	struct event *tick, *on_term, *on_int;
	struct ev_token_bucket_cfg *download_rate; /* of each download, or NULL */
	struct buf scratch;
	FILE *push_log;
	struct stats stats;
	int64_t *pushes_ms, *update_ms; /* boot time of each push; push to success */
	size_t n_pushes, cap_pushes, n_updates, cap_updates;
	bool stopping;
};

/* A number in 0..below-1 that depends on the seed, the device and what it is for. */
int64_t sim_chance(const struct sim *s, size_t device, uint64_t what, int64_t below);
/* Appends to a growing array of numbers. */
void sim_sample(int64_t **list, size_t *n, size_t *cap, int64_t value);

/* ---- fleet.c ---- */
/* Reads the CSV: product_key,device_name,secret[,version]. false: said on standard error. */
bool fleet_read(struct sim *s);

/* ---- device.c ---- */
void device_init(struct device *d);
void device_enqueue(struct device *d);
/* Opens the connection; called for those in the queue. */
void device_connect(struct device *d);
/* Once a second: pings, flapping, connections that never came up. */
void device_tick(struct device *d, int64_t now_ms);
/* DISCONNECT and close, at the end. */
void device_close(struct device *d);
void device_free(struct device *d);
bool device_is_offline_at_start(const struct device *d);
/* false when the connection is not up (the message is lost, as with a real device). */
bool device_publish(struct device *d, const char *kind, const char *payload, int qos);

/* ---- update.c ---- */
/* A push or a pull reply arrived. */
void update_push(struct device *d, const char *payload, size_t len);
void update_progress(struct device *d, int64_t step);
void update_inform(struct device *d);
/* Of the download: finished with the right digest, or not. */
void update_loaded(struct device *d, bool complete, bool digest_good);
/* A place among the running downloads is free. */
void update_load(struct device *d);
void update_timer(struct device *d);
void update_drop(struct device *d);

/* ---- download.c ---- */
/* Fetches d->url and calls update_loaded; NULL when the URL cannot be used. Resumes after a break. */
struct download *download_start(struct device *d);
void download_free(struct download *l);

/* ---- report.c ---- */
bool report_write(const struct sim *s);

#endif
