/* SPDX-License-Identifier: Apache-2.0 */
/* The private PostgreSQL cluster: made once, owned by the parent process, which starts and crashes it when a
 * child asks. It answers on a socket in its own directory only and dies with its parent. */
#include "tests/sim/sim.h"

#include "storage/account.h"
#include "storage/migrate.h"
#include "storage/product.h"
#include "storage/role.h"
#include "storage/service.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define TEMPLATE "sim_template"
#define OWNER "otad_owner" /* of the tables */
#define ANSWERS_WITHIN_S 120

static char dir[64];
static pid_t postmaster;
static uid_t uid;
static gid_t gid;
static int to_parent = -1;

static const char *pg_program(const char *name, char *out, size_t len)
{
	const char *bin = getenv("OTAD_PGBIN");

	(void)snprintf(out, len, "%s/%s", bin ? bin : "/usr/lib/postgresql/15/bin", name);
	return out;
}

/* PostgreSQL does not run as root: then as the owner of Debian's package, else nobody (as deploy/stack does). */
static void pick_user(void)
{
	const struct passwd *u;

	uid = getuid();
	gid = getgid();
	if (uid != 0)
		return;
	u = getpwnam("postgres");
	if (!u)
		u = getpwnam("nobody");
	ensure(u != NULL);
	uid = u->pw_uid;
	gid = u->pw_gid;
}

/* A program as that user, its output in dir/name.log; it is gone when we are. */
static pid_t launch(const char *name, char *const argv[])
{
	char path[256], log[128];
	pid_t parent = getpid(), pid;

	(void)snprintf(log, sizeof log, "%s/%s.log", dir, name);
	(void)fflush(NULL);
	pid = fork();
	ensure(pid >= 0);
	if (pid != 0)
		return pid;
	if (getuid() == 0 && (setgroups(0, NULL) != 0 || setgid(gid) != 0 || setuid(uid) != 0))
		_exit(126);
	if (prctl(PR_SET_PDEATHSIG, SIGQUIT) != 0 || getppid() != parent)
		_exit(126);
	(void)setpgid(0, 0);
	if (!freopen("/dev/null", "r", stdin) || !freopen(log, "a", stdout) || dup2(STDOUT_FILENO, STDERR_FILENO) < 0)
		_exit(126);
	for (int fd = 3; fd < 256; fd++)
		(void)close(fd);
	if (chdir(dir) != 0)
		_exit(126);
	execv(pg_program(name, path, sizeof path), argv);
	_exit(127);
}

static void run(const char *name, char *const argv[])
{
	int status = 0;
	pid_t pid = launch(name, argv);

	ensure(waitpid(pid, &status, 0) == pid);
	if (status != 0) {
		(void)fprintf(stderr, "sim: %s failed, see %s/%s.log\n", name, dir, name);
		exit(1);
	}
}

const char *cluster_conninfo(struct arena *a, const char *role, const char *database)
{
	return arena_printf(a, "host=%s dbname=%s user=%s", dir, database, role);
}

/* Until the server answers on this database. */
static void wait_for_answer(const char *database)
{
	struct arena a;
	struct error e;
	struct timespec pause = { .tv_nsec = 20000000 };
	struct db *db;
	enum err err = ERR_DB_CONNECTION;

	arena_init(&a);
	for (int i = 0; err != OK && i < ANSWERS_WITHIN_S * 50; i++) {
		struct db_options o = { .conninfo = cluster_conninfo(&a, SIM_ADMIN, database),
					.statement_ms = 60000,
					.connect_ms = 60000,
					.name = "sim" };

		error_init(&e, &a);
		db = db_new(&o);
		db_begin_work(db, &a, &e);
		err = db_connect(db);
		if (err != OK)
			(void)nanosleep(&pause, NULL);
		db_free(db);
	}
	arena_free(&a);
	if (err != OK) {
		(void)fprintf(stderr, "sim: PostgreSQL does not answer, see %s/postgres.log\n", dir);
		exit(1);
	}
}

