/* SPDX-License-Identifier: Apache-2.0 */
/* A package for a campaign: random bytes through the upload form, as a browser sends it (api §9), then the
 * package of them. Called by campaign.c. */
#include "cmd/otasim/load.h"

#include <event2/buffer.h>
#include <event2/http.h>
#include <string.h>

#define BOUNDARY "----otasim7d1e4c2b9a60"
#define TIMEOUT_S 600
#define NAME_RANDOM 12

struct post {
	bool done;
	int status;
};

static void on_posted(struct evhttp_request *req, void *arg)
{
	struct post *p = arg;

	p->done = true;
	p->status = req ? evhttp_request_get_response_code(req) : 0;
}

/* The form; the file comes last. */
static void body_write(struct sim *s, const struct json *form, int64_t bytes, struct evbuffer *out)
{
	static const char *const fields[][2] = { { "key", "Key" },
						 { "policy", "Policy" },
						 { "OSSAccessKeyId", "OSSAccessKeyId" },
						 { "signature", "Signature" },
						 { "success_action_status", NULL } };
	static uint64_t piece[1024];

	for (size_t i = 0; i < ARRAY_LEN(fields); i++) {
		const char *value = fields[i][1] ? json_text(json_get(form, fields[i][1])) : "200";

		(void)evbuffer_add_printf(
			out, "--" BOUNDARY "\r\nContent-Disposition: form-data; name=\"%s\"\r\n\r\n%s\r\n",
			fields[i][0], value ? value : "");
	}
	(void)evbuffer_add_printf(out, "--" BOUNDARY "\r\nContent-Disposition: form-data; name=\"file\"\r\n"
				       "Content-Type: application/octet-stream\r\n\r\n");
	for (int64_t at = 0; at < bytes; at += (int64_t)sizeof piece) {
		for (size_t i = 0; i < ARRAY_LEN(piece); i++)
			piece[i] = (uint64_t)sim_chance(s, (size_t)at + i, 'P', INT64_MAX);
		(void)evbuffer_add(out, piece, (size_t)i64_min(bytes - at, sizeof piece));
	}
	(void)evbuffer_add_printf(out, "\r\n--" BOUNDARY "--\r\n");
}

/* -> the HTTP status; 0: no answer. */
static int form_post(struct load *l, const char *url, const struct json *form, int64_t bytes)
{
	struct sim *s = l->sim;
	struct evhttp_uri *uri = evhttp_uri_parse(url);
	const char *host = uri ? evhttp_uri_get_host(uri) : NULL,
		   *scheme = uri ? evhttp_uri_get_scheme(uri) : NULL;
	bool tls = scheme && strcmp(scheme, "https") == 0;
	int port = uri ? evhttp_uri_get_port(uri) : -1;
	struct evhttp_connection *http;
	struct evhttp_request *req;
	struct post p = { 0 };
	struct arena a;

	if (!host || !scheme) {
		if (uri)
			evhttp_uri_free(uri);
		return 0;
	}
	arena_init(&a);
	port = port > 0 ? port : tls ? 443 : 80;
	http = evhttp_connection_base_bufferevent_new(s->base, NULL, connection_new(s, tls ? host : NULL),
						      host, (uint16_t)port);
	req = evhttp_request_new(on_posted, &p);
	ensure(http && req);
	evhttp_connection_set_timeout(http, TIMEOUT_S);
	(void)evhttp_add_header(evhttp_request_get_output_headers(req), "Host",
				arena_printf(&a, "%s:%d", host, port));
	(void)evhttp_add_header(evhttp_request_get_output_headers(req), "Content-Type",
				"multipart/form-data; boundary=" BOUNDARY);
	body_write(s, form, bytes, evhttp_request_get_output_buffer(req));
	(void)evhttp_make_request(http, req, EVHTTP_REQ_POST,
				  *evhttp_uri_get_path(uri) ? evhttp_uri_get_path(uri) : "/");
	while (!p.done && !s->stopped)
		(void)event_base_loop(s->base, EVLOOP_ONCE);
	evhttp_connection_free(http);
	evhttp_uri_free(uri);
	arena_free(&a);
	return p.status;
}

/* -> FirmwareUrl in the arena; NULL: said. */
static const char *file_upload(struct load *l, struct arena *a, int64_t bytes)
{
	struct param_list none = { 0 };
	const struct json *form = json_get(control_wait(l, a, "GenerateOTAUploadURL", &none), "Data");
	const char *host = json_text(json_get(form, "Host")), *url = json_text(json_get(form, "FirmwareUrl"));
	int status;

	if (!host || !url)
		return NULL;
	status = form_post(l, host, form, bytes);
	if (status / 100 == 2)
		return url;
	(void)fprintf(stderr, "otasim: the package could not be uploaded to %s: HTTP status %d\n", host,
		      status);
	return NULL;
}

const char *package_upload(struct load *l, const char *product, const char *version, int64_t kib)
{
	char random[NAME_RANDOM + 1];
	const char *url, *id = NULL;
	struct param_list p = { 0 };
	struct arena a;

	arena_init(&a);
	url = file_upload(l, &a, kib * 1024);
	if (url) {
		crypto_random_text(random, NAME_RANDOM);
		param_add(&p, "ProductKey", product);
		param_add(&p, "FirmwareName", arena_printf(&a, "load-%s", random));
		param_add(&p, "DestVersion", version);
		param_add(&p, "FirmwareUrl", url);
		param_add(&p, "NeedToVerify", "false");
		id = json_text(json_get(json_get(control_wait(l, &a, "CreateOTAFirmware", &p), "Data"),
					"FirmwareId"));
	}
	if (id)
		id = arena_strdup(&l->sim->arena, id);
	arena_free(&a);
	return id;
}
