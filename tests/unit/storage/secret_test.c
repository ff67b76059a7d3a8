/* SPDX-License-Identifier: Apache-2.0 */
/* Sealing binds a secret to its row; a key file that others may read is refused. */
#include "storage/secret.h"

#include "harness.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char digits[] = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";

/* Loads a key from a file of this content and mode, which belongs to us and this group. */
static enum err load_of_group(const char *content, mode_t mode, gid_t group, struct seal_key *key,
			      const char **ret_message)
{
	static char message[256];
	char path[] = "/tmp/otad-key-XXXXXX";
	int fd = mkstemp(path);
	struct arena a;
	struct error e;
	enum err err;

	CHECK(fd >= 0);
	CHECK_INT(write(fd, content, strlen(content)), strlen(content));
	CHECK_INT(fchown(fd, (uid_t)-1, group), 0);
	CHECK_INT(fchmod(fd, mode), 0);
	CHECK_INT(close(fd), 0);
	arena_init(&a);
	error_init(&e, &a);
	err = master_key_load(path, key, &e);
	(void)snprintf(message, sizeof message, "%s", err == OK ? "" : error_text(&e));
	*ret_message = message;
	CHECK_INT(unlink(path), 0);
	arena_free(&a);
	return err;
}

static enum err load(const char *content, mode_t mode, struct seal_key *key, const char **ret_message)
{
	return load_of_group(content, mode, getegid(), key, ret_message);
}

/* What systemd gives to a service with LoadCredential=: root's, readable by its group, that is by an ACL. */
static void key_of_root_and_its_group(void)
{
	struct seal_key key;
	const char *why;

	(void)unsetenv("OTAD_MASTER_KEY");
	CHECK_INT(load(digits, 0440, &key, &why), geteuid() == 0 && getegid() == 0 ? OK : ERR_CONFIG);
	CHECK_INT(load(digits, 0460, &key, &why), ERR_CONFIG);
	CHECK_INT(load(digits, 0444, &key, &why), ERR_CONFIG);
	if (geteuid() == 0)
		CHECK_INT(load_of_group(digits, 0440, 1, &key, &why), ERR_CONFIG);
}

static void key_file(void)
{
	struct seal_key key = { 0 };
	const char *why = NULL;
	char line[80];

	(void)unsetenv("OTAD_MASTER_KEY");
	(void)snprintf(line, sizeof line, "%s\n", digits);
	CHECK_INT(load(line, 0600, &key, &why), OK);
	CHECK_INT(key.bytes[0], 0);
	CHECK_INT(key.bytes[31], 0x1f);
	CHECK_INT(load(digits, 0400, &key, &why), OK);
	CHECK_INT(load(line, 0660, &key, &why), ERR_CONFIG);
	CHECK(strstr(why, "0600") != NULL);
	CHECK_INT(load(line, 0604, &key, &why), ERR_CONFIG);
	CHECK_INT(load("", 0600, &key, &why), ERR_CONFIG);
	line[10] = 'x';
	CHECK_INT(load(line, 0600, &key, &why), ERR_CONFIG);
	CHECK(strstr(why, "0203") == NULL);
	CHECK_INT(load("0001", 0600, &key, &why), ERR_CONFIG);
	(void)snprintf(line, sizeof line, "%s00", digits);
	CHECK_INT(load(line, 0600, &key, &why), ERR_CONFIG);
	(void)snprintf(line, sizeof line, "%s\nxx", digits);
	CHECK_INT(load(line, 0600, &key, &why), ERR_CONFIG);
}

static void key_environment(void)
{
	struct seal_key key = { 0 };
	const char *why = NULL;

	CHECK_INT(setenv("OTAD_MASTER_KEY", digits, 1), 0);
	CHECK_INT(load("nonsense", 0600, &key, &why), OK);
	CHECK_INT(key.bytes[1], 1);
	CHECK_INT(setenv("OTAD_MASTER_KEY", "12", 1), 0);
	CHECK_INT(load(digits, 0600, &key, &why), ERR_CONFIG);
	CHECK(strstr(why, "OTAD_MASTER_KEY") != NULL);
}

static void key_missing(void)
{
	struct seal_key key;
	struct arena a;
	struct error e;

	(void)unsetenv("OTAD_MASTER_KEY");
	arena_init(&a);
	error_init(&e, &a);
	CHECK_INT(master_key_load("/nonexistent/master.key", &key, &e), ERR_CONFIG);
	CHECK(strstr(error_text(&e), "/nonexistent/master.key") != NULL);
	error_clear(&e);
	CHECK_INT(master_key_load("/tmp", &key, &e), ERR_CONFIG);
	arena_free(&a);
}

static void sealing(void)
{
	struct seal_key key = { { 1 } }, other = { { 2 } };
	const char *plain = NULL;
	struct sealed s, t;
	struct arena a;
	struct error e;

	arena_init(&a);
	error_init(&e, &a);
	s = secret_seal(&a, &key, secret_aad_device(&a, "a1xxxxxxxxx", "meter-1"), "s3cret");
	t = secret_seal(&a, &key, "device|a1xxxxxxxxx|meter-1", "s3cret");
	CHECK_INT(s.len, 6 + SEAL_OVERHEAD);
	CHECK(memcmp(s.data, t.data, s.len) != 0); /* a new nonce each time */
	CHECK(memmem(s.data, s.len, "s3cret", 6) == NULL);
	CHECK_INT(secret_open(&a, &e, &key, "device|a1xxxxxxxxx|meter-1", s, &plain), OK);
	CHECK_STR(plain, "s3cret");
	CHECK_INT(secret_open(&a, &e, &key, "device|a1xxxxxxxxx|meter-2", s, &plain), ERR_CRYPTO);
	CHECK_INT(secret_open(&a, &e, &other, "device|a1xxxxxxxxx|meter-1", s, &plain), ERR_CRYPTO);
	s.len--;
	CHECK_INT(secret_open(&a, &e, &key, "device|a1xxxxxxxxx|meter-1", s, &plain), ERR_CRYPTO);
	CHECK_STR(secret_aad_product(&a, "a1"), "product|a1");
	CHECK_STR(secret_aad_access_key(&a, "LTAI1"), "access_key|LTAI1");
	CHECK_INT(strlen(secret_new(&a, 32)), 32);
	CHECK(strcmp(secret_new(&a, 32), secret_new(&a, 32)) != 0);
	arena_free(&a);
}

TESTS("storage/secret", { "key file", key_file }, { "key of root and its group", key_of_root_and_its_group },
      { "key from the environment", key_environment },
      { "key missing", key_missing }, { "sealing", sealing })
