/* SPDX-License-Identifier: Apache-2.0 */
/* Products that exist elsewhere already, and what one device is doing and waiting for. The import of devices
 * is in import.c. */
#include "cmd/otactl/ctl.h"
#include "cmd/otactl/import.h"
#include "engine/base/parse.h"
#include "engine/ids.h"
#include "storage/account.h"
#include "storage/product.h"
#include "storage/registration.h"
#include "storage/report.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define PRODUCT_KEY_MAX 64
#define SECRET_MAX 64
#define EVENTS_SHOWN 10

/* First line of a file; "-" is standard input. A secret on the command line would show in the process list.
 */
static enum err secret_read(struct ctl *c, const char *path, const char **ret)
{
	bool standard = strcmp(path, "-") == 0;
	FILE *f = standard ? stdin : fopen(path, "re");
	char text[SECRET_MAX + 2] = "";
	bool good;

	if (!f)
		return fail(c->error, ERR_IO, "%s: %s", path, strerror(errno));
	good = fgets(text, sizeof text, f) != NULL;
	if (!standard)
		(void)fclose(f);
	text[strcspn(text, "\r\n")] = '\0';
	if (!good || strlen(text) > SECRET_MAX || !text_of(text, "-_.+/="))
		return fail(c->error, ERR_BAD_REQUEST,
			    "%s: a secret has 1 to %d letters, digits and - _ . + / =", path, SECRET_MAX);
	*ret = arena_strdup(c->arena, text);
	explicit_bzero(text, sizeof text);
	return OK;
}

static enum err product_add(struct ctl *c, const char *name, const char *secret, int64_t account,
			    int64_t node_type)
{
	struct product p = { .account_id = account,
			     .product_key = c->args[0],
			     .name = name,
			     .description = "",
			     .node_type = node_type,
			     .data_format = -1,
			     .commodity = "iothub_senior",
			     .net_type = "WIFI",
			     .auth_type = "secret",
			     .validate_type = 1,
			     .created_ms = c->now };
	struct seal_key master;
	enum err err;

	TRY(ctl_master(c, &master));
	TRY(store_instance_find(c->db, account, ctl_option(c, "instance"), &p.instance_id));
	TRY(db_begin(c->db));
	err = store_product_add(c->db, &master, &p, 0, secret, &secret);
	explicit_bzero(&master, sizeof master);
	if (err == ERR_DB_CONFLICT)
		return fail(c->error, err, "the ProductKey %s belongs to another account", c->args[0]);
	TRY(err);
	TRY(ctl_audit(c, account, "product import", p.product_key));
	return db_commit(c->db);
}

static enum err product_import(struct ctl *c)
{
	const char *name, *secret_file, *secret = NULL, *node = ctl_option(c, "node-type");
	int64_t account, node_type = 0;
	struct product there;
	enum err err;

	if (strlen(c->args[0]) > PRODUCT_KEY_MAX || !text_of(c->args[0], ""))
		return fail(c->error, ERR_BAD_REQUEST, "a ProductKey has 1 to %d letters and digits",
			    PRODUCT_KEY_MAX);
	if (node && !parse_i64(node, 0, 1, &node_type))
		return fail(c->error, ERR_BAD_REQUEST, "--node-type must be 0 (device) or 1 (gateway)");
	TRY(ctl_needed(c, "name", &name));
	TRY(ctl_needed(c, "secret-file", &secret_file));
	TRY(ctl_account(c, &account));
	err = store_product_find(c->db, account, c->args[0], &there);
	if (err == OK) {
		(void)printf("ProductKey=%s is there already; nothing was changed.\n", c->args[0]);
		return OK;
	}
	if (err != ERR_PRODUCT_NOT_FOUND)
		return err;
	TRY(secret_read(c, secret_file, &secret));
	ctl_next(c);
	TRY(product_add(c, name, secret, account, node_type));
	(void)printf("ProductKey=%s\n", c->args[0]);
	return OK;
}

static enum err product_register(struct ctl *c)
{
	enum register_mode mode;
	int64_t account, change_id;
	struct product p;

