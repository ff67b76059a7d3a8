/* SPDX-License-Identifier: Apache-2.0 */
/* What the calls about batches of devices share (api §8.7). */
#ifndef API_ACTIONS_APPLY_IN_H
#define API_ACTIONS_APPLY_IN_H

#include "api/action.h"

#define APPLY_DEVICES_MAX 10000
#define APPLY_ID_MAX 9007199254740991 /* 2^53 - 1: what JSON numbers of every client hold */

/* A call about one order of a product. */
struct apply_in {
	const char *product_key;
	struct opt_int apply_id;
};
extern const struct field apply_in[];

/* The answer of calls that make an order: struct data_out with this in it. */
struct apply_data {
	struct opt_int apply_id;
};
extern const struct field apply_out[];

/* Why a name was refused. */
struct apply_detail {
	const char *name, *nickname, *text;
};
extern const struct field apply_detail[];

/* After the commit: the registrar has something to do. */
void apply_wake(struct call *c);

#endif
