/* SPDX-License-Identifier: Apache-2.0 */
/* otad's plugin for Mosquitto 2.0: devices log in with the vendor's HMAC, publish and subscribe only what is
 * theirs, and get their downlinks whether they subscribed or not. Options that are needed:
 * plugin_opt_state_file, plugin_opt_service_user, plugin_opt_service_secret_file; plugin_opt_register_ports
 * lists the ports of listeners with TLS, where devices may register. SIGHUP reads the secret file anew. */
#include "plugin.h"

#include "engine/base/clock.h"
#include "engine/device_acl.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define UNUSED_TWO(a, b) ((void)(a), (void)(b))

static const char *const note_texts[NOTE_COUNT] = {
	[NOTE_LOGIN_REFUSED] = "login refused",
	[NOTE_ID_TAKEN] = "login refused, another user name is connected with this clientId",
	[NOTE_REGISTER_PORT] = "registration refused, not on a port of register_ports",
	[NOTE_REGISTER_PRODUCT] = "registration refused, it is off for the product",
	[NOTE_REGISTER_DEVICE] = "registration refused, no such device, or it is disabled",
	[NOTE_REGISTER_SIGN] = "registration refused, wrong signature",
	[NOTE_REGISTER_MANY] = "registration refused, too many at a time",
	[NOTE_REGISTER_REFUSED] = "registration refused by otad",
	[NOTE_REGISTER_LATE] = "registration without an answer, or a device that did not leave; closed",
	[NOTE_TOPIC_REFUSED] = "publish or subscription to a topic of others refused",
	[NOTE_RETAINED] = "retained publish dropped",
	[NOTE_OVERSIZED] = "publish above the size limit dropped",
	[NOTE_STATE_FILE] = "state file could not be written",
	[NOTE_FEED] = "line from otad ignored",
};

void plugin_note(struct plugin *p, enum note n, const char *who, const char *what)
{
	int64_t now = clock_boot_ms();

	p->notes[n].count++;
	if (now < p->notes[n].next_boot_ms)
		return;
	p->notes[n].next_boot_ms = now + MS_PER_MINUTE;
	mosquitto_log_printf(MOSQ_LOG_WARNING,
			     "otad: %s: %.300s: %.300s (%lld since start, %lld since last told)",
			     note_texts[n], who ? who : "-", what ? what : "-", (long long)p->notes[n].count,
			     (long long)(p->notes[n].count - p->notes[n].told));
	p->notes[n].told = p->notes[n].count;
}

/* ---- login ---- */

static bool service_password_good(const struct plugin *p, const char *password)
{
	size_t len = strlen(p->service_secret);

	return strlen(password) == len && crypto_equal(password, p->service_secret, len);
}

static int port_of_socket(int fd, const char *peer)
{
	struct sockaddr_storage ours = { .ss_family = AF_UNSPEC }, theirs = { .ss_family = AF_UNSPEC };
	const struct sockaddr_in *v4 = (const void *)&theirs;
	const struct sockaddr_in6 *v6 = (const void *)&theirs;
	socklen_t our_len = sizeof ours, their_len = sizeof theirs;
	char text[INET6_ADDRSTRLEN] = "";

	if (getpeername(fd, (struct sockaddr *)&theirs, &their_len) != 0 ||
	    getsockname(fd, (struct sockaddr *)&ours, &our_len) != 0)
		return 0;
	if (theirs.ss_family == AF_INET)
		(void)inet_ntop(AF_INET, &v4->sin_addr, text, sizeof text);
	else if (theirs.ss_family == AF_INET6)
		(void)inet_ntop(AF_INET6, &v6->sin6_addr, text, sizeof text);
	if (!text[0] || strcmp(text, peer) != 0)
		return 0;
	/* Both families have it in the same place. */
	return ntohs(((const struct sockaddr_in *)(const void *)&ours)->sin_port);
}

/* The port of the listener that a client came in by; 0: it cannot be told. Mosquitto 2.0 has no call for it;
 * the client's socket is the second member of its struct, or the first where it is built without epoll. A
 * number there that is no socket of this peer is not believed. */
