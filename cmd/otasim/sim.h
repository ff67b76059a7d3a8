/* SPDX-License-Identifier: Apache-2.0 */
/* otasim: a fleet of devices in one process and one thread. What its files share: options, one device, one
 * download, the counters. Random choices come from the seed and the device's number alone, so the same
 * command plays the same roles. */
#ifndef OTASIM_SIM_H
#define OTASIM_SIM_H

#include "cmd/otasim/histogram.h"
#include "cmd/otasim/mqtt.h"
#include "cmd/otasim/options.h"
#include "cmd/otasim/profile.h"
#include "cmd/otasim/push_times.h"
#include "cmd/otasim/scenario.h"
#include "engine/base/arena.h"
#include "engine/base/buf.h"
#include "engine/base/crypto.h"

#include <event2/event.h>
#include <stdio.h>
#include <sys/socket.h>

struct device;

/* Appends text with its marks filled in for that device. */
void profile_text(struct buf *b, const struct device *d, const char *text, int64_t n, const char *v,
		  const char *w);

struct stats {
	int64_t connects, refused, disconnects, pushes, duplicates, foreign, downloads, download_failures,
		digest_errors;
	int64_t bytes, successes, failures, stalls, reports, resent, resumed, pulls, blocks;
	int64_t played[FAILURES], dropped; /* failures; networks lost half-way */
};

enum link_state { LINK_OFF, LINK_QUEUED, LINK_CONNECTING, LINK_UP };
enum update_state {
	UPDATE_NONE,
	UPDATE_WAITING,
	UPDATE_LOADING,
	UPDATE_FLASHING,
	UPDATE_FAILING,
	UPDATE_STALLED
};

struct sim;
struct load;
struct download;
struct blocks;

struct file {
	char *url; /* NULL with blocks */
	int64_t size;
	unsigned char sum[DIGEST_MAX];
};

/* What a device is told to install. */
struct push {
	char version[VERSION_MAX_LEN + 1];
	enum digest method;
	int64_t stream_id, file_id; /* over MQTT, when stream_id is not 0 */
	size_t n, at;		    /* files; the one that is being loaded */
	struct file files[];
};

struct device {
	struct sim *sim;
	const char *pk, *name, *secret;
	const struct profile *profile;
	size_t index;

	bool on;	      /* wants to be connected */
	int64_t cut_until_ms; /* boot time; its network is gone until then */
	bool cut_silent;
	bool held; /* what arrives may have been sent during a silence */
	enum link_state link;
	struct bufferevent *bev;
	int64_t link_since_ms; /* boot time of the last step of the link */
	int64_t pinged_ms, flap_at_ms;
	struct device *next_queued;
	struct event *timer; /* of the update, or of a reconnect */
	char stamp[24];
	uint16_t packet_id;
	bool booted; /* its process has been connected before */
	bool ever_online, inform_due;
	int64_t failure_due;	/* step to report when it is connected again; 0: none */
	uint16_t inform_packet; /* QoS 1 inform without its PUBACK; 0: none */

	char version[VERSION_MAX_LEN + 1];
	enum update_state update;
	struct push *push; /* while the update runs, or stalled */
	int64_t pushed_ms, pulled_ms, number, failed_pushes, next_step;
	struct download *download;
	struct blocks *blocks;
	bool load_queued; /* in loads, also when it has been switched off since */
	bool silent;	  /* plays FAIL_SILENT */
	bool done;	  /* an update of this device ended, well or not */
	char dropped[VERSION_MAX_LEN + 1]; /* it has lost the network half-way to this version already */
};

struct sim {
	struct options o;
	const struct scenario *scenario; /* NULL: none */
	struct event_base *base;
	struct arena arena; /* devices and options, until the end */
	struct device *devices;
	size_t n, cap;
	const char *broker_host;
	struct sockaddr_storage broker;
	socklen_t broker_len;
	struct device *queue_first, *queue_last; /* waiting to connect */
	size_t n_on, n_up;			 /* devices switched on; connected */
	int64_t cut_devices[CUTS_MAX];		 /* that were connected when it began */
	size_t n_arrived;      /* with a scenario: the first so many have been switched on */
	struct device **loads; /* ring of n: waiting for one of downloads_max places */
	size_t loads_first, n_loads;
	int64_t n_downloading;
	int64_t connect_credit_milli, ticked_ms, arrived_ms, started_ms, active_ms;
	size_t n_late; /* offline ones that are still to come */
	struct event *tick, *on_term, *on_int;
	struct ev_token_bucket_cfg *download_rate; /* of each download, or NULL */
	struct buf scratch, topic;		   /* a packet to send; a topic filled in */
	FILE *push_log;
	struct ssl_ctx_st *tls;
	struct stats stats;
	struct push_times pushes;
	struct meter login, update; /* CONNECT to CONNACK; push to success */
	struct load *load;	    /* with a scenario */
	bool stopped;		    /* by a signal */
};

