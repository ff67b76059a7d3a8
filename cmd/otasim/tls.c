/* SPDX-License-Identifier: Apache-2.0 */
/* Connections, plain or over TLS as the devices' own libraries check it: against one authority, name or
 * address included. Called by device.c and download.c. */
#include "cmd/otasim/sim.h"

#include <arpa/inet.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/bufferevent_ssl.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

static int on_verify(int good, X509_STORE_CTX *ctx)
{
	static bool told;

	if (!good && !told) {
		(void)fprintf(stderr, "otasim: a server's certificate: %s\n",
			      X509_verify_cert_error_string(X509_STORE_CTX_get_error(ctx)));
		told = true;
	}
	return good;
}

bool tls_open(struct sim *s)
{
	s->tls = SSL_CTX_new(TLS_client_method());
	ensure(s->tls);
	(void)SSL_CTX_set_min_proto_version(s->tls, TLS1_2_VERSION);
	(void)SSL_CTX_set_mode(s->tls, SSL_MODE_RELEASE_BUFFERS);
	SSL_CTX_set_verify(s->tls, SSL_VERIFY_PEER, on_verify);
	if (!s->o.ca) /* https may still be asked for, by a package server or the management API */
		(void)SSL_CTX_set_default_verify_paths(s->tls);
	else if (SSL_CTX_load_verify_file(s->tls, s->o.ca) != 1) {
		(void)fprintf(stderr, "otasim: %s holds no certificate of an authority\n", s->o.ca);
		return false;
	}
	return true;
}

/* The name that the certificate has to have; asked for in the handshake, too, unless it is an address. */
static SSL *ssl_new(struct sim *s, const char *host)
{
	SSL *ssl = SSL_new(s->tls);
	unsigned char address[sizeof(struct in6_addr)];
	int good;

	ensure(ssl);
	if (inet_pton(AF_INET, host, address) == 1 || inet_pton(AF_INET6, host, address) == 1)
		good = X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), host);
	else
		good = SSL_set1_host(ssl, host) == 1 && SSL_set_tlsext_host_name(ssl, host) == 1;
	ensure(good);
	return ssl;
}

struct bufferevent *connection_new(struct sim *s, const char *host)
{
	struct bufferevent *bev;

	if (host)
		bev = bufferevent_openssl_socket_new(s->base, -1, ssl_new(s, host),
						     BUFFEREVENT_SSL_CONNECTING, BEV_OPT_CLOSE_ON_FREE);
	else
		bev = bufferevent_socket_new(s->base, -1, BEV_OPT_CLOSE_ON_FREE);
	ensure(bev);
	return bev;
}

void connection_flush(struct bufferevent *bev)
{
	struct evbuffer *out = bufferevent_get_output(bev);
	SSL *ssl = bufferevent_openssl_get_ssl(bev);

	(void)evbuffer_unfreeze(out, 1);
	if (!ssl)
		(void)evbuffer_write(out, bufferevent_getfd(bev));
	else if (evbuffer_get_length(out) > 0)
		(void)SSL_write(ssl, evbuffer_pullup(out, -1), (int)evbuffer_get_length(out));
}

void tls_close(struct sim *s)
{
	SSL_CTX_free(s->tls);
}
