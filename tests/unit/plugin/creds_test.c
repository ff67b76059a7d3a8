/* SPDX-License-Identifier: Apache-2.0 */
/* The plugin's table of credentials and its file: growing, dropping, and a file cut off at every byte. */
#include "cmd/mosquitto-plugin/statefile.h"

#include "harness.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static struct cred *get(const struct creds *t, const char *pk, const char *dn)
{
	return creds_find(t, pk, strlen(pk), dn, strlen(dn));
}

static const char *name(int i)
{
	static char out[16];

	(void)snprintf(out, sizeof out, "dev-%d", i);
	return out;
}

static void count(void *ctx, struct cred *c)
{
	int *seen = ctx;

	seen[atoi(cred_dn(c) + 4)]++;
}

static void test_grows(void)
{
	enum { N = 50000 };
	static int seen[N];
	struct creds t;
	size_t at = 0;

	creds_init(&t);
	for (int i = 0; i < N; i++)
		(void)creds_add(&t, "pk", name(i), name(i));
	CHECK_INT(t.n, N);
	for (int i = 0; i < N; i++) {
		CHECK(get(&t, "pk", name(i)) != NULL);
		CHECK_STR(cred_secret(get(&t, "pk", name(i))), name(i));
	}
	CHECK(!get(&t, "p", "kdev-1"));
	CHECK(!get(&t, "pkd", "ev-1"));
	while (creds_walk(&t, &at, 7, count, seen))
		;
	for (int i = 0; i < N; i++)
		CHECK_INT(seen[i], 1);
	for (int i = 0; i < N; i += 2)
		creds_remove(&t, get(&t, "pk", name(i)));
	CHECK_INT(t.n, N / 2);
	for (int i = 0; i < N; i++)
		CHECK((get(&t, "pk", name(i)) != NULL) == (i % 2 == 1));
	creds_free(&t);
}

/* Growing while somebody walks: nobody who was there before is left out. */
static void test_walk_while_growing(void)
{
	enum { N = 20000 };
	static int seen[N];
	struct creds t;
	size_t at = 0;
	int n = N / 4;

	creds_init(&t);
	for (int i = 0; i < n; i++)
		(void)creds_add(&t, "pk", name(i), "s");
	while (creds_walk(&t, &at, 16, count, seen))
		for (int k = 0; k < 20 && n < N; k++)
			(void)creds_add(&t, "pk", name(n++), "s");
	for (int i = 0; i < N / 4; i++)
		CHECK(seen[i] >= 1);
	creds_free(&t);
}

static void test_dropped_by_a_set(void)
{
	enum { N = 3000 };
	static int seen[N];
	struct creds t;
	size_t at = 0;

	creds_init(&t);
	for (int i = 0; i < N; i++)
		(void)creds_add(&t, "pk", name(i), "old");
	t.set++;
	for (int i = 0; i < N; i += 3)
		get(&t, "pk", name(i))->mark = t.set;
	CHECK(get(&t, "pk", name(1)) != NULL); /* the set is not complete yet */
	t.valid = t.set;
	CHECK(!get(&t, "pk", name(1)));
	(void)creds_add(&t, "pk", name(1), "new"); /* comes back before it was freed */
	CHECK_STR(cred_secret(get(&t, "pk", name(1))), "new");
	while (creds_sweep(&t, &at, 5, count, seen))
		;
	CHECK_INT(t.n, N / 3 + 1);
	for (int i = 0; i < N; i++)
		CHECK_INT(seen[i], i % 3 != 0 && i != 1);
	creds_free(&t);
}

/* ---- the file ---- */

static char path[64];

static void make_dir(void)
{
	(void)snprintf(path, sizeof path, "/tmp/otad-creds-XXXXXX");
	CHECK(mkdtemp(path) != NULL);
	(void)strcat(path, "/c");
}

static void remove_dir(void)
{
	(void)unlink(path);
	*strrchr(path, '/') = '\0';
	CHECK(rmdir(path) == 0);
}

static void put(struct statefile *f, struct creds *t, const char *dn, const char *secret)
{
	if (get(t, "pk", dn))
		creds_remove(t, get(t, "pk", dn));
	(void)creds_add(t, "pk", dn, secret);
	statefile_add(f, &(struct link_line){ .verb = LINK_CRED, .pk = "pk", .dn = dn, .secret = secret });
}

static void position(struct statefile *f, int64_t to)
{
	statefile_add(f, &(struct link_line){ .verb = LINK_CRED_POS, .position = to });
	CHECK(statefile_flush(f));
}

static void tick(struct statefile *f, const struct creds *t, int64_t pos)
{
	CHECK(statefile_tick(f, t, pos, 1));
}

