/* SPDX-License-Identifier: Apache-2.0 */
#include "api/actions/firmware_file.h"

#include "storage/package_store.h"

#include <string.h>
#include <strings.h>

#define FILE_BYTES_MAX 2147483646LL /* FirmwareSize is a 32-bit Integer (api §12 row 40) */
#define HEX "0123456789abcdefABCDEF"
#define URL_CHARS_MAX 250

/* http(s)://host... of printable ASCII */
static bool is_url(const char *s)
{
	size_t scheme = strncmp(s, "http://", 7) == 0 ? 7 : strncmp(s, "https://", 8) == 0 ? 8 : 0;

	if (scheme == 0 || s[scheme] == '\0' || s[scheme] == '/')
		return false;
	for (; *s; s++)
		if (*s <= ' ' || *s > '~')
			return false;
	return true;
}

/* Does the URL begin with one of the prefixes of store_external, and can devices read it? (device §5.1) */
static bool is_external(const char *prefixes, const char *url)
{
	if (strlen(url) >= URL_CHARS_MAX)
		return false;
	while (*prefixes) {
		size_t len = strcspn(prefixes, " ");

		if (len > 0 && strncmp(url, prefixes, len) == 0)
			return true;
		prefixes += len + strspn(prefixes + len, " ");
	}
	return false;
}

static bool is_hex(const char *s, size_t len)
{
	return strlen(s) == len && strspn(s, HEX) == len;
}

/* As package_store_find, but an object that a package uses may be of any age. */
static enum err object_find(struct call *c, const char *url, struct object_info *ret)
{
	struct package_store *store = c->env->store;
	enum err e = package_store_find(store, c->arena, OBJECT_PACKAGE, c->account_id, url, c->now, ret);
	const char *key;
	bool used = false;

	if (e != ERR_NOT_FOUND)
		return e;
	key = package_store_key(store, c->arena, OBJECT_PACKAGE, c->account_id, url);
	if (key)
		TRY(store_firmware_object_used(c->db, key, &used));
	return used ? package_store_info(store, c->arena, key, ret) : ERR_NOT_FOUND;
}

/* A file of another store is taken as it is declared; devices need its MD5 in every notification. */
static enum err declared(struct call *c, const struct file_in *f, bool sha256, struct firmware_file *ret)
{
	const char *md5 = sha256 ? f->md5 : f->md5 ? f->md5 : f->sign;

	if (!f->size.set)
		return fail(c->error, ERR_FIRMWARE_SIZE,
			    "The size of a file of another store must be given.");
	if (f->size.v < 1)
		return fail_param(c->error, f->size.v == 0 ? ERR_FIRMWARE_EMPTY : ERR_FIRMWARE_SIZE, NULL);
	if (!f->sign)
		return fail(c->error, ERR_FIRMWARE_SIGN,
			    "The digest of a file of another store must be given.");
	if (!md5)
		return fail(c->error, ERR_FIRMWARE_SIGN_METHOD, "A file of another store needs its MD5.");
	if (!is_hex(f->sign, sha256 ? 64 : 32) || !is_hex(md5, 32) ||
	    (!sha256 && strcasecmp(md5, f->sign) != 0))
		return fail(c->error, ERR_FIRMWARE_SIGN, "A digest must be %d hexadecimal digits.",
			    sha256 ? 64 : 32);
	*ret = (struct firmware_file){
		.object_key = f->url,
		.name = f->name ? f->name : "",
		.size = f->size.v,
		.md5 = arena_strdup(c->arena, md5),
		.sha256 = sha256 ? arena_strdup(c->arena, f->sign) : "",
	};
	return OK;
}

static enum err stored(struct call *c, const struct file_in *f, bool sha256, const struct object_info *o,
		       struct firmware_file *ret)
{
	if (o->size == 0)
		return fail_param(c->error, ERR_FIRMWARE_EMPTY, NULL);
	if (o->size > FILE_BYTES_MAX || (f->size.set && f->size.v != o->size))
		return fail_param(c->error, ERR_FIRMWARE_SIZE, NULL);
	if ((f->sign && strcasecmp(f->sign, sha256 ? o->sha256 : o->md5) != 0) ||
	    (f->md5 && strcasecmp(f->md5, o->md5) != 0))
		return fail_param(c->error, ERR_FIRMWARE_SIGN, NULL);
	*ret = (struct firmware_file){
		.object_key = o->key,
		.name = f->name ? f->name : "",
		.size = o->size,
		.md5 = arena_strdup(c->arena, o->md5),
		.sha256 = arena_strdup(c->arena, o->sha256),
	};
	return OK;
}

enum err firmware_file_find(struct call *c, const struct file_in *f, bool sha256, struct firmware_file *ret)
{
	struct object_info o;
	enum err e;

	if (!is_url(f->url))
		return fail_param(c->error, ERR_FIRMWARE_URL_FORMAT, NULL);
	e = object_find(c, f->url, &o);
	if (e == ERR_NOT_FOUND)
		return is_external(c->config->store_external, f->url)
			       ? declared(c, f, sha256, ret)
			       : fail_param(c->error, ERR_FIRMWARE_URL, NULL);
	TRY(e);
	return stored(c, f, sha256, &o, ret);
}

const char *firmware_file_url(struct call *c, int64_t firmware_id, const struct firmware_file *f)
{
	return package_store_sign(c->env->store, c->arena, f->object_key, firmware_id, 0, 0,
				  c->now + c->config->store_url_hours * MS_PER_HOUR);
}
