/* SPDX-License-Identifier: Apache-2.0 */
/* TLS 1.2 and later for our listeners: a certificate chain and its key, read anew at a reload. The only user
 * of OpenSSL's TLS besides Paho. */
#ifndef API_TLS_H
#define API_TLS_H

#include "engine/base/err.h"

struct bufferevent;
struct event_base;
struct tls;

/* PEM files. ERR_CONFIG, with the file in the error: cannot be read, is no certificate or key, or they do not
 * belong together. */
enum err tls_new(const char *cert, const char *key, struct error *e, struct tls **ret) MUST_USE;
/* Reads both files again: new connections get what they hold now, those that are open keep what they have. On
 * failure nothing changes. Any thread. */
enum err tls_reload(struct tls *t, struct error *e) MUST_USE;
/* After the last tls_accept; open connections stay whole. NULL is allowed. */
void tls_free(struct tls *t);
/* The server's side of a connection that closes with its bufferevent; fd -1: set later. Any thread. */
struct bufferevent *tls_accept(struct tls *t, struct event_base *base, int fd);
/* ---- on a bufferevent of tls_accept, in its loop's thread ---- */
/* Some bytes past the output buffer, which has to be empty; lost when the socket is full. */
void tls_write(struct bufferevent *bev, const void *data, size_t len);
/* Tells the peer that nothing more will be written. */
void tls_end(struct bufferevent *bev);

#endif