	if (!register_mode_parse(c->args[1], &mode))
		return fail(c->error, ERR_BAD_REQUEST, "the second argument must be off, registered or any");
	TRY(ctl_account(c, &account));
	TRY(store_product_find(c->db, account, c->args[0], &p));
	ctl_next(c);
	TRY(db_begin(c->db));
	TRY(store_registration_mode(c->db, p.id, mode, &change_id));
	if (change_id)
		TRY(ctl_audit(c, account,
			      arena_printf(c->arena, "product register %s", register_mode_name(mode)),
			      c->args[0]));
	TRY(db_commit(c->db));
	(void)printf("ProductKey=%s\nDynamicRegistration=%s\n", c->args[0], register_mode_name(mode));
	return OK;
}

/* ---- device explain ---- */

static const char *when(struct ctl *c, utc_ms t)
{
	char text[UTC_TEXT_LEN];

	format_utc_ms(t, text);
	return arena_strdup(c->arena, text);
}

static const char *explain_queued(struct ctl *c, const struct report_device *d, const struct report_task *t)
{
	if (t->job_status == JOB_PLANNED)
		return arena_printf(c->arena, "the job starts at %s", when(c, t->schedule_ms));
	if (t->paused)
		return "the job is paused";
	if (!t->need_push || t->max_per_minute == 0)
		return "the job pushes to nobody: the device has to ask";
	if (!d->online)
		return "the device is offline; it is pushed to when it connects";
	if (t->retry_ms > c->now)
		return arena_printf(c->arena, "a retry is due at %s", when(c, t->retry_ms));
	return arena_printf(c->arena, "its turn: %lld tasks are queued, %lld pushes per minute",
			    (long long)t->n_queued, (long long)t->max_per_minute);
}

static const char *explain_running(struct ctl *c, const struct report_device *d, const struct report_task *t)
{
	if (t->retry_ms)
		return arena_printf(c->arena, "it failed (%s); retry %lld is due at %s", t->fail_desc,
				    (long long)t->retries + 1, when(c, t->retry_ms));
	if (t->verdict_ms)
		return arena_printf(c->arena, "it reported a third version, which is judged at %s",
				    when(c, t->verdict_ms));
	if (!d->online)
		return "the device is offline; it is pushed to again when it connects";
	if (t->timeout_ms)
		return arena_printf(c->arena, "the device's next report, until %s", when(c, t->timeout_ms));
	return "the device's next report";
}

static const char *explain(struct ctl *c, const struct report_device *d, const struct report_task *t)
{
	switch (t->state) {
	case TASK_CONFIRM:
		return "the device's user: the update has to be confirmed (ConfirmOTATask)";
	case TASK_QUEUED:
		return explain_queued(c, d, t);
	case TASK_NOTIFIED:
	case TASK_IN_PROGRESS:
		return explain_running(c, d, t);
	case TASK_CANCELED:
		return "nothing: it is canceled, the row is written soon";
	case TASK_NONE:
	case TASK_SUCCEEDED:
	case TASK_FAILED:
	case TASK_STATE_COUNT:
		break;
	}
	return "nothing";
}

static void say(struct table *t, const char *name, const char *value)
{
	table_cell(t, name);
	table_cell(t, value);
}

static enum err explain_events(struct ctl *c, const struct report_task *task)
{
	static const char *const whys[] = {
#define EVENT_WHY(id, number, name) [number] = (name),
#include "engine/states.def"
	};
	const struct report_event *list;
	struct table *t = table_new(c, 4);
	size_t n;

	TRY(store_report_events(c->db, task->job_id, task->seq, EVENTS_SHOWN, &list, &n));
	for (size_t i = 0; i < n; i++) {
		bool known = list[i].why > 0 && list[i].why < (int)ARRAY_LEN(whys) && whys[list[i].why];

		say(t, arena_printf(c->arena, "  %s", when(c, list[i].at_ms)),
		    task_state_name((enum task_state)list[i].to));
		say(t, known ? whys[list[i].why] : "?", list[i].detail);
	}
	(void)puts("\nLast moves of the task");
	table_print(t);
	return OK;
}

static enum err explain_task(struct ctl *c, const struct report_device *d, const struct report_task *task)
{
	struct table *t = table_new(c, 2);
	char id[ID_LEN + 1];