static int listener_port(const struct mosquitto *client)
{
	static const size_t places[] = { sizeof(int), 0 };
	const char *peer = mosquitto_client_address(client);
	int fd, port = 0;

	for (size_t i = 0; peer && port == 0 && i < ARRAY_LEN(places); i++) {
		memcpy(&fd, (const char *)client + places[i], sizeof fd);
		port = fd >= 0 ? port_of_socket(fd, peer) : 0;
	}
	return port;
}

static struct cred *reader_find(const struct plugin *p, const char *user)
{
	return creds_find(&p->creds, LINK_SERVICE, strlen(LINK_SERVICE), user, strlen(user));
}

/* A service account: user name and password as `otactl service create` printed them, any clientId but one
 * that looks like otad's or a device's. */
static bool reader_login(const struct plugin *p, const char *id, const char *user, const char *password,
			 struct cred **ret)
{
	struct cred *c = reader_find(p, user);
	unsigned char digest[DIGEST_MAX];
	char hex[2 * DIGEST_MAX + 1];
	const char *want;

	if (!c || strchr(id, '|') || strncmp(id, "otad-", 5) == 0)
		return false;
	digest_once(DIGEST_SHA256, password, strlen(password), digest);
	hex_encode(digest, DIGEST_MAX, hex);
	want = cred_secret(c) + strcspn(cred_secret(c), ":");
	if (strlen(want) != sizeof hex || !crypto_equal(want + 1, hex, sizeof hex - 1))
		return false;
	*ret = c;
	return true;
}

/* Who is let in, and as what. otad keeps its session in the broker, so nobody else may come with its
 * clientIds, also while it is away: a device's has an extended part, otad's have none. n gets kind, cred and
 * the names, which stand in l. */
static bool check_login(struct plugin *p, const struct mosquitto_evt_basic_auth *e, struct device_login *l,
			struct conn_new *n, enum note *ret_why)
{
	*ret_why = NOTE_LOGIN_REFUSED;
	if (!n->id || !e->username || !e->password)
		return false;
	if (strcmp(e->username, p->service_user) == 0) {
		n->kind = CONN_OTAD;
		return service_password_good(p, e->password) && !strchr(n->id, '|');
	}
	if (reader_login(p, n->id, e->username, e->password, &n->cred)) {
		n->kind = CONN_READER;
		return true;
	}
	if (!strchr(n->id, '|') || !device_login_parse(n->id, e->username, l))
		return false;
	n->pk = l->pk;
	n->dn = l->dn;
	if (l->auth == AUTH_REGISTER || l->auth == AUTH_REGNWL) {
		n->kind = l->auth == AUTH_REGISTER ? CONN_REGISTERS : CONN_REGISTERS_ANY;
		return registration_check(p, l, e->password, listener_port(e->client), ret_why);
	}
	n->kind = CONN_DEVICE;
	n->cred = creds_find(&p->creds, l->pk, strlen(l->pk), l->dn, strlen(l->dn));
	return n->cred &&
	       device_login_check(l, e->password, cred_secret(n->cred), strlen(cred_secret(n->cred)));
}

static int on_basic_auth(int event, void *data, void *userdata)
{
	struct mosquitto_evt_basic_auth *e = data;
	struct plugin *p = userdata;
	const char *ip = mosquitto_client_address(e->client);
	struct conn_new n = { .client = e->client,
			      .id = mosquitto_client_id(e->client),
			      .user = e->username,
			      .ip = ip ? ip : "-" };
	struct device_login l;
	struct conn *other;
	enum note why;

	(void)event;
	if (!check_login(p, e, &l, &n, &why)) {
		plugin_note(p, why, e->username, n.ip);
		return MOSQ_ERR_AUTH;
	}
	other = conns_find_id(&p->conns, n.id);
	if (other && strcmp(other->user, e->username) != 0) {
		plugin_note(p, NOTE_ID_TAKEN, e->username, n.id);
		return MOSQ_ERR_AUTH;
	}
	other = conns_find(&p->conns, e->client);
	if (other)
		presence_end(p, other); /* the broker used the memory of one whose end it did not tell */
	n.number = p->next_conn++;
	if (n.kind == CONN_REGISTERS || n.kind == CONN_REGISTERS_ANY)
		registration_begin(p, &n);
	else
		presence_login(p, &n);
	return MOSQ_ERR_SUCCESS;
}

