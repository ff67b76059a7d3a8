/* SPDX-License-Identifier: Apache-2.0 */
/* What package_store.c (forms, URLs) and package_object.c (files) share. */
#ifndef STORAGE_PACKAGE_STORE_PRIV_H
#define STORAGE_PACKAGE_STORE_PRIV_H

#include "storage/package_store.h"

struct base_url {
	char *text;
	const char *path; /* its path part, "" when it has none */
};

struct package_store {
	int objects_fd; /* <dir>/ota */
	int temp_fd;	/* <dir>/tmp, on the same file system */
	struct base_url url, device_url;
	unsigned char form_key[DIGEST_MAX], url_key[DIGEST_MAX], account_key[DIGEST_MAX];
};

#define ACCOUNT_HASH_LEN 16
#define OBJECT_ID_LEN 32
#define OBJECT_NAME_MAX 56
/* The two names below <dir>/ota that a key stands for; neither has a slash or begins with a dot. */
struct object_path {
	char account[ACCOUNT_HASH_LEN + 1];
	char name[OBJECT_NAME_MAX + 1]; /* <id>.<suffix> */
};

/* false unless text is exactly ota/<16 hex>/<32 hex>.<suffix>. */
bool object_path_parse(const char *text, struct object_path *ret);
enum object_kind object_path_kind(const struct object_path *p);
/* Opens objects_fd and temp_fd below dir, removes old half-written files. */
enum err object_dirs_open(struct package_store *s, const char *dir, struct error *e) MUST_USE;

#endif
