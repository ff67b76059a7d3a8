/* SPDX-License-Identifier: Apache-2.0 */
/* otactl, the operator's tool: finds the command, reads its options, connects if it needs to, and runs it.
 * Exit status: 0 done, 1 it failed (the reason on standard error), 2 usage. */
#include "cmd/otactl/ctl.h"
#include "engine/base/clock.h"
#include "engine/base/config.h"
#include "engine/base/log.h"
#include "engine/ids.h"
#include "storage/account.h"
#include "storage/audit.h"
#include "storage/master_key.h"
#include "storage/migrate.h"
#include "storage/secret.h"

#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum exit_status { EXIT_DONE = 0, EXIT_FAILED = 1, EXIT_USAGE = 2 };

static const struct command *const tables[] = { commands_setup, commands_key, commands_service, commands_job, commands_fleet,
						commands_vacuum, commands_docs };

static const char *const way_names[] = {
	[WAY_NONE] = "none", [WAY_FILE] = "file", [WAY_DATABASE] = "database"
};

/* ---- help ---- */

static void command_line(FILE *to, const char *before, const struct command *c)
{
	(void)fprintf(to, "%s%s%s%s%s%s\n", before, c->group, c->verb ? " " : "", c->verb ? c->verb : "",
		      *c->usage ? " " : "", c->usage);
}

/* The commands of a group, or the one of it with that verb; NULL: any. */
static void help_commands(const char *before, const char *group, const char *verb)
{
	for (size_t t = 0; t < ARRAY_LEN(tables); t++) {
		if (!group)
			(void)putchar('\n');
		for (const struct command *c = tables[t]; c->group; c++) {
			if ((group && strcmp(c->group, group) != 0) || (verb && c->verb && strcmp(c->verb, verb) != 0))
				continue;
			command_line(stdout, before, c);
			(void)printf("        [%s] %s\n", way_names[c->way], c->help);
		}
	}
}

static void help_all(void)
{
	(void)fputs(
		"usage: otactl [--config FILE] COMMAND [OPTIONS] [ARGUMENTS]\n\n"
		"Without --config, defaults and the environment (OTAD_<KEY>) are used.\n"
		"The word in brackets says what a command talks to:\n"
		"  [database]  PostgreSQL, by the connection string of the configuration; otad need not run\n"
		"  [file]      the configuration file only\n"
		"  [none]      nothing at all\n"
		"No command goes over the API: otactl works with the rights of the database, also when otad "
		"is\n"
		"down, and its changes are audited as \"otactl:<user>\". Campaigns are created over the "
		"API.\n"
		"COMMAND --help shows one command.\n",
		stdout);
	help_commands("  ", NULL, NULL);
}

static int usage(const struct command *c, const char *why)
{
	(void)fprintf(stderr, "otactl: %s\n", why);
	if (c)
		command_line(stderr, "usage: otactl ", c);
	else
		(void)fputs("otactl help lists the commands.\n", stderr);
	return EXIT_USAGE;
}

/* ---- finding and reading a command ---- */

static const struct command *command_find(const char *group, const char *verb, bool *ret_group_known)
{
	for (size_t t = 0; t < ARRAY_LEN(tables); t++)
		for (const struct command *c = tables[t]; c->group; c++) {
			if (strcmp(c->group, group) != 0)
				continue;
			*ret_group_known = true;
			if (!c->verb || (verb && strcmp(c->verb, verb) == 0))
				return c;
		}
	return NULL;
}

/* 'v': the command knows this option and it takes a value, 'f': a flag, 0: unknown. */
static char option_kind(const struct command *c, const char *name, size_t len)
{
	const char *s = c->options;

	while (*s) {
		size_t n = strcspn(s, " ");
		bool flag = n > 0 && s[n - 1] == '?';

		if (n - flag == len && memcmp(s, name, len) == 0)
			return flag ? 'f' : 'v';
		s += n;
		s += strspn(s, " ");
	}
	return 0;
}