/* Also told of connections whose login failed, and of a replaced one after its successor's login. */
static int on_disconnect(int event, void *data, void *userdata)
{
	struct mosquitto_evt_disconnect *e = data;
	struct plugin *p = userdata;
	struct conn *c = conns_find(&p->conns, e->client);

	(void)event;
	if (c)
		presence_end(p, c);
	return MOSQ_ERR_SUCCESS;
}

/* ---- topics ---- */

static bool device_publish_good(struct plugin *p, const struct conn *c,
				const struct mosquitto_evt_acl_check *e)
{
	enum note why;

	if (e->retain)
		why = NOTE_RETAINED;
	else if (e->payloadlen > DEVICE_PAYLOAD_MAX)
		why = NOTE_OVERSIZED;
	else if (!device_may_publish(c->pk, c->dn, e->topic))
		why = NOTE_TOPIC_REFUSED;
	else
		return true;
	plugin_note(p, why, c->user, e->topic);
	return false;
}

/* What routing brings. Downlinks that we deliver never come this way, so such a message is one of a device's
 * own: of a topic that goes both ways nobody hears his echo. */
static bool device_may_get(const struct conn *c, const char *topic)
{
	struct acl_name pk, dn;

	return !device_downlink(topic, &pk, &dn) && device_may_subscribe(c->pk, c->dn, topic);
}

/* Is the product one of the reader's account? */
static bool reader_owns(const struct plugin *p, const struct cred *reader, const struct acl_name *pk)
{
	const struct cred *product =
		creds_find(&p->creds, LINK_PRODUCT, strlen(LINK_PRODUCT), pk->at, pk->len);
	size_t len = strcspn(cred_secret(reader), ":");

	return product && strlen(cred_secret(product)) == len &&
	       memcmp(cred_secret(product), cred_secret(reader), len) == 0;
}

static bool reader_may(const struct plugin *p, const struct cred *reader,
		       const struct mosquitto_evt_acl_check *e)
{
	struct acl_name pk;

	switch (e->access) {
	case MOSQ_ACL_READ:
		return notice_topic(e->topic, &pk) && reader_owns(p, reader, &pk);
	case MOSQ_ACL_SUBSCRIBE:
		return notice_may_subscribe(e->topic, &pk) && (!pk.at || reader_owns(p, reader, &pk));
	case MOSQ_ACL_UNSUBSCRIBE:
		return true;
	default:
		return false;
	}
}

/* While otad is away its kept session goes on taking the reports that devices get acknowledgements for, and
 * so do those of service accounts with their notifications. Nobody has a session under such a name without
 * its password. */
static bool kept_may_get(const struct plugin *p, const struct mosquitto_evt_acl_check *e)
{
	const char *user = mosquitto_client_username(e->client);
	const struct cred *reader;

	if (!user || e->access != MOSQ_ACL_READ)
		return false;
	if (strcmp(user, p->service_user) == 0)
		return true;
	reader = reader_find(p, user);
	return reader && reader_may(p, reader, e);
}

/* A will comes here after its connection's end: then the client is not known any more, and it is refused. So
 * are messages for the kept session of a device that is not connected: nothing is queued for it. */
