/* SPDX-License-Identifier: Apache-2.0 */
/* otasim: a fleet of devices in one process and one thread. What its files share: options, one device, one
 * download, the counters. Random choices come from the seed and the device's number alone, so the same
 * command plays the same roles. */
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

struct device;

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
/* Their names with blanks between. */
const char *profile_names(void);
/* Appends text with its marks filled in for that device. */
void profile_text(struct buf *b, const struct device *d, const char *text, int64_t n, const char *v,
		  const char *w);

struct options {
	const char *broker, *devices_file, *version, *module, *report_file, *push_log_file;
	const char *ca; /* NULL: the broker does not speak TLS */
	struct {
		const struct profile *profile;
		int64_t share;
	} mix[8];
	size_t n_mix;
	int64_t connect_rate; /* connections a second */
	int64_t fail_milli, offline_milli, duplicate_milli,
		flap_milli;	 /* shares of the fleet, percent * 1000 */
	int64_t fail_first;	 /* a failing device fails this many pushes, then does well; 0: all */
	const char *fail_kinds;	 /* which ends failing devices play, in turn: "-1,-2,version,stall" */
	int64_t offline_until_s; /* when the offline ones come; 0: never */
	int64_t flap_every_s;
	int64_t delay_ms, steps, download_kbps; /* 0: as fast as it goes */
	int64_t downloads_max;
	int64_t http_port; /* 0: as the scheme has it */
	int64_t pull_every_s;
	int64_t seed, duration_s, idle_s;
	bool reboot, download, any_port;
};

struct stats {
	int64_t connects, refused, disconnects, pushes, duplicates, foreign, downloads, download_failures,
		digest_errors;
	int64_t bytes, successes, failures, stalls, reports, resent, resumed, pulls, blocks;
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
	uint16_t inform_packet; /* QoS 1 inform without its PUBACK; 0: none */

	char version[VERSION_MAX_LEN + 1];
	enum update_state update;
	struct push *push; /* while the update runs, or stalled */
	int64_t pushed_ms, pulled_ms, number, failed_pushes, next_step;
	struct download *download;
	struct blocks *blocks;
	bool done; /* an update of this device ended, well or not */
};

struct sim {
	struct options o;
	struct event_base *base;
	struct arena arena; /* devices and options, until the end */
	struct device *devices;
	size_t n;
	const char *broker_host;
	struct sockaddr_storage broker;
	socklen_t broker_len;
	struct device *queue_first, *queue_last; /* waiting to connect */
	struct device **loads;			 /* ring of n: waiting for one of downloads_max places */
	size_t loads_first, n_loads;
	int64_t n_downloading;
	int64_t connect_credit_milli, ticked_ms, started_ms, active_ms;
	size_t n_late; /* offline ones that are still to come */
	struct event *tick, *on_term, *on_int;
	struct ev_token_bucket_cfg *download_rate; /* of each download, or NULL */
	struct buf scratch, topic;		   /* a packet to send; a topic filled in */
	FILE *push_log;
	struct ssl_ctx_st *tls;
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
/* The current file is there (0), or why not: the step to report, -2 to -4. */
void update_loaded(struct device *d, int64_t failure);
/* A place among the running downloads is free. */
void update_load(struct device *d);
void update_timer(struct device *d);
void update_drop(struct device *d);

/* ---- download.c ---- */
/* Fetches the current file and calls update_loaded; NULL when the URL cannot be used. Resumes after a break.
 */
struct download *download_start(struct device *d);
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

/* ---- report.c ---- */
bool report_write(const struct sim *s);

#endif
