/* SPDX-License-Identifier: Apache-2.0 */
/* Service accounts: who may read notifications at the broker. A password is shown once, when it is made. */
#include "storage/service.h"

#include "cmd/otactl/ctl.h"
#include "engine/base/clock.h"
#include "engine/base/config.h"
#include "engine/base/parse.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define NAME_MAX_CHARS 64
#define PASSWORD_LEN 32
#define TELL_MS 5000
#define TELL_PAUSE_US 20000U

/* The broker has its own name for otad, and device names stand before an "&". */
static enum err name_check(struct ctl *c, const char *name)
{
	if (strlen(name) > NAME_MAX_CHARS || !text_of(name, "-_."))
		return fail(c->error, ERR_BAD_REQUEST, "a name has 1 to %d letters, digits and - _ .",
			    NAME_MAX_CHARS);
	if (strcmp(name, config_now()->broker_user) == 0)
		return fail(c->error, ERR_BAD_REQUEST, "\"%s\" is otad's own name at the broker", name);
	return OK;
}

/* Says when it is in force: the engine hands it to the broker. */
static enum err tell(struct ctl *c, const char *name)
{
	int64_t until = clock_boot_ms() + TELL_MS;
	bool waiting = true;

	while (waiting && clock_boot_ms() < until) {
		TRY(store_service_waiting(c->db, name, &waiting));
		if (waiting)
			(void)usleep(TELL_PAUSE_US);
	}
	if (waiting)
		(void)fputs("The broker has not been told yet: is otad running? It will be.\n", stderr);
	return OK;
}

static enum err service_create(struct ctl *c)
{
	char password[PASSWORD_LEN + 1], hex[2 * DIGEST_MAX + 1];
	unsigned char digest[DIGEST_MAX];
	const char *name = c->args[0];
	int64_t account;
	enum err err;

	TRY(name_check(c, name));
	TRY(ctl_account(c, &account));
	crypto_random_text(password, PASSWORD_LEN);
	digest_once(DIGEST_SHA256, password, PASSWORD_LEN, digest);
	hex_encode(digest, DIGEST_MAX, hex);
	TRY(db_begin(c->db));
	err = store_service_add(c->db, account, name, hex, c->now);
	if (err == ERR_DB_CONFLICT)
		return fail(c->error, err, "there is a service account \"%s\" already", name);
	TRY(err);
	TRY(ctl_audit(c, account, "service create", name));
	TRY(db_commit(c->db));
	(void)printf("UserName=%s\nPassword=%s\n", name, password);
	explicit_bzero(password, sizeof password);
	return tell(c, name);
}

static enum err service_list(struct ctl *c)
{
	const struct service *list;
	struct table *t = table_headed(c, "NAME STATE CREATED");
	int64_t account;
	size_t n;

	TRY(ctl_account(c, &account));
	TRY(store_service_list(c->db, account, &list, &n));
	for (size_t i = 0; i < n; i++) {
		table_cell(t, list[i].name);
		table_cell(t, list[i].disabled ? "disabled" : "enabled");
		table_time(t, list[i].created_ms);
	}
	table_print(t);
	return OK;
}

static enum err service_set(struct ctl *c, bool disabled)
{
	const char *name = c->args[0];
	int64_t account;
	enum err err;

	TRY(ctl_account(c, &account));
	TRY(db_begin(c->db));
	err = store_service_disable(c->db, account, name, disabled);
	if (err == ERR_NOT_FOUND)
		return fail(c->error, err, "the account has no service account \"%s\"", name);
	TRY(err);
	TRY(ctl_audit(c, account, disabled ? "service disable" : "service enable", name));
	TRY(db_commit(c->db));
	(void)printf("%s is %s.\n", name, disabled ? "disabled" : "enabled");
	return tell(c, name);
}

static enum err service_disable(struct ctl *c)
{
	return service_set(c, true);
}

static enum err service_enable(struct ctl *c)
{
	return service_set(c, false);
}

/* clang-format off */
const struct command commands_service[] = {
	{ "service", "create", WAY_DATABASE, 1, 1, "account", "NAME [--account NAME]",
	  "Makes a service account, which reads the account's notifications at the broker; prints its password, this once.",
	  service_create },
	{ "service", "list", WAY_DATABASE, 0, 0, "account", "[--account NAME]", "Shows the service accounts of an account.",
	  service_list },
	{ "service", "disable", WAY_DATABASE, 1, 1, "account", "NAME [--account NAME]",
	  "Refuses it at the broker and closes its connections.", service_disable },
	{ "service", "enable", WAY_DATABASE, 1, 1, "account", "NAME [--account NAME]", "Allows it again.", service_enable },
	{ .group = NULL },
};
/* clang-format on */
