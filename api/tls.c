/* SPDX-License-Identifier: Apache-2.0 */
#include "api/tls.h"

#include <event2/bufferevent.h>
#include <event2/bufferevent_ssl.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

struct tls {
	char *cert, *key;
	pthread_mutex_t lock; /* guards ctx: which one new connections get; a leaf */
	SSL_CTX *ctx;
};

/* A key with a passphrase is refused instead of asked about on a terminal. */
static int no_passphrase(char *buf, int size, int writing, void *ctx)
{
	(void)buf;
	(void)size;
	(void)writing;
	(void)ctx;
	return -1;
}

/* OpenSSL's reason for its last failure, e.g. "no start line". */
static const char *reason(void)
{
	const char *text = ERR_reason_error_string(ERR_peek_last_error());

	return text ? text : "it cannot be used";
}

static enum err ctx_new(const struct tls *t, struct error *e, SSL_CTX **ret)
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());
	const char *bad = NULL;

	ensure(ctx != NULL);
	ERR_clear_error();
	(void)SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION);
	(void)SSL_CTX_set_options(ctx, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
	(void)SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS); /* 34 KB less for each idle connection */
	SSL_CTX_set_default_passwd_cb(ctx, no_passphrase);
	if (SSL_CTX_use_certificate_chain_file(ctx, t->cert) != 1)
		bad = t->cert;
	else if (SSL_CTX_use_PrivateKey_file(ctx, t->key, SSL_FILETYPE_PEM) != 1)
		bad = t->key;
	if (bad) {
		SSL_CTX_free(ctx);
		return fail(e, ERR_CONFIG, "%s: %s", bad, reason());
	}
	*ret = ctx;
	return OK;
}

enum err tls_new(const char *cert, const char *key, struct error *e, struct tls **ret)
{
	struct tls *t = calloc(1, sizeof *t);
	enum err err;

	ensure(t != NULL && pthread_mutex_init(&t->lock, NULL) == 0);
	t->cert = strdup(cert);
	t->key = strdup(key);
	ensure(t->cert && t->key);
	err = ctx_new(t, e, &t->ctx);
	if (err == OK)
		*ret = t;
	else
		tls_free(t);
	return err;
}

enum err tls_reload(struct tls *t, struct error *e)
{
	SSL_CTX *fresh, *old;

	TRY(ctx_new(t, e, &fresh));
	(void)pthread_mutex_lock(&t->lock);
	old = t->ctx;
	t->ctx = fresh;
	(void)pthread_mutex_unlock(&t->lock);
	SSL_CTX_free(old); /* connections hold it as long as they need it */
	return OK;
}

void tls_free(struct tls *t)
{
	if (!t)
		return;
	SSL_CTX_free(t->ctx);
	(void)pthread_mutex_destroy(&t->lock);
	free(t->cert);
	free(t->key);
	free(t);
}

struct bufferevent *tls_accept(struct tls *t, struct event_base *base, int fd)
{
	struct bufferevent *bev;
	SSL *ssl;

	(void)pthread_mutex_lock(&t->lock);
	ssl = SSL_new(t->ctx);
	(void)pthread_mutex_unlock(&t->lock);
	ensure(ssl != NULL);
	bev = bufferevent_openssl_socket_new(base, fd, ssl, BUFFEREVENT_SSL_ACCEPTING, BEV_OPT_CLOSE_ON_FREE);
	ensure(bev != NULL);
	bufferevent_openssl_set_allow_dirty_shutdown(bev, 1);
	return bev;
}

void tls_write(struct bufferevent *bev, const void *data, size_t len)
{
	ERR_clear_error();
	(void)SSL_write(bufferevent_openssl_get_ssl(bev), data, (int)len);
}

void tls_end(struct bufferevent *bev)
{
	ERR_clear_error();
	(void)SSL_shutdown(bufferevent_openssl_get_ssl(bev));
}
