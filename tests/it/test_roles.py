# SPDX-License-Identifier: Apache-2.0
"""The roles of the database: otad may do what its statements need and no more, and nobody rewrites the audit trail."""
import contextlib
import pathlib
import re
import subprocess
import uuid

import psycopg2
import pytest

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent


def connect(conninfo):
    """A context: every statement on its own."""
    c = psycopg2.connect(conninfo)
    c.autocommit = True
    return contextlib.closing(c)


def statements():
    """(name, number of parameters, text) of everything in storage/sql."""
    for path in sorted((ROOT / "storage/sql").glob("*.sql")):
        for part in path.read_text().split("-- name: ")[1:]:
            text = re.sub(r"--.*", "", part.split("\n", 1)[1])
            yield part.split()[0], len(re.search(r"-- in:(.*)", part).group(1).split()), text


@pytest.fixture(scope="module")
def prepared(stack):
    """A connection of the superuser with every statement prepared, to become otad's role in a transaction."""
    with connect(stack.pg) as c:
        for name, _, text in statements():
            c.cursor().execute(f"prepare {name} as {text}")
        yield c


def may_not(cursor, statements):
    """Names of the statements that the role of the transaction may not run: EXPLAIN asks for all rights, and runs nothing."""
    for name, n, _ in statements:
        try:
            cursor.execute("savepoint s")
            cursor.execute(f"explain execute {name}" + (f"({', '.join(['null'] * n)})" if n else ""))
        except psycopg2.errors.InsufficientPrivilege:
            cursor.execute("rollback to savepoint s")
            yield name


def grants(stack):
    """(table or view, right) of all that otad's role was given in this database."""
    return stack.sql("""
        select c.relname::text, a.privilege_type
        from pg_class c cross join aclexplode(c.relacl) a join pg_roles r on r.oid = a.grantee
        where r.rolname = 'otad' and c.relkind <> 'S' order by 1, 2""")


def written_by_triggers(stack):
    """The same, of what the bodies of triggers ask for besides reading: EXPLAIN does not look into them."""
    out = set()
    for (body,) in stack.sql("select prosrc from pg_proc where prorettype = 'trigger'::regtype and not prosecdef"
                             " and pronamespace = 'public'::regnamespace"):
        for table, rest in re.findall(r"insert into (\w+)([^;]*)", body):
            out |= {(table, "INSERT")} | ({(table, "SELECT"), (table, "UPDATE")} if "do update" in rest else set())
        out |= {(table, "UPDATE") for table in re.findall(r"\n\s*update (\w+)", body)}
        out |= {(table, "DELETE") for table in re.findall(r"delete from (\w+)", body)}
    return out


def test_otad_may_do_what_triggers_do(stack):
    assert len(written_by_triggers(stack)) >= 4
    assert written_by_triggers(stack) - set(grants(stack)) == set()


def test_otad_may_run_every_statement(prepared):
    with prepared.cursor() as c:
        c.execute("begin; set local role otad")
        denied = list(may_not(c, statements()))
        c.execute("rollback")
    assert denied == []


def test_otad_has_no_right_that_no_statement_needs(stack, prepared):
    everything = list(statements())
    spare = []
    with prepared.cursor() as c:
        for name, right in set(grants(stack)) - written_by_triggers(stack):
            if name == "schema_migration":
                continue  # read when otad starts
            c.execute(f"begin; revoke {right} on {name} from otad; set local role otad")
            everything.sort(key=lambda s: name not in s[2])  # the likely ones first
            if not next(may_not(c, everything), None):
                spare.append((name, right))
            c.execute("rollback")
    assert spare == []


def test_otad_has_no_rights_beside_its_tables(stack):
    assert stack.sql_one("""select (rolsuper or rolcreaterole or rolcreatedb or rolreplication or rolbypassrls)::text
                            || has_schema_privilege(rolname, 'public', 'create')::text
                            || has_database_privilege(rolname, current_database(), 'create, temporary')::text
                            from pg_roles where rolname = 'otad'""") == "falsefalsefalse"
    assert stack.sql("""select count(*), sum((pg_get_userbyid(relowner) <> 'otad_owner')::int) from pg_class
                        where relnamespace = 'public'::regnamespace""")[0][1] == 0
    assert stack.sql("""select proname::text from pg_proc where pronamespace = 'public'::regnamespace and prosecdef
                        and has_function_privilege('otad', oid, 'execute')""") == [("partitions_maintain",)]
    assert stack.sql_one("select proconfig::text from pg_proc where proname = 'partitions_maintain'") == \
        '{"search_path=public, pg_temp",TimeZone=UTC}'
    with connect(stack.pg_otad) as c, c.cursor() as cursor:
        for deed in ("create table t (n int)", "create temporary table t (n int)", "create schema s",
                     "alter table device add column x int", "drop table device", "truncate device",
                     "create or replace function device_status(boolean, bigint, boolean) returns text language sql as ''",
                     "select partition_drop('audit', 'YYYY_MM', '1 month', '2100-01-01')", "set role otad_owner",
                     "alter table audit disable trigger audit_append_only", "delete from account", "select * from audit"):
            with pytest.raises(psycopg2.Error) as e:
                cursor.execute(deed)
            assert e.value.pgcode == "42501", (deed, e.value)


# ---- the audit trail ----

