/* SPDX-License-Identifier: Apache-2.0 */
/* MQTT 3.1.1 packets. Called by device.c. */
#include "cmd/otasim/mqtt.h"

#include <string.h>

static void put_u8(struct buf *b, unsigned v)
{
	buf_addc(b, (char)(unsigned char)v);
}

static void put_u16(struct buf *b, size_t v)
{
	put_u8(b, (unsigned)(v >> 8) & 0xffU);
	put_u8(b, (unsigned)v & 0xffU);
}

static void put_text(struct buf *b, const char *s)
{
	size_t len = strlen(s);

	put_u16(b, len);
	buf_add(b, s, len);
}

/* Fixed header; the remaining length in groups of 7 bits, low ones first (2.2.3). */
static void put_head(struct buf *b, enum mqtt_type type, unsigned flags, size_t len)
{
	put_u8(b, ((unsigned)type << 4) | flags);
	do {
		unsigned digit = (unsigned)(len & 0x7fU);

		len >>= 7;
		put_u8(b, len > 0 ? digit | 0x80U : digit);
	} while (len > 0);
}

int64_t mqtt_parse(const unsigned char *data, size_t len, struct mqtt_packet *ret)
{
	size_t body = 0, at = 1;

	for (unsigned shift = 0;; shift += 7) {
		if (shift > 21)
			return -1;
		if (at >= len)
			return 0;
		body |= (size_t)(data[at] & 0x7fU) << shift;
		if ((data[at++] & 0x80U) == 0)
			break;
	}
	if (body > MQTT_PACKET_MAX)
		return -1;
	if (len < at + body)
		return 0;
	ret->type = (enum mqtt_type)(data[0] >> 4);
	ret->flags = data[0] & 0x0fU;
	ret->body = data + at;
	ret->body_len = body;
	return (int64_t)(at + body);
}

bool mqtt_parse_publish(const struct mqtt_packet *p, struct mqtt_message *ret)
{
	size_t topic_len, at;

	if (p->body_len < 2)
		return false;
	topic_len = (size_t)p->body[0] << 8 | p->body[1];
	at = 2 + topic_len;
	ret->qos = (int)(p->flags >> 1 & 3U);
	if (ret->qos > 1 || p->body_len < at + (ret->qos > 0 ? 2U : 0U))
		return false;
	ret->id = 0;
	ret->topic = (const char *)p->body + 2;
	ret->topic_len = topic_len;
	if (ret->qos > 0) {
		ret->id = (uint16_t)(p->body[at] << 8 | p->body[at + 1]);
		at += 2;
	}
	ret->payload = (const char *)p->body + at;
	ret->payload_len = p->body_len - at;
	return true;
}

void mqtt_put_connect(struct buf *b, const char *client_id, const char *user, const char *password,
		      bool clean, uint16_t keepalive_s)
{
	size_t len = 10 + 2 + strlen(client_id) + 2 + strlen(user) + 2 + strlen(password);

	put_head(b, MQTT_CONNECT, 0, len);
	put_text(b, "MQTT");
	put_u8(b, 4);
	put_u8(b, 0xc0U | (clean ? 0x02U : 0U)); /* user name, password */
	put_u16(b, keepalive_s);
	put_text(b, client_id);
	put_text(b, user);
	put_text(b, password);
}

void mqtt_put_publish(struct buf *b, const char *topic, const char *payload, int qos, uint16_t id)
{
	put_head(b, MQTT_PUBLISH, (unsigned)qos << 1,
		 2 + strlen(topic) + (qos > 0 ? 2U : 0U) + strlen(payload));
	put_text(b, topic);
	if (qos > 0)
		put_u16(b, id);
	buf_adds(b, payload);
}

void mqtt_put_subscribe(struct buf *b, const char *topic, int qos, uint16_t id)
{
	put_head(b, MQTT_SUBSCRIBE, 2, 2 + 2 + strlen(topic) + 1);
	put_u16(b, id);
	put_text(b, topic);
	put_u8(b, (unsigned)qos);
}

void mqtt_put_unsubscribe(struct buf *b, const char *topic, uint16_t id)
{
	put_head(b, MQTT_UNSUBSCRIBE, 2, 2 + 2 + strlen(topic));
	put_u16(b, id);
	put_text(b, topic);
}

void mqtt_put_puback(struct buf *b, uint16_t id)
{
	put_head(b, MQTT_PUBACK, 0, 2);
	put_u16(b, id);
}

void mqtt_put_bare(struct buf *b, enum mqtt_type type)
{
	put_head(b, type, 0, 0);
}
