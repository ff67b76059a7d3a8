/* SPDX-License-Identifier: Apache-2.0 */
/* What every otactl command gets, and the table of commands. One thread, one command per process. */
#ifndef OTACTL_CTL_H
#define OTACTL_CTL_H

#include "engine/base/crypto.h"
#include "storage/db.h"

/* Where a command does its work; `otactl help` says it for each. */
enum way { WAY_NONE, WAY_FILE, WAY_DATABASE };

#define CTL_OPTIONS_MAX 16
#define CTL_CONNECT_MS 5000 /* to the database */
struct ctl {
	struct arena *arena;
	struct error *error;
	struct db *db;		   /* WAY_DATABASE: connected, otherwise NULL */
	const char *config_path;   /* or NULL */
	const char *operator_name; /* "otactl:<user>", for the audit */
	utc_ms now;
	int n_args; /* words that are not options */
	char **args;
	int n_options;
	const char *option[CTL_OPTIONS_MAX], *value[CTL_OPTIONS_MAX];
};

struct command {
	const char *group, *verb; /* verb NULL: the group alone is the command */
	enum way way;
	int args_min, args_max;
	const char *options; /* names of options with a value, separated by blanks; a flag ends with '?' */
	const char *usage;   /* what follows group and verb */
	const char *help;
	enum err (*run)(struct ctl *c);
};

/* NULL-terminated (group NULL); one table per file. */
extern const struct command commands_setup[], commands_key[], commands_service[], commands_job[], commands_fleet[],
	commands_vacuum[], commands_docs[];

/* Value of --name, "" for a flag that is given, NULL when it is absent. */
const char *ctl_option(const struct ctl *c, const char *name);
/* The same, and it has to be given. */
enum err ctl_needed(const struct ctl *c, const char *name, const char **ret) MUST_USE;
/* The account of --account, or the default one. */
enum err ctl_account(struct ctl *c, int64_t *ret) MUST_USE;
/* The master key of the configuration, which has to be that of the database. Outside a transaction. */
enum err ctl_master(struct ctl *c, struct seal_key *ret) MUST_USE;
/* One row of the audit trail, in the transaction that is open; the operator is who runs this. */
enum err ctl_audit(struct ctl *c, int64_t account_id, const char *action, const char *target) MUST_USE;
/* A new unit of work on the connection, with a fresh `now`. */
void ctl_next(struct ctl *c);
/* Is standard output a terminal (progress bars) or a file (plain lines)? */
bool ctl_terminal(void);

/* Lines of cells in columns as wide as their widest cell, with a first line of headings (words, separated by blanks) or
 * without. In the arena. */
struct table;
struct table *table_headed(struct ctl *c, const char *headings);
struct table *table_new(struct ctl *c, int columns);
void table_cell(struct table *t, const char *text);
void table_int(struct table *t, int64_t n);
/* Time as ISO 8601, "-" for 0. */
void table_time(struct table *t, utc_ms when);
void table_print(const struct table *t);

#endif
