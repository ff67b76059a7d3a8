/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/secret.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define KEY_DIGITS (2 * SEAL_KEY_LEN)
#define KEY_FILE_MAX (KEY_DIGITS + 16) /* a line end, a few blanks */

static enum err parse_key(const char *text, const char *from, struct seal_key *ret, struct error *e)
{
	size_t len = strcspn(text, " \t\r\n");

	if (text[len + strspn(text + len, " \t\r\n")] != '\0' ||
	    !hex_decode(text, len, ret->bytes, SEAL_KEY_LEN))
		return fail(e, ERR_CONFIG, "%s: the master key must be %d hex digits", from, KEY_DIGITS);
	return OK;
}

/* Root's group counts as root: systemd shows a service its credentials so, as 0440, and lets it in by an ACL. */
static bool others_may_use(const struct stat *st)
{
	bool of_root = st->st_uid == 0 && st->st_gid == 0;

	return (st->st_mode & (S_IRWXO | (of_root ? S_IWGRP | S_IXGRP : S_IRWXG))) != 0;
}

/* The content of an open file, at most KEY_FILE_MAX bytes, and nobody else's to read. */
static enum err read_private(int fd, const char *path, char *out, struct error *e)
{
	struct stat st;
	ssize_t n;

	if (fstat(fd, &st) != 0)
		return fail(e, ERR_CONFIG, "%s: %s", path, strerrordesc_np(errno));
	if (!S_ISREG(st.st_mode))
		return fail(e, ERR_CONFIG, "%s: not a regular file", path);
	if (others_may_use(&st))
		return fail(e, ERR_CONFIG, "%s: group or others may use this file; chmod it to 0600", path);
	n = read(fd, out, KEY_FILE_MAX);
	if (n < 0)
		return fail(e, ERR_CONFIG, "%s: %s", path, strerrordesc_np(errno));
	out[n] = '\0';
	return OK;
}

enum err master_key_load(const char *path, struct seal_key *ret, struct error *e)
{
	const char *env = getenv("OTAD_MASTER_KEY"); /* NOLINT(concurrency-mt-unsafe): nobody sets it */
	char text[KEY_FILE_MAX + 1];
	enum err err;
	int fd;

	if (env && *env)
		return parse_key(env, "OTAD_MASTER_KEY", ret, e);
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0)
		return fail(e, ERR_CONFIG, "%s: %s", path, strerrordesc_np(errno));
	err = read_private(fd, path, text, e);
	(void)close(fd);
	if (err == OK)
		err = parse_key(text, path, ret, e);
	explicit_bzero(text, sizeof text);
	return err;
}

struct sealed secret_seal(struct arena *a, const struct seal_key *key, const char *aad, const char *plain)
{
	size_t len = strlen(plain);
	unsigned char *out = arena_alloc(a, len + SEAL_OVERHEAD);

	seal(key, aad, plain, len, out);
	return (struct sealed){ .data = out, .len = len + SEAL_OVERHEAD };
}

enum err secret_open(struct arena *a, struct error *e, const struct seal_key *key, const char *aad,
		     struct sealed s, const char **ret_plain)
{
	char *plain = NULL;

	if (!s.data || seal_open(key, aad, s.data, s.len, a, &plain, NULL) != OK)
		return fail(e, ERR_CRYPTO, "the secret of %s cannot be opened with this master key", aad);
	*ret_plain = plain;
	return OK;
}

const char *secret_aad_access_key(struct arena *a, const char *key_id)
{
	return arena_printf(a, "access_key|%s", key_id);
}

const char *secret_aad_product(struct arena *a, const char *product_key)
{
	return arena_printf(a, "product|%s", product_key);
}

const char *secret_aad_device(struct arena *a, const char *product_key, const char *device_name)
{
	return arena_printf(a, "device|%s|%s", product_key, device_name);
}

const char *secret_new(struct arena *a, size_t len)
{
	char *out = arena_alloc(a, len + 1);

	crypto_random_text(out, len);
	return out;
}