@pytest.fixture
def audited(stack, api):
    """The id of an audit row, and the partition that has it."""
    return stack.sql("select id, tableoid::regclass::text from audit where target = %s", api.product())[0]


REWRITES = ["update {table} set result = 'forged' where id = {row}",
            "delete from {table} where id = {row}"]


@pytest.mark.parametrize("role", ["pg_otad", "pg_owner"])
@pytest.mark.parametrize("part", [False, True])
def test_nobody_rewrites_the_audit_trail(stack, audited, role, part):
    row, table = audited
    assert table.startswith("audit_20")
    with connect(getattr(stack, role)) as c, c.cursor() as cursor:
        for rewrite in REWRITES:
            with pytest.raises(psycopg2.Error) as e:
                cursor.execute(rewrite.format(row=row, table=table if part else "audit"))
            assert e.value.pgcode == ("42501" if role == "pg_otad" else "P0001")
    assert stack.sql("select result from audit where id = %s", row) == [("OK",)]


def test_otad_empties_and_drops_no_audit(stack, audited):
    """Also not by the function that drops what is old, told that the time has come."""
    row, table = audited
    with connect(stack.pg_otad) as c, c.cursor() as cursor:
        for deed in (f"truncate {table}", "truncate audit", f"drop table {table}",
                     f"alter table audit detach partition {table}"):
            with pytest.raises(psycopg2.errors.InsufficientPrivilege):
                cursor.execute(deed)
        cursor.execute("begin; select partitions_maintain((extract(epoch from now()) * 1000)::bigint + 3155760000000, 1)")
        assert cursor.fetchone()[0] > 0
        cursor.execute("select to_regclass(%s) is not null", (table,))
        assert cursor.fetchone()[0]
        cursor.execute("rollback")


def test_the_owner_drops_a_month_of_it(stack, audited):
    row, table = audited
    c = psycopg2.connect(stack.pg_owner)
    with c.cursor() as cursor:
        cursor.execute(f"drop table {table}; select count(*) from audit where id = %s", (row,))
        assert cursor.fetchone()[0] == 0
    c.rollback()
    c.close()


# ---- otactl migrate ----

def test_migrations_need_the_owner(stack):
    r = stack.otactl("migrate", check=False)
    assert r.returncode == 1 and 'the role "otad" may not make tables: otactl migrate --owner' in r.stderr
    assert stack.otactl("migrate", "--owner", stack.pg_owner).stdout.startswith("0 migrations applied")


def test_a_role_with_the_owners_rights_is_refused(stack):
    stack.sql("grant otad_owner to otad")
    try:
        r = stack.otactl("migrate", "--owner", stack.pg_owner, check=False)
        assert r.returncode == 1 and "the role otad of the key `database` has the rights of the tables' owner" in r.stderr
    finally:
        stack.sql("revoke otad_owner from otad")


def test_migrate_takes_rights_back_and_gives_missing_ones(stack):
    stack.sql("grant all on audit, account to otad; revoke all on schema_migration, module from otad")
    before = stack.otactl("key", "list", check=False)
    assert before.returncode == 1 and "otactl migrate --owner gives otad's role its rights" in before.stderr
    stack.otactl("migrate", "--owner", stack.pg_owner)
    stack.otactl("key", "list")
    given = [(name, right) for name, right in grants(stack) if name in ("account", "audit", "module")]
    assert given == [("account", "INSERT"), ("account", "SELECT"), ("account", "UPDATE"), ("audit", "INSERT"),
                     ("module", "DELETE"), ("module", "INSERT"), ("module", "SELECT"), ("module", "UPDATE")]


def test_one_role_for_all_works_and_is_said(stack, another):
    assert not [e for e in stack.log() if e["event"] == "db_owner"]
    one = another(database=stack.pg_owner)
    assert [e["role"] for e in one.log() if e["event"] == "db_owner"] == ["otad_owner"]
    with pytest.raises(psycopg2.errors.RaiseException), connect(stack.pg_owner) as c:
        c.cursor().execute("delete from audit where target = %s", (one.api.product(),))


def test_one_role_becomes_two(stack, tmp_path):
    """As operations.md has it."""
    name = "one_" + uuid.uuid4().hex[:8]
    config = tmp_path / "otad.conf"
    config.write_text(stack.config.read_text().replace("user=otad dbname=otad", f"user={name} dbname={name}"))
    owner = stack.pg_owner.replace("dbname=otad", f"dbname={name}")

    def otactl(*words):
        return subprocess.run([str(stack.bin / "otactl"), "--config", str(config), *words], env=stack.env,
                              capture_output=True, text=True, timeout=60)
    with connect(stack.pg) as c:
        for text in (f"create role {name} login", f"create database {name} owner {name}"):
            c.cursor().execute(text)
    assert otactl("migrate").returncode == 0
    with connect(stack.pg.replace("dbname=otad", f"dbname={name}")) as c:
        c.cursor().execute(f"reassign owned by {name} to otad_owner")
    assert otactl("account", "list").returncode == 1
    r = otactl("migrate", "--owner", owner)
    assert (r.returncode, r.stdout[:1]) == (0, "0"), r.stderr
    assert otactl("account", "create", "another").returncode == 0
    with connect(owner.replace("user=otad_owner", f"user={name}")) as c, \
            pytest.raises(psycopg2.errors.InsufficientPrivilege):
        c.cursor().execute("delete from audit")
