/* SPDX-License-Identifier: Apache-2.0 */
/* The private conversation between otad and the broker plugin, over otad's own MQTT connection.
 * A message is one or more lines, ended by LF; fields are separated by one TAB; text is UTF-8.
 *
 * otad -> plugin, topic LINK_TO_BROKER, QoS 1, handled in order, never routed to anybody:
 *   hello                                     answer with a `state` line
 *   cred-begin <position>                     a full set of credentials follows
 *   cred <pk> <dn> <secret>                   this device may log in with this secret (adds or replaces; a
 *                                             changed secret closes the live connection)
 *   cred-del <pk> <dn>                        it may not; its live connection is closed
 *   cred-end <position>                       end of the full set: devices that it did not name are dropped
 *   cred-pos <position>                       every change up to this position has been sent
 *   presence                                  send a presence snapshot
 *   reg-ok <conn> <secret>                    the device that registers there has this secret from now on
 *   reg-no <conn> <why>                       it gets none; close its connection
 *
 * plugin -> otad, topic LINK_FROM_BROKER, QoS 1:
 *   state <boot> <position> <online>          answer to hello; position 0 = no credentials at all
 *   on  <boot> <seq> <conn> <pk> <dn> <ip>    a device logged in
 *   off <boot> <seq> <conn> <pk> <dn>         that very connection ended
 *   snap-begin <boot> <seq>
 *   snap <conn> <pk> <dn> <ip>
 *   snap-end <boot> <seq> <count>             devices not named since snap-begin are offline
 *   beat <boot> <seq> <online>                once a second
 *
 * plugin -> otad, topic LINK_REGISTRATIONS, QoS 0, one line a message, only while LINK_INGEST is connected: told twice, or
 * late, the device would hold a secret that another has replaced; a lost one costs it another try. The signature was good:
 *   register <conn> <pk> <dn> <ip>            a registered device asks for its secret
 *   regnwl <conn> <pk> <dn> <ip>              the same, of one that need not be registered
 *
 * Besides devices the set has, under names that no product has, LINK_SERVICE with the name of a service account (its
 * secret: <account>:<SHA-256 of its password in hex>) and LINK_PRODUCT with a ProductKey (its secret: <account>): who
 * may log in to read notifications, and of which products; and LINK_REGISTER with a ProductKey (its secret: the
 * ProductSecret), whose devices may register, signing with it (device §1.5).
 *
 * boot is a random number per broker start; seq counts the on/off lines of a boot from 1, so a gap shows;
 * conn is unique over boots (boot time in ms << 20 | counter), positive, below 2^63. A beat, a snap-begin and
 * a snap-end carry the seq of the last on/off line sent before them. */
#ifndef ENGINE_BROKERLINK_H
#define ENGINE_BROKERLINK_H

/* $CONTROL topics are handed to plugins by Mosquitto and never routed. */
#define LINK_TO_BROKER "$CONTROL/otad/v1"
#define LINK_FROM_BROKER "/otad/broker"
#define LINK_REGISTRATIONS "/otad/register"

/* otad's clientIds: what the client does, and its shard. The one that hears the plugin has a kept session. */
#define LINK_CLIENT_FORMAT "otad-%s-%d"
#define LINK_INGEST "otad-ingest-0"

/* In place of a ProductKey. */
#define LINK_SERVICE "$service"
#define LINK_PRODUCT "$product"
#define LINK_REGISTER "$register"

#define LINK_LINE_MAX 1024
/* otad keeps its messages below this. */
#define LINK_MESSAGE_MAX 32768

#include "engine/base/buf.h"

enum link_verb {
	LINK_NONE,
	LINK_HELLO,
	LINK_CRED_BEGIN,
	LINK_CRED,
	LINK_CRED_DEL,
	LINK_CRED_END,
	LINK_CRED_POS,
	LINK_PRESENCE,
	LINK_STATE,
	LINK_ON,
	LINK_OFF,
	LINK_SNAP_BEGIN,
	LINK_SNAP,
	LINK_SNAP_END,
	LINK_BEAT,
	LINK_REG_OK,
	LINK_REG_NO,
	LINK_ASK_REGISTER,
	LINK_ASK_REGNWL,
};

/* One line; the members that its verb has are set. Texts are never NULL where the verb has them. */
struct link_line {
	enum link_verb verb;
	int64_t boot, seq, conn, position, count; /* count: <online> or <count> */
	const char *pk, *dn, *secret, *ip, *why;
};

/* Appends the line with its LF. A text with TAB or LF, or a line above LINK_LINE_MAX, is a bug. */
void link_add(struct buf *to, const struct link_line *l);
/* Parses one line without its LF; texts point into `line`, which is cut up. false: not a line of ours. */
bool link_parse(char *line, struct link_line *ret);
/* Cuts the next line out of a message: returns it NUL-terminated and moves *rest behind it; NULL at the end. */
char *link_next(char **rest);

#endif