static int on_acl_check(int event, void *data, void *userdata)
{
	struct mosquitto_evt_acl_check *e = data;
	struct plugin *p = userdata;
	const struct conn *c = conns_find(&p->conns, e->client);
	bool good = false;

	(void)event;
	if (!c)
		return kept_may_get(p, e) ? MOSQ_ERR_SUCCESS : MOSQ_ERR_ACL_DENIED;
	if (c->kind == CONN_OTAD)
		return MOSQ_ERR_SUCCESS;
	if (c->closing)
		return MOSQ_ERR_ACL_DENIED;
	if (c->kind == CONN_READER) {
		good = reader_may(p, c->cred, e);
		if (!good && e->access != MOSQ_ACL_READ)
			plugin_note(p, NOTE_TOPIC_REFUSED, c->user, e->topic);
		return good ? MOSQ_ERR_SUCCESS : MOSQ_ERR_ACL_DENIED;
	}
	if (c->kind != CONN_DEVICE)
		return MOSQ_ERR_ACL_DENIED;
	switch (e->access) {
	case MOSQ_ACL_WRITE:
		good = device_publish_good(p, c, e);
		break;
	case MOSQ_ACL_READ:
		good = device_may_get(c, e->topic);
		break;
	case MOSQ_ACL_SUBSCRIBE:
		good = device_may_subscribe(c->pk, c->dn, e->topic);
		if (!good)
			plugin_note(p, NOTE_TOPIC_REFUSED, c->user, e->topic);
		break;
	case MOSQ_ACL_UNSUBSCRIBE:
		good = true;
		break;
	default:
		break;
	}
	return good ? MOSQ_ERR_SUCCESS : MOSQ_ERR_ACL_DENIED;
}

/* otad's downlink goes to the device's connection, subscribed or not, once; refusing it here keeps the broker
 * from routing it as well, and is acknowledged all the same. Nobody connected: it is dropped. */
static int on_message(int event, void *data, void *userdata)
{
	struct mosquitto_evt_message *e = data;
	struct plugin *p = userdata;
	const struct conn *c = conns_find(&p->conns, e->client);
	struct acl_name pk, dn;
	struct cred *to;

	(void)event;
	if (!c || c->kind != CONN_OTAD || !device_downlink(e->topic, &pk, &dn))
		return MOSQ_ERR_SUCCESS;
	to = creds_find(&p->creds, pk.at, pk.len, dn.at, dn.len);
	if (to && to->live)
		(void)mosquitto_broker_publish_copy(to->live->id, e->topic, (int)e->payloadlen, e->payload,
						    e->qos, false, NULL);
	return MOSQ_ERR_ACL_DENIED;
}

/* The ACL has seen to it that only otad gets here. */
static int on_control(int event, void *data, void *userdata)
{
	struct mosquitto_evt_control *e = data;
	struct plugin *p = userdata;
	const struct conn *c = conns_find(&p->conns, e->client);

	(void)event;
	if (c && c->kind == CONN_OTAD)
		feed_message(p, e->payload, e->payloadlen);
	return MOSQ_ERR_SUCCESS;
}

/* ---- time and configuration ---- */

/* Every turn of the broker's loop, at least ten times a second. */
static int on_tick(int event, void *data, void *userdata)
{
	int64_t now = clock_boot_ms();

	UNUSED_TWO(event, data);
	feed_tick(userdata, now);
	presence_tick(userdata, now);
	return MOSQ_ERR_SUCCESS;
}

static bool read_secret(struct plugin *p)
{
	char text[sizeof p->service_secret];
	int fd = open(p->secret_file, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof text - 1);

	if (fd >= 0)
		(void)close(fd);
	if (n < 0) {
		mosquitto_log_printf(MOSQ_LOG_ERR, "otad: %s: %s", p->secret_file, strerrordesc_np(errno));
		return false;
	}
	text[n] = '\0';
	text[strcspn(text, "\r\n")] = '\0';
	if (!text[0]) {
		mosquitto_log_printf(MOSQ_LOG_ERR, "otad: %s: no password in it", p->secret_file);
		return false;
	}
	memcpy(p->service_secret, text, sizeof text);
	return true;
}

static int on_reload(int event, void *data, void *userdata)
{
	UNUSED_TWO(event, data);
	(void)read_secret(userdata); /* else the old one stays */
	return MOSQ_ERR_SUCCESS;
}

static const struct {
	int event;
	MOSQ_FUNC_generic_callback call;
	const char *topic;
} callbacks[] = {
	{ MOSQ_EVT_BASIC_AUTH, on_basic_auth, NULL }, { MOSQ_EVT_ACL_CHECK, on_acl_check, NULL },
	{ MOSQ_EVT_MESSAGE, on_message, NULL },	      { MOSQ_EVT_CONTROL, on_control, LINK_TO_BROKER },
	{ MOSQ_EVT_DISCONNECT, on_disconnect, NULL }, { MOSQ_EVT_TICK, on_tick, NULL },
	{ MOSQ_EVT_RELOAD, on_reload, NULL },
};

