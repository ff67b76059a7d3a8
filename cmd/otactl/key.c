/* SPDX-License-Identifier: Apache-2.0 */
/* Access keys: made, listed, disabled. A secret is shown once, when it is made. */
#include "cmd/otactl/ctl.h"
#include "engine/base/parse.h"
#include "storage/access_key.h"
#include "storage/report.h"

#include <stdio.h>
#include <string.h>

#define KEY_ID_RANDOM 20
#define KEY_SECRET_LEN 30
#define KEY_NAME_MAX 64

static enum err role_check(struct ctl *c, const char *role)
{
	static const char *const roles[] = { "admin", "operator", "viewer" };

	for (size_t i = 0; i < ARRAY_LEN(roles); i++)
		if (strcmp(role, roles[i]) == 0)
			return OK;
	return fail(c->error, ERR_BAD_REQUEST, "--role must be admin, operator or viewer");
}

static enum err key_create(struct ctl *c)
{
	char random[KEY_ID_RANDOM + 1], secret[KEY_SECRET_LEN + 1];
	const char *name, *role, *key_id;
	struct seal_key master;
	int64_t account;

	TRY(ctl_needed(c, "name", &name));
	TRY(ctl_needed(c, "role", &role));
	TRY(role_check(c, role));
	if (!utf8_valid(name, strlen(name)) || utf8_count(name) > KEY_NAME_MAX)
		return fail(c->error, ERR_BAD_REQUEST, "--name may have %d characters", KEY_NAME_MAX);
	TRY(ctl_master(c, &master));
	TRY(ctl_account(c, &account));
	crypto_random_text(random, KEY_ID_RANDOM);
	crypto_random_text(secret, KEY_SECRET_LEN);
	key_id = arena_printf(c->arena, "OTAK%s", random);
	TRY(db_begin(c->db));
	TRY(store_access_key_add(c->db, &master, account, key_id, secret, name, role, c->now));
	TRY(ctl_audit(c, account, "key create", key_id));
	TRY(db_commit(c->db));
	(void)printf("AccessKeyId=%s\nAccessKeySecret=%s\n", key_id, secret);
	explicit_bzero(secret, sizeof secret);
	explicit_bzero(&master, sizeof master);
	return OK;
}

static enum err key_list(struct ctl *c)
{
	const struct report_key *list;
	struct table *t = table_headed(c, "ACCESSKEYID NAME ROLE STATE CREATED");
	int64_t account;
	size_t n;

	TRY(ctl_account(c, &account));
	TRY(store_report_keys(c->db, account, &list, &n));
	for (size_t i = 0; i < n; i++) {
		table_cell(t, list[i].key_id);
		table_cell(t, list[i].name);
		table_cell(t, list[i].role);
		table_cell(t, list[i].disabled ? "disabled" : "enabled");
		table_time(t, list[i].created_ms);
	}
	table_print(t);
	return OK;
}

static enum err key_set(struct ctl *c, bool disabled)
{
	int64_t account;
	enum err err;

	TRY(ctl_account(c, &account));
	TRY(db_begin(c->db));
	err = store_access_key_disable(c->db, account, c->args[0], disabled);
	if (err == ERR_NOT_FOUND)
		return fail(c->error, err, "the account has no key \"%s\"", c->args[0]);
	TRY(err);
	TRY(ctl_audit(c, account, disabled ? "key disable" : "key enable", c->args[0]));
	TRY(db_commit(c->db));
	(void)printf("%s is %s.\n", c->args[0], disabled ? "disabled" : "enabled");
	return OK;
}

static enum err key_disable(struct ctl *c)
{
	return key_set(c, true);
}

static enum err key_enable(struct ctl *c)
{
	return key_set(c, false);
}

/* clang-format off */
const struct command commands_key[] = {
	{ "key", "create", WAY_DATABASE, 0, 0, "account name role",
	  "--name NAME --role admin|operator|viewer [--account NAME]",
	  "Makes an access key and prints its id and, this once, its secret.", key_create },
	{ "key", "list", WAY_DATABASE, 0, 0, "account", "[--account NAME]", "Shows the keys of an account.", key_list },
	{ "key", "disable", WAY_DATABASE, 1, 1, "account", "ACCESSKEYID [--account NAME]",
	  "Refuses every call signed with the key from now on.", key_disable },
	{ "key", "enable", WAY_DATABASE, 1, 1, "account", "ACCESSKEYID [--account NAME]", "Allows it again.", key_enable },
	{ .group = NULL },
};
/* clang-format on */
