/* SPDX-License-Identifier: Apache-2.0 */
/* The management API as a whole: listener, guard, workers. Started and stopped by cmd/otad. */
#ifndef API_API_H
#define API_API_H

#include "api/action.h"

struct api_server;
struct tls;

/* Starts the loop thread and the workers. env and its contents, and tls (NULL: plain HTTP), outlive the
 * server. ready() answers /readyz: true, or false with a short reason. */
enum err api_start(const struct config *c, struct tls *tls, const struct api_env *env,
		   bool (*ready)(void *ctx, const char **why), void *ready_ctx, struct error *e,
		   struct api_server **ret) MUST_USE;
int api_port(const struct api_server *s);
/* Stops accepting, finishes accepted calls, at most grace_ms, joins. */
void api_stop(struct api_server *s, int grace_ms);

/* OpenAPI 3.1 document of every action, from the tables. */
void openapi_print(struct buf *out);
/* The same for readers: a section per action, in Markdown, from the second paragraph on. */
void api_page_print(struct buf *out);

/* Background worker of batch registrations (api.md §8.7); one thread with its own connection. */
struct registrar;
enum err registrar_start(const struct config *c, const struct api_env *env, struct error *e,
			 struct registrar **ret) MUST_USE;
void registrar_wake(void *registrar);
void registrar_stop(struct registrar *r);

#endif
