/* SPDX-License-Identifier: Apache-2.0 */
/* Commands that set a database up: migrations, accounts, instances. */
#include "cmd/otactl/ctl.h"
#include "engine/base/parse.h"
#include "storage/account.h"
#include "storage/migrate.h"
#include "storage/report.h"
#include "storage/role.h"

#include <stdio.h>
#include <string.h>

#define NAME_LEN_MAX 64

/* With the owner's connection; the role of the configuration's gets the rights that it needs. */
static enum err migrate_with(struct ctl *c, struct db *owner, int *ret_applied)
{
	const char *role;
	bool is_owner;

	TRY(store_role(c->db, &role));
	TRY(store_migrate(owner, ret_applied));
	TRY(store_role_is_owner(c->db, &is_owner));
	if (is_owner)
		return fail(c->error, ERR_CONFIG,
			    "the role %s of the key `database` has the rights of the tables' owner: nothing can be taken from it",
			    role);
	TRY(store_role_grant(owner, role));
	return store_migrated(c->db);
}

static enum err migrate(struct ctl *c)
{
	struct db_options o = { .conninfo = ctl_option(c, "owner"), .connect_ms = CTL_CONNECT_MS, .name = "otactl" };
	struct db *owner;
	int applied = 0;
	enum err err;

	if (o.conninfo) {
		owner = db_new(&o);
		db_begin_work(owner, c->arena, c->error);
		err = migrate_with(c, owner, &applied);
		db_free(owner);
	} else {
		err = store_migrate(c->db, &applied);
	}
	TRY(err);
	(void)printf("%d migration%s applied; the database is up to date.\n", applied,
		     applied == 1 ? "" : "s");
	return OK;
}

static enum err name_check(struct ctl *c, const char *name)
{
	if (strlen(name) > NAME_LEN_MAX || !text_of(name, "-_."))
		return fail(c->error, ERR_BAD_REQUEST, "\"%s\": a name has 1 to %d letters, digits and - _ .",
			    name, NAME_LEN_MAX);
	return OK;
}

static enum err account_create(struct ctl *c)
{
	int64_t id = 0;

	TRY(name_check(c, c->args[0]));
	if (store_account_find(c->db, c->args[0], &id) == OK)
		return fail(c->error, ERR_DB_CONFLICT, "the account \"%s\" exists already", c->args[0]);
	TRY(db_begin(c->db));
	TRY(store_account_ensure(c->db, c->args[0], c->now, &id));
	TRY(ctl_audit(c, id, "account create", c->args[0]));
	TRY(db_commit(c->db));
	(void)printf("Account=%s\n", c->args[0]);
	return OK;
}

static enum err account_list(struct ctl *c)
{
	const struct report_account *list;
	struct table *t = table_headed(c, "ACCOUNT CREATED INSTANCES KEYS PRODUCTS");
	size_t n;

	TRY(store_report_accounts(c->db, &list, &n));
	for (size_t i = 0; i < n; i++) {
		table_cell(t, list[i].name);
		table_time(t, list[i].created_ms);
		table_int(t, list[i].n_instances);
		table_int(t, list[i].n_keys);
		table_int(t, list[i].n_products);
	}
	table_print(t);
	return OK;
}

/* iot- and 8 random characters, unless one is given. */
static enum err instance_create(struct ctl *c)
{
	const char *id = ctl_option(c, "id");
	char made[9];
	int64_t account;
	enum err err;

	if (!id) {
		crypto_random_text(made, sizeof made - 1);
		id = arena_printf(c->arena, "iot-%s", made);
	}
	TRY(name_check(c, id));
	TRY(ctl_account(c, &account));
	TRY(db_begin(c->db));
	err = store_report_instance_add(c->db, account, id, c->now);
	if (err == ERR_DB_CONFLICT)
		return fail(c->error, err, "the instance \"%s\" exists already", id);
	TRY(err);
	TRY(ctl_audit(c, account, "instance create", id));
	TRY(db_commit(c->db));
	(void)printf("IotInstanceId=%s\n", id);
	return OK;
}

static enum err instance_list(struct ctl *c)
{
	const struct report_instance *list;
	struct table *t = table_headed(c, "INSTANCE DEFAULT CREATED");
	int64_t account;
	size_t n;

	TRY(ctl_account(c, &account));
	TRY(store_report_instances(c->db, account, &list, &n));
	for (size_t i = 0; i < n; i++) {
		table_cell(t, list[i].instance_id);
		table_cell(t, list[i].is_default ? "yes" : "no");
		table_time(t, list[i].created_ms);
	}
	table_print(t);
	return OK;
}

/* clang-format off */
const struct command commands_setup[] = {
	{ "migrate", NULL, WAY_DATABASE, 0, 0, "owner", "[--owner CONNINFO]",
	  "Brings the tables up to date and makes the default account. Safe to repeat. CONNINFO connects as the owner of the "
	  "tables; then otad's role gets the rights that it needs and no others.", migrate },
	{ "account", "create", WAY_DATABASE, 1, 1, "", "NAME", "Makes an account with its default instance.",
	  account_create },
	{ "account", "list", WAY_DATABASE, 0, 0, "", "", "Shows all accounts.", account_list },
	{ "instance", "create", WAY_DATABASE, 0, 0, "account id", "[--account NAME] [--id ID]",
	  "Makes a further instance of an account.", instance_create },
	{ "instance", "list", WAY_DATABASE, 0, 0, "account", "[--account NAME]", "Shows the instances of an account.",
	  instance_list },
	{ .group = NULL },
};
/* clang-format on */
