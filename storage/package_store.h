/* SPDX-License-Identifier: Apache-2.0 */
/* The package store: objects (packages and device lists) in a directory, their digests beside them, and the
 * signatures that let a client put one or a device get one. Any thread. Names of objects are random and made
 * here; a client's text never becomes a path. */
#ifndef STORAGE_PACKAGE_STORE_H
#define STORAGE_PACKAGE_STORE_H

#include "engine/base/config.h"
#include "engine/base/crypto.h"

struct package_store;

/* An upload has to start within this time of its form, and to be used within this time of its end. */
#define STORE_FORM_MS MS_PER_MINUTE
#define STORE_UNUSED_MS (60 * MS_PER_MINUTE)
/* Largest device list that is taken in; the limit of the API (limit_list_bytes) is checked where it is used.
 */
#define STORE_LIST_BYTES 41943040
/* Longest base of a URL: with it a download URL stays below 250 bytes whatever the ids are (device §5.1). */
#define STORE_URL_MAX CONFIG_URL_MAX

/* dir is made if need be. Before anything that makes or reads a URL comes package_store_set_url. The signing
 * keys are derived from the master key. ERR_IO. */
enum err package_store_open(const char *dir, const struct seal_key *master, struct error *e,
			    struct package_store **ret) MUST_USE;
void package_store_close(struct package_store *s);
/* How forms and their objects are reached, and how devices reach what they download; "" = the same. At most
 * STORE_URL_MAX characters, a closing slash does not count. Before other threads use the store. */
void package_store_set_url(struct package_store *s, const char *base_url, const char *device_url);

enum object_kind { OBJECT_PACKAGE, OBJECT_DEVICE_LIST };

/* ---- upload form (api.md §4.1, 4.2; rules.md §8) ---- */
struct upload_form {
	const char *host; /* URL to POST to */
	const char *key;  /* object name */
	const char *access_key_id;
	const char *policy;    /* base64 */
	const char *signature; /* base64 */
	const char *url;       /* FirmwareUrl or FileUrl: host + "/" + key */
};
/* A form for one object, good for 1 minute from now. suffix: "bin", "csv", "tar.gz" ...; account_id becomes
 * part of the key (hashed). Strings in the arena. */
struct upload_form package_store_form(struct package_store *s, struct arena *a, enum object_kind kind,
				      int64_t account_id, const char *suffix, utc_ms now);

/* What a good form permits. */
struct form_grant {
	enum object_kind kind;
	int64_t max_bytes;
	utc_ms good_until_ms;
};
/* Is this a form of ours that is still good? ERR_KEY_NOT_FOUND (access_key_id), ERR_SIGNATURE,
 * ERR_BAD_REQUEST (not a policy), ERR_FORBIDDEN (another key, expired). */
enum err package_store_check_form(struct package_store *s, struct error *e, const char *key,
				  const char *policy, const char *access_key_id, const char *signature,
				  utc_ms now, struct form_grant *ret) MUST_USE;

/* ---- writing an object, piece by piece; digests are computed on the way ---- */
struct object_writer;
/* ERR_FORBIDDEN (not a key of this store), ERR_IO. */
enum err object_create(struct package_store *s, struct error *e, const char *key,
		       const struct form_grant *grant, struct object_writer **ret) MUST_USE;
enum err object_write(struct object_writer *w, struct error *e, const void *data, size_t len) MUST_USE;
/* fsync, rename, digests beside it: from here on it exists. An object that exists already is replaced only
 * while its form is good and nobody has looked it up with package_store_find; otherwise ERR_OBJECT_EXISTS,
 * unless the content is the same (a client that lost the answer asks again). ret_md5 may be NULL. Frees w,
 * also on failure. */
enum err object_commit(struct object_writer *w, struct error *e, utc_ms now, char ret_md5[33]) MUST_USE;
/* Removes the half-written file. Frees w. NULL is allowed. */
void object_abort(struct object_writer *w);

/* ---- looking at objects ---- */
struct object_info {
	const char *key;
	int64_t size;
	char md5[33], sha256[65]; /* lower-case hex */
	utc_ms uploaded_ms;
};
/* The object behind a URL that package_store_form gave out, of the same account; it is never replaced from
 * then on. ERR_NOT_FOUND (error untouched) when the URL is not of this store, or names nothing, or was
 * uploaded more than 60 minutes ago. An object that a package uses has no such limit: who knows that it is
 * used takes package_store_key and package_store_info. */
enum err package_store_find(struct package_store *s, struct arena *a, enum object_kind kind,
			    int64_t account_id, const char *url, utc_ms now,
			    struct object_info *ret) MUST_USE;
/* The key in a URL that package_store_form gave to this account, or NULL. In the arena. */
const char *package_store_key(struct package_store *s, struct arena *a, enum object_kind kind,
			      int64_t account_id, const char *url);
/* Whatever its age; it is never replaced from then on. ERR_NOT_FOUND. */
enum err package_store_info(struct package_store *s, struct arena *a, const char *key,
			    struct object_info *ret) MUST_USE;
/* Whole content of a small object (device lists), NUL-terminated, in the arena. ERR_FORMAT above max_bytes.
 */
enum err package_store_read(struct package_store *s, struct arena *a, struct error *e, const char *key,
			    size_t max_bytes, char **ret, size_t *ret_len) MUST_USE;
/* An open file descriptor and its size; the caller closes it. ERR_NOT_FOUND. */
enum err package_store_open_object(struct package_store *s, const char *key, int *ret_fd,
				   int64_t *ret_size) MUST_USE;
void package_store_delete(struct package_store *s, const char *key);
/* Calls fn for every object that was uploaded before `before`; for the sweeper. fn may delete it. */
void package_store_each(struct package_store *s, utc_ms before, void (*fn)(void *ctx, const char *key),
			void *ctx);
/* Removes half-written files that nobody has written to since `before`: what a crash left behind. */
void package_store_clean(struct package_store *s, utc_ms before);

/* ---- download URLs ---- */
/* A signed URL below 250 bytes for this object, package, device and push, good until expires_ms; in the
 * arena. push_no makes the URL of every push a new one. The key of a file in another store is its whole URL:
 * that is given back as it is. */
const char *package_store_sign(struct package_store *s, struct arena *a, const char *key, int64_t firmware_id,
			       int64_t device_id, int64_t push_no, utc_ms expires_ms);
/* Checks path and query of a request, as they came; the object's key in the arena. ERR_FORBIDDEN: altered or
 * expired. */
enum err package_store_check_url(struct package_store *s, struct arena *a, const char *path,
				 const char *query, utc_ms now, const char **ret_key) MUST_USE;

#endif
