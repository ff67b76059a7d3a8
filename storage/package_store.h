/* SPDX-License-Identifier: Apache-2.0 */
/* The package store: objects (packages and device lists) in a directory, their digests beside them, and the
 * signatures that let a client put one or a device get one. Any thread. Names of objects are random and made
 * here; a client's text never becomes a path. */
#ifndef STORAGE_PACKAGE_STORE_H
#define STORAGE_PACKAGE_STORE_H

#include "engine/base/crypto.h"

struct package_store;

/* dir is made if need be. base_url: how clients reach the package server, without a closing slash; it may be
 * set later (the listener's port is known only then) with package_store_set_url. The signing key is derived
 * from the master key. */
enum err package_store_open(const char *dir, const char *base_url, const struct seal_key *master, struct error *e,
			    struct package_store **ret) MUST_USE;
void package_store_close(struct package_store *s);
void package_store_set_url(struct package_store *s, const char *base_url);

enum object_kind { OBJECT_PACKAGE, OBJECT_DEVICE_LIST };

/* ---- upload form (api.md §4.1, 4.2; rules.md §8) ---- */
struct upload_form {
	const char *host;      /* URL to POST to */
	const char *key;       /* object name */
	const char *access_key_id;
	const char *policy;    /* base64 */
	const char *signature; /* base64 */
	const char *url;       /* FirmwareUrl or FileUrl */
};
/* A form for one object, good for 1 minute from now. suffix: "bin", "csv", ...; account_id becomes part of the
 * key (hashed). Strings in the arena. */
struct upload_form package_store_form(struct package_store *s, struct arena *a, enum object_kind kind,
				      int64_t account_id, const char *suffix, utc_ms now);
/* Is this a form of ours that is still good? ret_limit: largest size in bytes for its kind. */
enum err package_store_check_form(struct package_store *s, struct error *e, const char *key, const char *policy,
				  const char *access_key_id, const char *signature, utc_ms now,
				  enum object_kind *ret_kind) MUST_USE;

/* ---- writing an object, piece by piece; digests are computed on the way ---- */
struct object_writer;
enum err object_create(struct package_store *s, struct error *e, const char *key, struct object_writer **ret) MUST_USE;
enum err object_write(struct object_writer *w, struct error *e, const void *data, size_t len) MUST_USE;
/* fsync, rename, digests beside it: from here on it exists. An object that exists already is replaced only
 * while its form is good. Frees w, also on failure. */
enum err object_commit(struct object_writer *w, struct error *e, utc_ms now) MUST_USE;
/* Removes the half-written file. Frees w. */
void object_abort(struct object_writer *w);

/* ---- looking at objects ---- */
struct object_info {
	const char *key;
	int64_t size;
	char md5[33], sha256[65]; /* lower-case hex */
	utc_ms uploaded_ms;
};
/* The object behind a URL that package_store_form gave out, of the same account. ERR_NOT_FOUND (error
 * untouched) when the URL is not of this store, or names nothing, or was uploaded more than 60 minutes ago and
 * is used by no package (`used` says so). */
enum err package_store_find(struct package_store *s, struct arena *a, enum object_kind kind, int64_t account_id,
			    const char *url, utc_ms now, struct object_info *ret) MUST_USE;
/* Whole content of a small object (device lists), NUL-terminated, in the arena. ERR_FORMAT above max_bytes. */
enum err package_store_read(struct package_store *s, struct arena *a, struct error *e, const char *key,
			    size_t max_bytes, char **ret, size_t *ret_len) MUST_USE;
/* An open file descriptor and its size; the caller closes it. */
enum err package_store_open_object(struct package_store *s, const char *key, int *ret_fd, int64_t *ret_size) MUST_USE;
void package_store_delete(struct package_store *s, const char *key);
/* Calls fn for every object that was uploaded before `before`; for the sweeper. */
void package_store_each(struct package_store *s, utc_ms before, void (*fn)(void *ctx, const char *key), void *ctx);

/* ---- download URLs ---- */
/* A signed URL below 250 bytes for this object, package, device and push, good until expires_ms; in the arena.
 * push_no makes the URL of every push a new one. */
const char *package_store_sign(struct package_store *s, struct arena *a, const char *key, int64_t firmware_id,
			       int64_t device_id, int64_t push_no, utc_ms expires_ms);
/* Checks path and query of a request; the object's key in the arena. ERR_FORBIDDEN: altered or expired. */
enum err package_store_check_url(struct package_store *s, struct arena *a, const char *path, const char *query,
				 utc_ms now, const char **ret_key) MUST_USE;

#endif