/* One option at argv[*i]; NULL, or what is wrong with it. */
static const char *option_read(struct ctl *c, const struct command *cmd, int argc, char **argv, int *i)
{
	const char *name = argv[*i] + 2, *eq = strchr(name, '='), *value = eq ? eq + 1 : NULL;
	size_t len = eq ? (size_t)(eq - name) : strlen(name);
	char kind = option_kind(cmd, name, len);

	if (!kind)
		return arena_printf(c->arena, "unknown option --%.*s", (int)len, name);
	if (kind == 'v' && !value) {
		if (*i + 1 >= argc)
			return arena_printf(c->arena, "--%s needs a value", name);
		value = argv[++*i];
	}
	if (kind == 'f' && value)
		return arena_printf(c->arena, "--%.*s takes no value", (int)len, name);
	name = arena_strndup(c->arena, name, len);
	if (ctl_option(c, name))
		return arena_printf(c->arena, "--%s is given twice", name);
	ensure(c->n_options < CTL_OPTIONS_MAX);
	c->option[c->n_options] = name;
	c->value[c->n_options++] = value ? value : "";
	return NULL;
}

static const char *words_read(struct ctl *c, const struct command *cmd, int argc, char **argv)
{
	c->args = ARENA_ARRAY(c->arena, (size_t)argc + 1, char *);
	for (int i = 0; i < argc; i++) {
		const char *bad;

		if (strncmp(argv[i], "--", 2) != 0 || argv[i][2] == '\0') {
			c->args[c->n_args++] = argv[i];
			continue;
		}
		bad = option_read(c, cmd, argc, argv, &i);
		if (bad)
			return bad;
	}
	if (c->n_args < cmd->args_min)
		return "an argument is missing";
	return c->n_args > cmd->args_max ? "too many arguments" : NULL;
}

const char *ctl_option(const struct ctl *c, const char *name)
{
	for (int i = 0; i < c->n_options; i++)
		if (strcmp(c->option[i], name) == 0)
			return c->value[i];
	return NULL;
}

enum err ctl_needed(const struct ctl *c, const char *name, const char **ret)
{
	const char *value = ctl_option(c, name);

	if (!value || !*value)
		return fail(c->error, ERR_BAD_REQUEST, "--%s has to be given", name);
	*ret = value;
	return OK;
}

/* ---- what commands share ---- */

enum err ctl_account(struct ctl *c, int64_t *ret)
{
	const char *name = ctl_option(c, "account");
	enum err err = store_account_find(c->db, name ? name : DEFAULT_ACCOUNT, ret);

	if (err == ERR_NOT_FOUND)
		return fail(c->error, ERR_NOT_FOUND, "no account \"%s\"", name ? name : DEFAULT_ACCOUNT);
	return err;
}

enum err ctl_master(struct ctl *c, struct seal_key *ret)
{
	TRY(master_key_load(config_now()->master_key_file, ret, c->error));
	return store_master_key_check(c->db, ret);
}

enum err ctl_audit(struct ctl *c, int64_t account_id, const char *action, const char *target)
{
	char request_id[37];
	struct audit row = { .at = c->now,
			     .account_id = account_id,
			     .key_id = c->operator_name,
			     .action = action,
			     .request_id = request_id,
			     .target = target,
			     .result = "OK" };

	request_id_new(request_id);
	return store_audit_add(c->db, &row);
}

void ctl_next(struct ctl *c)
{
	c->now = clock_now();
	error_clear(c->error);
	db_begin_work(c->db, c->arena, c->error);
}

bool ctl_terminal(void)
{
	return isatty(STDOUT_FILENO) == 1;
}

