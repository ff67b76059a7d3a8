/* SPDX-License-Identifier: Apache-2.0 */
/* The part of MQTT 3.1.1 that a device needs, as packets in buffers: no sockets, no state. */
#ifndef OTASIM_MQTT_H
#define OTASIM_MQTT_H

#include "engine/base/buf.h"

enum mqtt_type {
	MQTT_CONNECT = 1,
	MQTT_CONNACK = 2,
	MQTT_PUBLISH = 3,
	MQTT_PUBACK = 4,
	MQTT_SUBSCRIBE = 8,
	MQTT_SUBACK = 9,
	MQTT_UNSUBSCRIBE = 10,
	MQTT_PINGREQ = 12,
	MQTT_PINGRESP = 13,
	MQTT_DISCONNECT = 14
};

#define MQTT_PACKET_MAX 262144

struct mqtt_packet {
	enum mqtt_type type;
	unsigned flags;
	const unsigned char *body;
	size_t body_len;
};
/* The packet at the start of data: its whole length; 0 when more bytes are needed; -1 when malformed. */
int64_t mqtt_parse(const unsigned char *data, size_t len, struct mqtt_packet *ret);

struct mqtt_message {
	const char *topic, *payload; /* not NUL-terminated */
	size_t topic_len, payload_len;
	int qos;
	uint16_t id; /* 0 with QoS 0 */
};
bool mqtt_parse_publish(const struct mqtt_packet *p, struct mqtt_message *ret);

/* All of these append one packet. */
void mqtt_put_connect(struct buf *b, const char *client_id, const char *user, const char *password,
		      bool clean, uint16_t keepalive_s);
void mqtt_put_publish(struct buf *b, const char *topic, const char *payload, int qos, uint16_t id);
void mqtt_put_subscribe(struct buf *b, const char *topic, int qos, uint16_t id);
void mqtt_put_unsubscribe(struct buf *b, const char *topic, uint16_t id);
void mqtt_put_puback(struct buf *b, uint16_t id);
/* PINGREQ or DISCONNECT. */
void mqtt_put_bare(struct buf *b, enum mqtt_type type);

#endif