/* A statement outside any transaction, on the database that is always there. */
static void admin(const char *database, const char *sql)
{
	struct arena a;
	struct error e;
	struct db_options o = { .statement_ms = 60000, .connect_ms = 60000, .name = "sim" };
	struct db *db;

	arena_init(&a);
	error_init(&e, &a);
	o.conninfo = cluster_conninfo(&a, SIM_ADMIN, database);
	db = db_new(&o);
	db_begin_work(db, &a, &e);
	if (db_script(db, sql) != OK) {
		(void)fprintf(stderr, "sim: %s: %s\n", sql, error_text(&e));
		exit(1);
	}
	db_free(db);
	arena_free(&a);
}

static void postgres_start(void)
{
	char data[96];
	char *argv[] = { "postgres", "-D", data, "-k", dir, NULL };

	(void)snprintf(data, sizeof data, "%s/data", dir);
	postmaster = launch("postgres", argv);
}

static void postgres_end(int signal)
{
	int status;

	if (postmaster == 0)
		return;
	(void)kill(postmaster, signal);
	(void)waitpid(postmaster, &status, 0);
	postmaster = 0;
}

/* What every process needs: no disk, nothing that runs by itself, the simulation's clock before the server's own, and no
 * waiting for locks, since in one thread whoever holds one cannot go on. */
static void configure(void)
{
	char path[96];
	FILE *f;

	(void)snprintf(path, sizeof path, "%s/data/postgresql.conf", dir);
	f = fopen(path, "ae");
	ensure(f != NULL);
	(void)fputs("listen_addresses = ''\nmax_connections = 60\nshared_buffers = 128MB\nfsync = off\n"
		    "full_page_writes = off\nmax_wal_size = 4GB\nautovacuum = off\njit = off\n"
		    "max_parallel_workers_per_gather = 0\nlock_timeout = 10ms\nlog_min_messages = warning\n"
		    "log_min_error_statement = panic\nsearch_path = 'public, sim, pg_catalog'\n",
		    f);
	ensure(fclose(f) == 0);
}

static enum err migrate(struct db *db)
{
	int applied;

	TRY(store_migrate(db, &applied));
	return store_role_grant(db, SIM_OTAD);
}

static enum err fill(struct db *db)
{
	static const struct seal_key master = { .bytes = { 1 } };
	struct product p = { .product_key = SIM_PRODUCT, .name = "simulated", .description = "", .data_format = -1,
			     .commodity = "iothub", .net_type = "WIFI", .auth_type = "secret", .validate_type = 1,
			     .created_ms = SIM_EPOCH_MS };
	const char *secret;

	TRY(db_begin(db));
	TRY(store_account_ensure(db, DEFAULT_ACCOUNT, SIM_EPOCH_MS, &p.account_id));
	TRY(store_instance_find(db, p.account_id, NULL, &p.instance_id));
	TRY(store_product_add(db, &master, &p, 0, NULL, &secret));
	TRY(store_service_add(db, p.account_id, "reader", "", SIM_EPOCH_MS)); /* notifications are written for somebody */
	return db_commit(db);
}

static enum err show_clock(struct db *db)
{
	return db_script(db, arena_printf(db_arena(db),
					  "create schema sim; grant usage on schema sim to public;"
					  " create function sim.clock_timestamp() returns timestamptz language plpgsql volatile security definer" /* its plan is kept */
					  " as $$ begin return to_timestamp(pg_read_file('%s/' || current_database() || '.clock')::bigint / 1e6::float8); end $$",
					  dir));
}

/* The simulation looks for what is new in the log after every step. */
static enum err index_log(struct db *db)
{
	return db_script(db, "create index on task_event (no)");
}

/* A sequence logs a value ahead of those that it gives out, but not in its copy: after a crash that would begin again where
 * the template was. From here on the first value is logged. */
static enum err settle_sequences(struct db *db)
{
	return db_script(db, "select setval(format('%I.%I', schemaname, sequencename)::regclass, coalesce(last_value, 1),"
			     " last_value is not null) from pg_sequences");
}

static void template_step(const char *role, enum err (*step)(struct db *db))
{
	struct db_options o = { .statement_ms = 60000, .connect_ms = 60000, .name = "sim", .check_statements = true };
	struct arena a;
	struct error e;
	struct db *db;

	arena_init(&a);
	error_init(&e, &a);
	o.conninfo = cluster_conninfo(&a, role, TEMPLATE);
	db = db_new(&o);
	db_begin_work(db, &a, &e);
	if (step(db) != OK) {
		(void)fprintf(stderr, "sim: the schema: %s\n", error_text(&e));
		exit(1);
	}
	db_free(db);
	arena_free(&a);
}