static const char *operator_name(struct arena *a)
{
	const char *sudo = getenv("SUDO_USER");
	struct passwd entry, *found = NULL;
	char buf[4096];

	if (sudo && *sudo)
		return arena_printf(a, "otactl:%s", sudo);
	if (getpwuid_r(getuid(), &entry, buf, sizeof buf, &found) == 0 && found)
		return arena_printf(a, "otactl:%s", found->pw_name);
	return arena_printf(a, "otactl:%u", (unsigned)getuid());
}

static enum err connect_and_run(struct ctl *c, const struct command *cmd)
{
	struct db_options o = { .conninfo = config_now()->database,
				.connect_ms = CTL_CONNECT_MS,
				.name = "otactl",
				.check_statements = true };
	enum err err;

	c->db = db_new(&o);
	ctl_next(c);
	err = db_connect(c->db);
	if (err == OK && strcmp(cmd->group, "migrate") != 0)
		err = store_migrated(c->db);
	if (err == OK)
		err = cmd->run(c);
	db_free(c->db);
	return err;
}

static int command_run(struct ctl *c, const struct command *cmd, int argc, char **argv)
{
	const char *bad = words_read(c, cmd, argc, argv);
	enum err err = OK;

	if (bad)
		return usage(cmd, bad);
	log_set_level(LOG_ERROR);
	if (cmd->way == WAY_DATABASE)
		err = config_load(c->config_path, c->error);
	if (err == OK)
		err = cmd->way == WAY_DATABASE ? connect_and_run(c, cmd) : cmd->run(c);
	if (err != OK && c->error->err == OK)
		(void)fail_param(c->error, err, NULL);
	if (fflush(stdout) != 0 && err == OK)
		err = fail(c->error, ERR_IO, "standard output cannot be written");
	if (err == OK)
		return EXIT_DONE;
	(void)fprintf(stderr, "otactl: %s\n", error_text(c->error));
	return err == ERR_BAD_REQUEST ? EXIT_USAGE : EXIT_FAILED;
}

/* "--help" among the words of a command is never an argument; the words before it say what about. */
static bool help_wanted(int n, char **words)
{
	for (int i = 0; i < n; i++)
		if (strcmp(words[i], "--help") == 0)
			return true;
	return false;
}

static int unknown(struct ctl *c, bool group_known, const char *group, const char *verb)
{
	return usage(NULL, arena_printf(c->arena, "unknown command \"%s%s%s\"", group, group_known && verb ? " " : "",
					group_known && verb ? verb : ""));
}

static int run(struct ctl *c, int argc, char **argv)
{
	const char *group, *verb;
	const struct command *cmd;
	bool group_known = false;
	int i = 1;

	if (argc > 2 && strcmp(argv[1], "--config") == 0) {
		c->config_path = argv[2];
		i = 3;
	} else if (argc > 1 && strncmp(argv[1], "--config=", 9) == 0) {
		c->config_path = argv[1] + 9;
		i = 2;
	}
	if (i < argc && (strcmp(argv[i], "help") == 0 || strcmp(argv[i], "--help") == 0)) {
		help_all();
		return EXIT_DONE;
	}
	if (i >= argc)
		return usage(NULL, "a command is missing");
	group = argv[i];
	verb = i + 1 < argc ? argv[i + 1] : NULL;
	cmd = command_find(group, verb, &group_known);
	if (group_known && help_wanted(argc - i, argv + i) && (cmd || strncmp(verb, "--", 2) == 0)) {
		help_commands("usage: otactl ", group, cmd ? cmd->verb : NULL);
		return EXIT_DONE;
	}
	if (!cmd)
		return unknown(c, group_known, group, verb);
	i += cmd->verb ? 2 : 1;
	return command_run(c, cmd, argc - i, argv + i);
}

int main(int argc, char **argv)
{
	struct arena a;
	struct error e;
	struct ctl c = { .arena = &a, .error = &e };
	int status;

	(void)umask(077);
	arena_init(&a);
	error_init(&e, &a);
	c.operator_name = operator_name(&a);
	status = run(&c, argc, argv);
	config_free();
	arena_free(&a);
	return status;
}
