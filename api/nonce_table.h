/* SPDX-License-Identifier: Apache-2.0 */
/* Nonces seen by this process: bounded, so that a flood cannot fill the memory; beyond 2 million live ones the
 * soonest to expire are forgotten first. Changing calls have the database besides (storage/nonce.h). Any thread. */
#ifndef API_NONCE_TABLE_H
#define API_NONCE_TABLE_H

#include "engine/base/base.h"

struct nonce_table;

struct nonce_table *nonce_table_new(void);
void nonce_table_free(struct nonce_table *t);
/* true: not seen before, and remembered until expires. Call it only after the signature was verified. */
bool nonce_table_use(struct nonce_table *t, int64_t key_id, const char *nonce, utc_ms now,
		     utc_ms expires) MUST_USE;

#endif
