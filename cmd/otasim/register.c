/* SPDX-License-Identifier: Apache-2.0 */
/* A fleet of its own for a scenario: a product and batches of devices, over the API. Called by load.c. */
#include "cmd/otasim/load.h"

#include <string.h>

#define BATCH_MAX 10000
#define PAGE 50
#define LOOK_MS 200

static const char *number(struct arena *a, int64_t n)
{
	return arena_printf(a, "%lld", (long long)n);
}

static bool product_create(struct load *l)
{
	struct sim *s = l->sim;
	char random[9];
	struct arena a;
	struct param_list p = { 0 };
	const char *key;

	arena_init(&a);
	crypto_random_text(random, 8);
	param_add(&p, "ProductName", arena_printf(&a, "load_%s", random));
	param_add(&p, "NodeType", "0");
	key = json_text(json_get(json_get(control_wait(l, &a, "CreateProduct", &p), "Data"), "ProductKey"));
	if (key)
		l->product = arena_strdup(&s->arena, key);
	arena_free(&a);
	return key != NULL;
}

/* Waits until they can log in. */
static bool batch_made(struct load *l, const char *apply)
{
	struct param_list p = { 0 };

	param_add(&p, "ProductKey", l->product);
	param_add(&p, "ApplyId", apply);
	for (;;) {
		struct arena a;
		const struct json *data;
		const char *status;
		bool made, failed;

		arena_init(&a);
		data = json_get(control_wait(l, &a, "QueryBatchRegisterDeviceStatus", &p), "Data");
		status = json_text(json_get(data, "Status"));
		made = status && strcmp(status, "CREATE_SUCCESS") == 0;
		failed = !status || strcmp(status, "CREATE_FAILED") == 0;
		arena_free(&a);
		if (made || failed)
			return made;
		if (!control_sleep(l, LOOK_MS))
			return false;
	}
}

/* Devices of a page into the fleet, at most so many; how many there were. */
static size_t page_take(struct load *l, const struct json *rows, size_t most)
{
	size_t n = json_length(rows);

	for (size_t i = 0; i < n && i < most; i++) {
		const struct json *row = json_at(rows, i);
		const char *name = json_text(json_get(row, "DeviceName"));
		const char *secret = json_text(json_get(row, "DeviceSecret"));

		if (!name || !secret || !fleet_add(l->sim, l->product, name, secret, l->sim->o.version))
			return 0;
	}
	return n;
}

static bool batch_read(struct load *l, const char *apply, int64_t count)
{
	size_t wanted = l->sim->n + (size_t)count, got = 1;

	for (int64_t page = 1; l->sim->n < wanted && got > 0; page++) {
		struct arena a;
		struct param_list p = { 0 };
		const struct json *body;

		arena_init(&a);
		param_add(&p, "ApplyId", apply);
		param_add(&p, "PageSize", number(&a, PAGE));
		param_add(&p, "CurrentPage", number(&a, page));
		body = control_wait(l, &a, "QueryPageByApplyId", &p);
		got = page_take(l, json_get(json_get(body, "ApplyDeviceList"), "ApplyDeviceInfo"),
				wanted - l->sim->n);
		arena_free(&a);
	}
	return l->sim->n == wanted;
}

static bool batch_register(struct load *l, int64_t count)
{
	struct arena a;
	struct param_list p = { 0 };
	const char *apply;
	bool good;

	arena_init(&a);
	param_add(&p, "ProductKey", l->product);
	param_add(&p, "Count", number(&a, count));
	apply = json_scalar(
		&a, json_get(json_get(control_wait(l, &a, "BatchRegisterDevice", &p), "Data"), "ApplyId"));
	good = apply && batch_made(l, apply) && batch_read(l, apply, count);
	arena_free(&a);
	return good;
}

static bool fleet_keep(const struct sim *s)
{
	FILE *f = s->o.keep_file ? fopen(s->o.keep_file, "w") : NULL;
	bool good = f != NULL;

	if (!s->o.keep_file)
		return true;
	for (size_t i = 0; good && i < s->n; i++)
		good = fprintf(f, "%s,%s,%s\n", s->devices[i].pk, s->devices[i].name, s->devices[i].secret) >
		       0;
	if (f)
		good = fclose(f) == 0 && good;
	if (!good)
		(void)fprintf(stderr, "otasim: cannot write %s\n", s->o.keep_file);
	return good;
}

bool fleet_register(struct load *l, int64_t count)
{
	bool good = product_create(l);

	for (int64_t left = count; good && left > 0; left -= BATCH_MAX) {
		good = batch_register(l, i64_min(left, BATCH_MAX));
		(void)fprintf(stderr, "otasim: %zu of %lld devices registered\n", l->sim->n,
			      (long long)count);
	}
	if (!good && !l->sim->stopped)
		(void)fprintf(stderr, "otasim: the devices could not be registered\n");
	return good && fleet_keep(l->sim);
}