/* A number in 0..below-1 that depends on the seed, the device and what it is for. */
int64_t sim_chance(const struct sim *s, size_t device, uint64_t what, int64_t below);
/* Is this device among that share (percent * 1000) of the fleet, for that purpose? */
bool sim_share(const struct sim *s, size_t device, uint64_t what, int64_t share_milli);

/* ---- fleet.c ---- */
/* Reads the CSV: product_key,device_name,secret[,version]. false: said on standard error. */
bool fleet_read(struct sim *s);
/* Devices that will not end a task: silent ones, and those that are not there and have not been updated. */
int64_t fleet_unheard(const struct sim *s);
/* Devices that play this generation; *ret_ever: those of them that have been online. */
int64_t fleet_playing(const struct sim *s, const struct profile *p, int64_t *ret_ever);
/* One device more; the strings are copied. false: no device, a name is missing or too long. */
bool fleet_add(struct sim *s, const char *pk, const char *name, const char *secret, const char *version);

/* ---- device.c ---- */
void device_init(struct device *d);
/* On: it logs in when its turn comes. Off: like a device without power; what it worked on is lost. */
void device_switch(struct device *d, bool on);
/* Its network is gone until then (boot time, ms). Silent: nobody hears of it; otherwise its connections
 * break. */
void device_cut(struct device *d, int64_t until_ms, bool silent);
void device_enqueue(struct device *d);
/* Opens the connection; called for those in the queue. */
void device_connect(struct device *d);
/* Once a second: pings, flapping, connections that never came up, pulls. */
void device_tick(struct device *d, int64_t now_ms);
/* Closes, and comes back as a new process. */
void device_reboot(struct device *d);
void device_free(struct device *d);
bool device_is_offline_at_start(const struct device *d);
/* topic: as in a profile. false when the connection is not up (the message is lost, as with a real device).
 */
bool device_publish(struct device *d, const char *topic, const char *payload, int qos);
/* topic: as in a profile, its QoS in front. */
void device_subscribe(struct device *d, const char *topic);
void device_unsubscribe(struct device *d, const char *topic);

/* ---- update.c ---- */
/* A push arrived, or the answer to a pull. */
void update_push(struct device *d, const char *payload, size_t len, bool pulled);
void update_pull(struct device *d);
void update_progress(struct device *d, int64_t step, const char *desc);
void update_inform(struct device *d);
/* Reports the failure that is due, when it is connected. */
void update_fail(struct device *d);
/* The current file is there (0), or why not: the step to report, -2 to -4. */
void update_loaded(struct device *d, int64_t failure);
/* How it fails at every push, before "attempts" is looked at. */
enum failure update_role(const struct device *d);
/* Does it lose the network half-way through every download? */
bool update_drops(const struct device *d);
/* Half of the current file is there: what goes wrong half-way does so now. false: the download is no more. */
bool update_halfway(struct device *d);
/* A place among the running downloads is free. */
void update_load(struct device *d);
void update_timer(struct device *d);
/* Ends what it does about an update, without a word. */
void update_drop(struct device *d);

/* ---- download.c ---- */
/* Fetches the current file and calls update_loaded; NULL when the URL cannot be used. Resumes after a break.
 */
struct download *download_start(struct device *d);
/* The device's network has gone away, or (silent only) come back. */
void download_cut(struct download *l, bool silent);
void download_mend(struct download *l);
void download_free(struct download *l);

/* ---- blocks.c ---- */
/* Fetches the package over MQTT, block by block (device §5.2), and calls update_loaded. */
struct blocks *blocks_start(struct device *d);
/* A message on the reply topic. */
void blocks_take(struct blocks *l, const unsigned char *frame, size_t len);
void blocks_free(struct blocks *l);

/* ---- tls.c ---- */
/* Authority and rules of TLS. false: said on standard error. */
bool tls_open(struct sim *s);
void tls_close(struct sim *s);
/* A bufferevent to be connected; host: NULL = plain, else TLS with a certificate for this name or address. */
struct bufferevent *connection_new(struct sim *s, const char *host);
/* Writes at once what it can of the output, before the connection is freed. */
void connection_flush(struct bufferevent *bev);

/* ---- arrival.c ---- */
/* Every 20 ms, with a scenario: who is to be connected now, whose network goes away. */
void arrival_tick(struct sim *s, int64_t now_ms);

/* ---- report.c ---- */
bool report_write(const struct sim *s);

#endif