static const char *option(const struct mosquitto_opt *options, int n, const char *key, const char *def)
{
	for (int i = 0; i < n; i++)
		if (strcmp(options[i].key, key) == 0 && options[i].value[0])
			return options[i].value;
	if (def)
		return def;
	mosquitto_log_printf(MOSQ_LOG_ERR, "otad: plugin_opt_%s is missing", key);
	return NULL;
}

static void plugin_free(struct plugin *p)
{
	conns_free(&p->conns);
	creds_free(&p->creds);
	statefile_close(&p->file);
	buf_free(&p->out);
	free(p->service_user);
	free(p->secret_file);
	explicit_bzero(p->service_secret, sizeof p->service_secret);
	free(p);
}

static bool plugin_start(struct plugin *p, const char *state_file)
{
	if (!statefile_open(&p->file, state_file, &p->creds, &p->position)) {
		mosquitto_log_printf(MOSQ_LOG_ERR, "otad: %s: %s", state_file, strerrordesc_np(errno));
		return false;
	}
	mosquitto_log_printf(MOSQ_LOG_NOTICE, "otad: %llu credentials in %s, position %lld",
			     (unsigned long long)p->creds.n, state_file, (long long)p->position);
	for (size_t i = 0; i < ARRAY_LEN(callbacks); i++) {
		int rc = mosquitto_callback_register(p->id, callbacks[i].event, callbacks[i].call,
						     callbacks[i].topic, p);

		if (rc != MOSQ_ERR_SUCCESS) {
			mosquitto_log_printf(MOSQ_LOG_ERR, "otad: event %d cannot be had: %d",
					     callbacks[i].event, rc);
			return false;
		}
	}
	return true;
}

int mosquitto_plugin_version(int supported_version_count, const int *supported_versions)
{
	for (int i = 0; i < supported_version_count; i++)
		if (supported_versions[i] == 5)
			return 5;
	return -1;
}

int mosquitto_plugin_init(mosquitto_plugin_id_t *identifier, void **userdata, struct mosquitto_opt *options,
			  int option_count)
{
	const char *state_file = option(options, option_count, "state_file", NULL),
		   *user = option(options, option_count, "service_user", NULL);
	const char *secret_file = option(options, option_count, "service_secret_file", NULL);
	const char *ports = option(options, option_count, "register_ports", "");
	struct plugin *p;

	if (!state_file || !user || !secret_file)
		return MOSQ_ERR_INVAL;
	p = calloc(1, sizeof *p);
	ensure(p != NULL);
	p->id = identifier;
	creds_init(&p->creds);
	conns_init(&p->conns);
	presence_init(p);
	p->service_user = strdup(user);
	p->secret_file = strdup(secret_file);
	ensure(p->service_user && p->secret_file);
	if (!registration_ports(p, ports)) {
		mosquitto_log_printf(MOSQ_LOG_ERR, "otad: plugin_opt_register_ports is not a list of ports");
		plugin_free(p);
		return MOSQ_ERR_INVAL;
	}
	if (!read_secret(p) || !plugin_start(p, state_file)) {
		plugin_free(p);
		return MOSQ_ERR_UNKNOWN;
	}
	*userdata = p;
	return MOSQ_ERR_SUCCESS;
}

/* The broker unregisters nothing by itself. */
int mosquitto_plugin_cleanup(void *userdata, struct mosquitto_opt *options, int option_count)
{
	struct plugin *p = userdata;

	UNUSED_TWO(options, option_count);
	if (!p)
		return MOSQ_ERR_SUCCESS;
	for (size_t i = 0; i < ARRAY_LEN(callbacks); i++)
		(void)mosquitto_callback_unregister(p->id, callbacks[i].event, callbacks[i].call,
						    callbacks[i].topic);
	plugin_free(p);
	return MOSQ_ERR_SUCCESS;
}