	(void)printf("\nUnfinished task%s%s\n", *task->module ? " of module " : "", task->module);
	id_format(ID_JOB, task->job_id, 0, id);
	say(t, "  JobId", arena_strdup(c->arena, id));
	id_format(ID_TASK, task->job_id, task->seq, id);
	say(t, "  TaskId", arena_strdup(c->arena, id));
	say(t, "  DestVersion", task->dest_version);
	say(t, "  State",
	    arena_printf(c->arena, "%s, %lld %%", task_state_name(task->state), (long long)task->progress));
	say(t, "  Pushes",
	    arena_printf(c->arena, "%lld, retries %lld", (long long)task->pushes, (long long)task->retries));
	if (task->push_ms)
		say(t, "  Last push",
		    arena_printf(c->arena, "%s, to %s connection", when(c, task->push_ms),
				 task->push_conn == d->conn ? "the current" : "an earlier"));
	say(t, "  Waits for", explain(c, d, task));
	table_print(t);
	return explain_events(c, task);
}

static enum err device_explain(struct ctl *c)
{
	const struct report_module *modules;
	const struct report_task *tasks;
	struct table *t = table_new(c, 2);
	struct report_device d;
	size_t n_modules, n_tasks;
	char iot_id[ID_LEN + 1];
	enum err err = store_report_device(c->db, c->args[0], c->args[1], &d);

	if (err == ERR_NOT_FOUND)
		return fail(c->error, err, "no device %s of product %s", c->args[1], c->args[0]);
	TRY(err);
	TRY(store_report_modules(c->db, d.id, &modules, &n_modules));
	TRY(store_report_tasks(c->db, d.id, &tasks, &n_tasks));
	id_format(ID_DEVICE, d.id, 0, iot_id);
	say(t, "IotId", iot_id);
	say(t, "Account", d.account);
	say(t, "Registered", when(c, d.created_ms));
	say(t, "May log in", d.disabled ? "no: it is disabled" : "yes");
	say(t, "Connection",
	    !d.seen    ? "has never connected"
	    : d.online ? arena_printf(c->arena, "online since %s from %s", when(c, d.online_ms), d.ip)
		       : arena_printf(c->arena, "offline since %s", when(c, d.changed_ms)));
	for (size_t i = 0; i < n_modules; i++)
		say(t, arena_printf(c->arena, "Version of %s", modules[i].module),
		    arena_printf(c->arena, "%s since %s%s%s", modules[i].version,
				 when(c, modules[i].reported_ms),
				 *modules[i].prev_version ? ", before: " : "", modules[i].prev_version));
	if (n_modules == 0)
		say(t, "Version", "has never reported one");
	table_print(t);
	if (n_tasks == 0)
		(void)puts("\nNo unfinished task.");
	for (size_t i = 0; i < n_tasks; i++)
		TRY(explain_task(c, &d, &tasks[i]));
	return OK;
}

/* clang-format off */
const struct command commands_fleet[] = {
	{ "product", "import", WAY_DATABASE, 1, 1, "name secret-file account instance node-type",
	  "PRODUCTKEY --name NAME --secret-file FILE [--account NAME] [--instance ID] [--node-type 0|1]",
	  "Adds a product that exists already, with its ProductSecret (FILE - is standard input). Repeatable.",
	  product_import },
	{ "product", "register", WAY_DATABASE, 2, 2, "account", "PRODUCTKEY off|registered|any [--account NAME]",
	  "Whether devices may register dynamically with the ProductSecret: none, registered ones, or unknown ones too.",
	  product_register },
	{ "device", "import", WAY_DATABASE, 2, 2, "account", "PRODUCTKEY FILE.csv [--account NAME]",
	  "Adds devices: lines of name,secret[,version]; FILE - is standard input. Repeatable: names that exist are kept.",
	  device_import },
	{ "device", "explain", WAY_DATABASE, 2, 2, "", "PRODUCTKEY DEVICENAME",
	  "Shows what is known of a device and what its update is waiting for.", device_explain },
	{ .group = NULL },
};
/* clang-format on */