static void make_file(void)
{
	struct statefile f;
	struct creds t;
	int64_t pos;

	creds_init(&t);
	CHECK(statefile_open(&f, path, &t, &pos));
	CHECK_INT(pos, 0);
	tick(&f, &t, 0);
	put(&f, &t, "dev-1", "one");
	put(&f, &t, "dev-2", "two");
	position(&f, 5);
	put(&f, &t, "dev-1", "uno");
	creds_remove(&t, get(&t, "pk", "dev-2"));
	statefile_add(&f, &(struct link_line){ .verb = LINK_CRED_DEL, .pk = "pk", .dn = "dev-2" });
	position(&f, 6);
	statefile_close(&f);
	creds_free(&t);
}

static void test_file(void)
{
	struct statefile f;
	struct creds t;
	struct stat st;
	int64_t pos;

	make_dir();
	make_file();
	creds_init(&t);
	CHECK(statefile_open(&f, path, &t, &pos));
	CHECK_INT(pos, 6);
	CHECK_INT(t.n, 1);
	CHECK_STR(cred_secret(get(&t, "pk", "dev-1")), "uno");
	CHECK(!f.stale);
	CHECK(stat(path, &st) == 0 && (st.st_mode & 0777) == 0600);
	statefile_close(&f);
	creds_free(&t);
	remove_dir();
}

/* Whatever a power failure leaves: never a position that promises more than the devices that were read. */
static void test_cut_off(void)
{
	char text[512];
	size_t len;
	FILE *io;

	make_dir();
	make_file();
	io = fopen(path, "r");
	CHECK(io != NULL);
	len = fread(text, 1, sizeof text, io);
	(void)fclose(io);
	CHECK(len > 50 && len < sizeof text);
	for (size_t cut = 0; cut < len; cut++) {
		struct statefile f;
		struct creds t;
		int64_t pos;

		io = fopen(path, "w");
		CHECK(io && fwrite(text, 1, cut, io) == cut && fclose(io) == 0);
		creds_init(&t);
		CHECK(statefile_open(&f, path, &t, &pos));
		CHECK(pos == 0 || pos == 5);
		CHECK(pos != 5 || get(&t, "pk", "dev-1"));
		if (f.stale) { /* written anew, and whole again */
			tick(&f, &t, pos);
			position(&f, 9);
			statefile_close(&f);
			creds_free(&t);
			creds_init(&t);
			CHECK(statefile_open(&f, path, &t, &pos));
			CHECK_INT(pos, 9);
		}
		statefile_close(&f);
		creds_free(&t);
	}
	remove_dir();
}

/* Changes during the writing anew, before and behind the point that it has come to, are in the new file. */
static void test_changes_while_written_anew(void)
{
	enum { N = 20000 };
	struct statefile f;
	struct creds t, again;
	char secret[64];
	int64_t pos;
	int n = 0;

	make_dir();
	creds_init(&t);
	CHECK(statefile_open(&f, path, &t, &pos));
	for (int i = 0; i < N; i++)
		put(&f, &t, name(i), "the first secret of this device");
	f.stale = true;
	do {
		tick(&f, &t, 0);
		(void)snprintf(secret, sizeof secret, "changed %d", n);
		put(&f, &t, name(n * 7), secret);
		creds_remove(&t, get(&t, "pk", name(n * 7 + 1)));
		statefile_add(
			&f, &(struct link_line){ .verb = LINK_CRED_DEL, .pk = "pk", .dn = name(n * 7 + 1) });
		CHECK(statefile_flush(&f));
		n++;
	} while (f.temp_fd >= 0);
	CHECK(n > 5);
	position(&f, 11);
	statefile_close(&f);
	creds_init(&again);
	CHECK(statefile_open(&f, path, &again, &pos));
	CHECK_INT(pos, 11);
	CHECK_INT(again.n, t.n);
	for (int i = 0; i < N; i++) {
		const struct cred *want = get(&t, "pk", name(i)), *got = get(&again, "pk", name(i));

		CHECK(!want == !got);
		if (want)
			CHECK_STR(cred_secret(got), cred_secret(want));
	}
	statefile_close(&f);
	creds_free(&t);
	creds_free(&again);
	remove_dir();
}

/* The directory is gone: said once, tried again later, and nothing but the file suffers. */
static void test_unwritable(void)
{
	struct statefile f;
	struct creds t;
	int64_t pos;

	make_dir();
	creds_init(&t);
	CHECK(statefile_open(&f, path, &t, &pos));
	remove_dir();
	put(&f, &t, "dev-1", "one");
	CHECK(!statefile_tick(&f, &t, 1, 1000));
	CHECK(statefile_tick(&f, &t, 1, 1001)); /* not yet again */
	CHECK(!statefile_tick(&f, &t, 1, 1000 + 10000));
	CHECK(get(&t, "pk", "dev-1") != NULL);
	statefile_close(&f);
	creds_free(&t);
}

TESTS("plugin/creds", { "grows", test_grows }, { "walk_while_growing", test_walk_while_growing },
      { "dropped_by_a_set", test_dropped_by_a_set }, { "file", test_file }, { "cut_off", test_cut_off },
      { "changes_while_written_anew", test_changes_while_written_anew }, { "unwritable", test_unwritable })
