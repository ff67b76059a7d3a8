/* SPDX-License-Identifier: Apache-2.0 */
/* Who may log in: every device's secret, in memory, found by ProductKey and DeviceName. The broker's thread
 * only; no call waits or walks the whole table, at any size. Measured 120 bytes for a device with vendor-like
 * names (26 of struct cred, some 65 of text, malloc's rounding, 8 of the bucket): 120 MB for 1,000,000
 * devices. */
#ifndef PLUGIN_CREDS_H
#define PLUGIN_CREDS_H

#include "engine/base/base.h"

struct conn;

struct cred {
	struct cred *next;
	struct conn *live; /* the device's connection; NULL: offline */
	uint32_t hash;
	uint32_t mark; /* number of the last full set that named it */
	uint8_t pk_len, dn_len;
	char text[]; /* pk, dn, secret, each with its NUL */
};
static inline const char *cred_pk(const struct cred *c)
{
	return c->text;
}
static inline const char *cred_dn(const struct cred *c)
{
	return c->text + c->pk_len + 1;
}
static inline const char *cred_secret(const struct cred *c)
{
	return c->text + c->pk_len + c->dn_len + 2;
}

/* Linear hashing: one bucket is split per insertion, so growing never stops the broker. */
struct creds {
	struct cred **buckets;
	size_t n_buckets, cap, n;
	uint32_t set;	/* number of the newest full set, complete or not */
	uint32_t valid; /* devices with an older mark count as dropped, until creds_sweep frees them */
};

void creds_init(struct creds *t);
void creds_free(struct creds *t);
/* NULL: unknown or dropped. Texts need no NUL. Valid until the device is put with another secret or removed.
 */
struct cred *creds_find(const struct creds *t, const char *pk, size_t pk_len, const char *dn, size_t dn_len);
/* A new device, which creds_find must not know with the same names. Lengths up to 255. */
struct cred *creds_add(struct creds *t, const char *pk, const char *dn, const char *secret);
void creds_remove(struct creds *t, struct cred *c);
/* Calls fn for the devices of up to `buckets` buckets from *at on, and moves *at; false: that was the end. fn
 * may not change the table. Devices that others add meanwhile may or may not be shown; nobody else is left
 * out. */
bool creds_walk(const struct creds *t, size_t *at, size_t buckets, void (*fn)(void *ctx, struct cred *c),
		void *ctx);
/* Frees dropped devices in the same way, calling fn before each. */
bool creds_sweep(struct creds *t, size_t *at, size_t buckets, void (*fn)(void *ctx, struct cred *c),
		 void *ctx);

#endif