/* With the roles of an installation. */
static void make_template(void)
{
	admin("postgres", "create role " OWNER " login; create role " SIM_OTAD " login");
	admin("postgres", "create database " TEMPLATE " owner " OWNER);
	template_step(SIM_ADMIN, show_clock);
	template_step(OWNER, migrate);
	template_step(SIM_ADMIN, index_log);
	template_step(SIM_OTAD, fill);
	template_step(SIM_ADMIN, settle_sequences);
}

static void at_signal(int signal)
{
	(void)signal;
	exit(1); /* the handler of atexit ends the cluster */
}

void cluster_start(void)
{
	char data[96];
	char *initdb[] = { "initdb", "-D", data, "-U", SIM_ADMIN, "-A", "trust", "-E", "UTF8", "--no-locale", "-N", NULL };

	if (dir[0])
		return;
	pick_user();
	(void)snprintf(dir, sizeof dir, "/tmp/otad-sim.XXXXXX");
	ensure(mkdtemp(dir) != NULL);
	(void)snprintf(data, sizeof data, "%s/data", dir);
	ensure(getuid() != 0 || chown(dir, uid, gid) == 0);
	ensure(atexit(cluster_stop) == 0);
	(void)signal(SIGTERM, at_signal);
	(void)signal(SIGINT, at_signal);
	(void)signal(SIGPIPE, SIG_IGN);
	run("initdb", initdb);
	configure();
	postgres_start();
	wait_for_answer("postgres");
	make_template();
}

void cluster_stop(void)
{
	char *argv[] = { "rm", "-rf", dir, NULL };
	int status;
	pid_t pid;

	if (!dir[0] || to_parent >= 0)
		return; /* a child's end is not the cluster's */
	postgres_end(SIGQUIT);
	pid = fork();
	if (pid == 0) {
		execv("/bin/rm", argv);
		_exit(127);
	}
	(void)waitpid(pid, &status, 0);
	dir[0] = '\0';
}

int cluster_serve(int fd, int child, struct tally *ret)
{
	int status = 0;
	char wish;

	while (read(fd, &wish, 1) == 1) {
		if (wish == 'd')
			postgres_end(SIGQUIT); /* immediate: nothing is written, the next start recovers */
		else if (wish == 'u')
			postgres_start();
		else
			ensure(read(fd, ret, sizeof *ret) == (ssize_t)sizeof *ret);
		ensure(write(fd, &wish, 1) == 1);
	}
	ensure(waitpid(child, &status, 0) == child);
	if (dir[0] && postmaster == 0) { /* it ended while the server was down */
		postgres_start();
		wait_for_answer("postgres");
	}
	return status;
}

void cluster_client(int fd)
{
	to_parent = fd;
}

void cluster_report(const struct tally *t)
{
	char wish = 't';

	ensure(write(to_parent, &wish, 1) == 1 && write(to_parent, t, sizeof *t) == (ssize_t)sizeof *t);
	ensure(read(to_parent, &wish, 1) == 1);
}

static void ask_parent(char wish)
{
	ensure(write(to_parent, &wish, 1) == 1 && read(to_parent, &wish, 1) == 1);
}

void cluster_crash(void)
{
	ask_parent('d');
}

void cluster_recover(void)
{
	ask_parent('u');
	wait_for_answer("postgres");
}

const char *cluster_database(struct arena *a, const char *name)
{
	admin("postgres", arena_printf(a, "create database %s template " TEMPLATE " owner " OWNER, name));
	sim_clock_show(arena_printf(a, "%s/%s.clock", dir, name));
	return cluster_conninfo(a, SIM_OTAD, name);
}

void cluster_drop(const char *name)
{
	struct arena a;

	arena_init(&a);
	admin("postgres", arena_printf(&a, "drop database if exists %s with (force)", name));
	arena_free(&a);
}

void cluster_wait_for_locks(const char *name)
{
	struct arena a;

	arena_init(&a);
	admin("postgres", arena_printf(&a, "alter database %s set lock_timeout = 0", name));
	arena_free(&a);
}

const char *cluster_dir(struct arena *a, const char *name)
{
	const char *path = arena_printf(a, "%s/%s", dir, name);

	ensure(mkdir(path, 0700) == 0 || errno == EEXIST);
	return path;
}
