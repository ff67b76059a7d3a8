/* SPDX-License-Identifier: Apache-2.0 */
/* Connections under guard. evhttp reads from bufferevents made here: it is let at their input only when a
 * whole, vetted request is in it, and nothing but that request. Connections that are slow, idle, too many or
 * do not read their answers are ended. A refused request reaches evhttp as a harmless stand-in, whose handler
 * asks gate_refusal. Loop thread only. (A filtering bufferevent would not do: evhttp takes an answer for sent
 * when the filter has it, and closes over it.) */
#ifndef API_GATE_H
#define API_GATE_H

#include "engine/base/config.h"
#include "engine/base/err.h"

struct bufferevent;
struct event_base;
struct gate;  /* one connection */
struct gates; /* all connections of a listener */
struct tls;

/* tls: NULL = plain; it stays the caller's, and outlives the gates. */
struct gates *gates_new(const struct config *c, struct tls *tls);
/* After evhttp has freed its connections, before the event base goes. */
void gates_free(struct gates *g);
/* For evhttp_set_bevcb, with the gates as its argument. Never NULL: evhttp would make an unguarded one. */
struct bufferevent *gates_accept(struct event_base *base, void *gates);
/* Answers that are being made or sent. */
size_t gates_busy(const struct gates *g);

/* The gate that this bufferevent is. */
struct gate *gate_of(struct gates *g, struct bufferevent *bev);
/* OK, or why the request is refused (and whether its sender wants XML). */
enum err gate_refusal(const struct gate *g, bool *ret_xml);
/* evhttp has the answer and is sending it: its deadline runs. */
void gate_answering(struct gate *g);
/* It is sent whole: the next request may come. */
void gate_answered(struct gate *g);
/* evhttp is about to free the connection. */
void gate_gone(struct gate *g);

#endif
