/* SPDX-License-Identifier: Apache-2.0 */
/* Secrets as the database keeps them: sealed under the master key and bound to their row. Nothing here or in
 * its callers ever logs one. Any thread. */
#ifndef STORAGE_SECRET_H
#define STORAGE_SECRET_H

#include "engine/base/crypto.h"

/* 64 hex digits, in the environment variable OTAD_MASTER_KEY or else in the file at `path`, which nobody but
 * its owner may be able to read (but root's group a file of root's, as systemd's credentials). ERR_CONFIG, never with a digit of the key in the text. */
enum err master_key_load(const char *path, struct seal_key *ret, struct error *e) MUST_USE;

/* A sealed text; in the arena. */
struct sealed {
	const unsigned char *data;
	size_t len;
};
struct sealed secret_seal(struct arena *a, const struct seal_key *key, const char *aad, const char *plain);
/* ERR_CRYPTO, said in `e`, when the key or the row is not the right one. */
enum err secret_open(struct arena *a, struct error *e, const struct seal_key *key, const char *aad,
		     struct sealed s, const char **ret_plain) MUST_USE;

/* What a secret is bound to (migrations/0001_base.sql); in the arena. */
const char *secret_aad_access_key(struct arena *a, const char *key_id);
const char *secret_aad_product(struct arena *a, const char *product_key);
const char *secret_aad_device(struct arena *a, const char *product_key, const char *device_name);

/* len random letters and digits, in the arena. */
const char *secret_new(struct arena *a, size_t len);

#endif
