/* SPDX-License-Identifier: Apache-2.0 */
#include "api/nonce_table.h"
#include "api/quota.h"
#include "harness.h"

#include <stdlib.h>

static void test_burst(void)
{
	struct quota *q = quota_new();
	int taken = 0;

	for (int i = 0; i < 30; i++)
		taken += quota_take(q, 1, "A", 20, 5000000 + i * 30000);
	CHECK_INT(taken, 20);
	/* Another action and another account have their own. */
	CHECK(quota_take(q, 1, "B", 20, 5900000));
	CHECK(quota_take(q, 2, "A", 20, 5900000));
	/* The first of the 20 is a second old now, the second is not. */
	CHECK(!quota_take(q, 1, "A", 20, 5999999));
	CHECK(quota_take(q, 1, "A", 20, 6000000));
	CHECK(!quota_take(q, 1, "A", 20, 6000001));
	CHECK(quota_take(q, 1, "A", 0, 6000001));
	quota_free(q);
}

/* Random arrivals: no second, however placed, holds more than the limit, and a call is turned away only when
 * the second before it is full. */
static void test_every_window(void)
{
	enum { N = 20000, LIMIT = 7 };
	struct quota *q = quota_new();
	int64_t *at = calloc(N, sizeof *at);
	int64_t now = 0;
	uint64_t seed = 42;
	size_t n = 0, first = 0;

	for (int i = 0; i < N; i++) {
		bool taken;

		seed = seed * 6364136223846793005ULL + 1442695040888963407ULL;
		now += (int64_t)(seed >> 33) % 250000;
		taken = quota_take(q, 9, "A", LIMIT, now);
		while (first < n && at[first] <= now - 1000000)
			first++;
		CHECK(taken == (n - first < LIMIT));
		if (taken)
			at[n++] = now;
	}
	CHECK(n > 1000 && n < N);
	free(at);
	quota_free(q);
}

static void test_limit_changes(void)
{
	struct quota *q = quota_new();

	for (int i = 0; i < 5; i++)
		CHECK(quota_take(q, 1, "A", 5, 100 + i));
	CHECK(!quota_take(q, 1, "A", 3, 200));
	CHECK(quota_take(q, 1, "A", 6, 300)); /* three were kept */
	CHECK(!quota_take(q, 1, "A", 4, 400));
	CHECK(quota_take(q, 1, "A", 4, 1000102)); /* the times 102, 103, 104, 300 are left: the oldest has passed */
	quota_free(q);
}

static void test_config(void)
{
	CHECK_INT(quota_limit("", "A", 20), 20);
	CHECK_INT(quota_limit("A=5", "A", 20), 5);
	CHECK_INT(quota_limit("B=5", "A", 20), 20);
	CHECK_INT(quota_limit("*=0", "A", 20), 0);
	CHECK_INT(quota_limit("A=5 *=0", "A", 20), 5);
	CHECK_INT(quota_limit("*=0  A=5", "A", 20), 5);
	CHECK_INT(quota_limit("A=x", "A", 20), 20);
	CHECK_INT(quota_limit("AB=1 A", "A", 20), 20);
}

static void test_nonces(void)
{
	struct nonce_table *t = nonce_table_new();
	utc_ms now = 1700000000000;

	CHECK(nonce_table_use(t, 1, "n", now, now + 1800000));
	CHECK(!nonce_table_use(t, 1, "n", now + 1, now + 1800000));
	CHECK(nonce_table_use(t, 2, "n", now, now + 1800000));
	CHECK(nonce_table_use(t, 1, "m", now, now + 1000));
	CHECK(!nonce_table_use(t, 1, "n", now + 1800000, now + 3600000));
	CHECK(nonce_table_use(t, 1, "n", now + 1803000, now + 3600000));
	for (int i = 0; i < 100000; i++) {
		char text[8] = { (char)('a' + i % 26), (char)('a' + i / 26 % 26), (char)('a' + i / 676 % 26),
				 (char)('a' + i / 17576) };

		CHECK(nonce_table_use(t, 3, text, now, now + 900000));
		CHECK(!nonce_table_use(t, 3, text, now, now + 900000));
	}
	nonce_table_free(t);
}

TESTS("api/quota", { "burst", test_burst }, { "every window", test_every_window },
      { "limit changes", test_limit_changes }, { "configuration", test_config }, { "nonces", test_nonces })
