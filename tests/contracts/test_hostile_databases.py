"""Databases as a customer may have left them, odd or hostile: dumped, restored and dropped all the same.

Whatever runs with our rights in a customer's database must not run the customer's code, and what a customer does in
its own database must not keep a neighbour, or itself, from being dropped.
"""

import secrets
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from tenantctl.adapters.postgres.digests import LARGE_OBJECTS
from tenantctl.adapters.postgres.dump import _Digests
from tenantctl.adapters.postgres.scratch import PostgresScratch
from tenantctl.localcloud.client import LocalCloud
from tenantctl.model.backup import TableDigest
from tenantctl.model.errors import Refused, Transient
from tenantctl.model.sighting import Gone
from tenantctl.model.tenant import Hosting
from tests.contracts.databases_places import PostgresPlace, given, local_place

VERIFY = "two"
ODD_TABLES = """
    CREATE TABLE "Straße ""1""; DROP TABLE x" (id int PRIMARY KEY, "t" text, "odd "" column" timestamptz DEFAULT now());
    INSERT INTO "Straße ""1""; DROP TABLE x" SELECT i, repeat('ü', i), to_timestamp(i) FROM generate_series(1, 9) i;
    CREATE TABLE no_columns ();
    INSERT INTO no_columns SELECT FROM generate_series(1, 3);
    CREATE TABLE empty (id int);
    CREATE TABLE derived (a int, b int GENERATED ALWAYS AS (a * 2) STORED, c int GENERATED ALWAYS AS (a + 1) VIRTUAL);
    INSERT INTO derived (a) SELECT generate_series(1, 5);
    CREATE TABLE numbered (id int GENERATED ALWAYS AS IDENTITY, f float8, m money, n numeric, i interval, b bytea);
    INSERT INTO numbered (f, m, n, i, b) VALUES (0.1 + 0.2, 12.5, 'NaN', '1 mon 3 days', '\\x00ff');
    INSERT INTO numbered (f, m, n, i, b) VALUES ('-0', NULL, 1e40, '-1 s', '');
    CREATE TABLE dropped (gone int, kept int, also_gone int);
    INSERT INTO dropped VALUES (1, 2, 3);
    ALTER TABLE dropped DROP COLUMN gone, DROP COLUMN also_gone;
    CREATE TABLE parts (day date, note text) PARTITION BY RANGE (day);
    CREATE TABLE parts_2025 PARTITION OF parts FOR VALUES FROM ('2025-01-01') TO ('2026-01-01');
    CREATE TABLE parts_rest PARTITION OF parts DEFAULT;
    INSERT INTO parts VALUES ('2025-06-01', 'in'), ('2026-06-01', 'out'), ('2026-06-02', 'out');
    CREATE TABLE parent (a int, b int);
    CREATE TABLE child (b int, a int, own int);
    ALTER TABLE child INHERIT parent;
    INSERT INTO parent VALUES (1, 2);
    INSERT INTO child VALUES (20, 10, 30);
    CREATE TYPE mood AS ENUM ('sad', 'happy');
    CREATE DOMAIN positive AS int CHECK (VALUE > 0);
    CREATE TYPE pair AS (one mood, two positive);
    CREATE TABLE typed (m mood[], p pair, r int4range, j jsonb, self regclass);
    INSERT INTO typed VALUES ('{happy,sad}', ROW('sad', 3), '[1,5)', '{"a": [1, null]}', 'empty');
    CREATE UNLOGGED TABLE unlogged AS SELECT 1 AS a;
    CREATE TABLE trgm (v citext UNIQUE);
    CREATE INDEX ON trgm USING gin ((v::text) gin_trgm_ops);
    INSERT INTO trgm VALUES ('Abc'), ('abd');
    CREATE VIEW looking AS SELECT * FROM empty;
    CREATE MATERIALIZED VIEW looked AS SELECT count(*) FROM numbered;
    CREATE TABLE referring (id int REFERENCES "Straße ""1""; DROP TABLE x");
    INSERT INTO referring VALUES (1), (9);
"""
OBJECTS_OF_THE_LOGIN = """
    SET ROLE NONE;
    CREATE TABLE made_as_login (id serial, note text);
    INSERT INTO made_as_login (note) VALUES ('a'), ('b');
    REVOKE ALL ON made_as_login FROM CURRENT_USER;
    REVOKE ALL ON SEQUENCE made_as_login_id_seq FROM CURRENT_USER;
    ALTER DEFAULT PRIVILEGES REVOKE ALL ON TABLES FROM CURRENT_USER;
    SELECT lo_from_bytea(4711, decode(repeat('00ff', 1000000), 'hex'));
    REVOKE ALL ON LARGE OBJECT 4711 FROM CURRENT_USER;
    SELECT lo_from_bytea(4712, '');
    CREATE TABLE guarded (id int);
    INSERT INTO guarded VALUES (1), (2);
    ALTER TABLE guarded ENABLE ROW LEVEL SECURITY;
    CREATE POLICY nothing ON guarded TO CURRENT_USER USING (false);
    COMMENT ON POLICY nothing ON guarded IS 'names a role that is not where it is restored';
    CREATE FUNCTION shadow(text) RETURNS bigint LANGUAGE sql AS 'SELECT 0::bigint';
    RESET ROLE;
    CREATE TABLE made_as_owner AS SELECT 1 AS id;
    REVOKE ALL ON made_as_owner FROM CURRENT_USER;
    REVOKE ALL ON SCHEMA public FROM CURRENT_USER, PUBLIC;
"""
EVIL = """
    CREATE TABLE witness (who text, session text);
    CREATE TABLE bait (id int, e text);
    INSERT INTO bait VALUES (1, 'one');
    CREATE FUNCTION evil(whatever anyelement) RETURNS text LANGUAGE plpgsql AS
        $$ BEGIN PERFORM pg_advisory_lock(666); RAISE EXCEPTION 'evil ran as %', current_user; END $$;
    CREATE FUNCTION evil_row(bait) RETURNS text LANGUAGE sql AS 'SELECT public.evil(1)';
    CREATE CAST (bait AS text) WITH FUNCTION evil_row(bait) AS IMPLICIT;
    CREATE TYPE choice AS ENUM ('a');
    CREATE FUNCTION evil_choice(choice) RETURNS text LANGUAGE sql AS 'SELECT public.evil(1)';
    CREATE CAST (choice AS text) WITH FUNCTION evil_choice(choice) AS IMPLICIT;
    CREATE TABLE chosen (c choice, b bait);
    INSERT INTO chosen VALUES ('a', ROW(1, 'one'));
    CREATE FUNCTION count(text) RETURNS bigint LANGUAGE sql AS 'SELECT length(public.evil(1))::bigint';
    CREATE FUNCTION hashtextextended(text, int) RETURNS bigint LANGUAGE sql AS 'SELECT length(public.evil(1))::bigint';
    CREATE FUNCTION quote_ident(name) RETURNS text LANGUAGE sql AS 'SELECT public.evil(1)';
    CREATE FUNCTION format(text, name, name) RETURNS text LANGUAGE sql AS 'SELECT public.evil(1)';
    CREATE FUNCTION evil_equal(name, text) RETURNS bool LANGUAGE sql AS 'SELECT length(public.evil(1)) > 0';
    CREATE OPERATOR = (LEFTARG = name, RIGHTARG = text, FUNCTION = evil_equal);
    CREATE TABLE pg_class (oid oid, relname name);
    CREATE VIEW pg_database AS SELECT public.evil(1);
    ALTER TABLE bait ENABLE ROW LEVEL SECURITY;
    CREATE POLICY evil ON bait USING (length(public.evil(1)) > 0);
"""


@pytest.fixture
def place(local_cloud: LocalCloud) -> Iterator[PostgresPlace]:
    with local_place(local_cloud) as made:
        yield made


@pytest.fixture
def hosting(place: PostgresPlace) -> Hosting:
    return given(place, extensions=("citext", "pg_trgm"))


@pytest.fixture
def scratch(place: PostgresPlace) -> Iterator[str]:
    name = f"s_{secrets.token_hex(6)}"
    place.scratch.create(VERIFY, name)
    yield name
    place.scratch.drop(VERIFY, name)


def _dump(place: PostgresPlace, hosting: Hosting) -> tuple[list[bytes], dict[str, TableDigest]]:
    with place.databases.dump(hosting) as dump:
        return list(dump.chunks()), dict(dump.tables)


def _run(session: psycopg.Connection[Any], statements: str) -> None:
    session.execute(statements.encode())


def test_odd_tables_are_restored_as_they_were(place: PostgresPlace, hosting: Hosting, scratch: str) -> None:
    """Odd names, generated and dropped columns, partitions, heirs, own types, extensions, and no columns at all."""
    _run(place.customer(hosting), ODD_TABLES)
    archive, tables = _dump(place, hosting)
    place.scratch.restore(VERIFY, scratch, iter(archive))
    assert place.scratch.digests(VERIFY, scratch) == tables
    rows = {name.removeprefix("public."): digest.rows for name, digest in tables.items()}
    assert rows == {
        '"Straße ""1""; DROP TABLE x"': 9,
        "no_columns": 3,
        "empty": 0,
        "derived": 5,
        "numbered": 2,
        "dropped": 1,
        "parts_2025": 1,
        "parts_rest": 2,
        "parent": 1,
        "child": 1,
        "typed": 1,
        "unlogged": 1,
        "trgm": 2,
        "referring": 2,
    }


def test_a_changed_row_changes_the_checksum(place: PostgresPlace, hosting: Hosting) -> None:
    """One character, one NULL, or two values swapped between rows."""
    session = place.customer(hosting)
    session.execute("CREATE TABLE orders (id int, note text)")
    session.execute("INSERT INTO orders VALUES (1, 'a'), (2, 'b'), (3, '')")
    seen = {_dump(place, hosting)[1]["public.orders"].checksum}
    for change in (
        "UPDATE orders SET note = 'A' WHERE id = 1",
        "UPDATE orders SET note = NULL WHERE id = 3",
        "UPDATE orders SET note = CASE id WHEN 1 THEN 'b' WHEN 2 THEN 'A' END WHERE id < 3",
        "UPDATE orders SET id = -id",
        "INSERT INTO orders VALUES (4, '(5,x)')",
    ):
        session.execute(change.encode())
        checksum = _dump(place, hosting)[1]["public.orders"].checksum
        assert checksum not in seen
        seen.add(checksum)


def test_what_a_customer_hid_from_itself_is_dumped(place: PostgresPlace, hosting: Hosting, scratch: str) -> None:
    """Objects made as its login and not as its owner, and rights that it took from itself."""
    _run(place.customer(hosting), OBJECTS_OF_THE_LOGIN)
    archive, tables = _dump(place, hosting)
    place.scratch.restore(VERIFY, scratch, iter(archive))
    assert place.scratch.digests(VERIFY, scratch) == tables
    assert {name: digest.rows for name, digest in tables.items()} == {
        "public.made_as_login": 2,
        "public.made_as_owner": 1,
        "public.guarded": 2,
        LARGE_OBJECTS: 2,
    }
    place.databases.drop_database(hosting)
    place.databases.drop_roles(hosting)
    assert place.databases.look_at_roles(hosting) == Gone()


def test_schemas_that_came_with_an_import_are_dumped(place: PostgresPlace, hosting: Hosting, scratch: str) -> None:
    """A customer cannot make schemas, but who imports its database for it can; and extensions may lie in them."""
    with place.ours(hosting) as ours:
        ours.execute(f'CREATE SCHEMA "Of It" AUTHORIZATION {hosting.login}'.encode())
        ours.execute('CREATE EXTENSION hstore SCHEMA "Of It"')
    session = place.customer(hosting)
    session.execute("SET ROLE NONE")
    session.execute('CREATE TABLE "Of It".t (h "Of It".hstore)')
    session.execute("""INSERT INTO "Of It".t VALUES ('a=>1, b=>2')""")
    session.execute('REVOKE ALL ON SCHEMA "Of It" FROM CURRENT_USER')
    archive, tables = _dump(place, hosting)
    place.scratch.restore(VERIFY, scratch, iter(archive))
    assert place.scratch.digests(VERIFY, scratch) == tables
    assert tables['"Of It".t'].rows == 1


def test_a_customers_code_does_not_run_with_our_rights(place: PostgresPlace, hosting: Hosting, scratch: str) -> None:
    """Its casts, functions, operators, views and policies lie in wait where ours would usually be found."""
    session = place.customer(hosting)
    _run(session, EVIL)
    with pytest.raises(psycopg.errors.RaiseException, match="evil ran"):
        session.execute("SELECT bait::text FROM public.bait")  # so it would have run
    archive, tables = _dump(place, hosting)
    assert tables["public.bait"].rows == tables["public.chosen"].rows == 1
    assert place.databases.forced_row_security(hosting) == ()
    place.databases.prepare(hosting, extensions=("unaccent",))
    assert place.databases.look_prepared(hosting, extensions=("unaccent",))
    place.scratch.restore(VERIFY, scratch, iter(archive))
    assert place.scratch.digests(VERIFY, scratch) == tables


def test_a_table_that_becomes_a_view_is_not_read(place: PostgresPlace, hosting: Hosting) -> None:
    """Who swaps the one for the other while we look would have the view's functions run by us."""
    _run(place.customer(hosting), EVIL)
    with (
        place.ours(hosting) as ours,
        pytest.raises(psycopg.errors.ObjectNotInPrerequisiteState, match="non-system view"),
    ):
        ours.execute("SELECT count(*) FROM public.pg_database")


def test_a_table_that_cannot_be_read_fails_the_dump_however_soon(
    place: PostgresPlace, hosting: Hosting, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The locks are held by then: what follows them is told when the dump is read, as the weather that it is."""
    wait_for_locks = _Digests.wait_for_locks

    def late(digests: _Digests) -> None:
        digests.join()
        wait_for_locks(digests)

    monkeypatch.setattr(_Digests, "wait_for_locks", late)
    place.fill(hosting, "orders", ["one"])
    place.force_row_security(hosting, "orders")
    with place.databases.dump(hosting) as dump:
        with pytest.raises(Transient, match="row-level security"):
            b"".join(dump.chunks())
        with pytest.raises(Transient, match="row-level security"):
            assert dump.tables


def test_an_archives_code_has_no_rights_to_take(place: PostgresPlace, hosting: Hosting, scratch: str) -> None:
    """Restoring runs the customer's checks: they find a log-in that is a member of nothing, and cannot become us."""
    session = place.customer(hosting)
    _run(
        session,
        """
        CREATE FUNCTION try(statement text) RETURNS bool LANGUAGE plpgsql AS $f$ BEGIN
            EXECUTE statement;
            RETURN true;
        EXCEPTION WHEN insufficient_privilege THEN RETURN false;
        END $f$;
        CREATE FUNCTION escape(text) RETURNS bool LANGUAGE plpgsql AS $f$ DECLARE attempt text; BEGIN
            IF current_database() LIKE 's\\_%' THEN
                FOREACH attempt IN ARRAY ARRAY['SET ROLE cloudsqlsuperuser', 'CREATE ROLE evil',
                    'CREATE EXTENSION dblink SCHEMA public',
                    'SET SESSION AUTHORIZATION cloudsqlsuperuser', 'COMMENT ON DATABASE postgres IS $$evil$$',
                    'GRANT cloudsqlsuperuser TO CURRENT_USER', 'SELECT pg_read_file($$/etc/passwd$$)'] LOOP
                    IF public.try(attempt) THEN RAISE EXCEPTION 'evil may %', attempt; END IF;
                END LOOP;
                IF session_user <> current_user OR session_user !~ '^s_' THEN
                    RAISE EXCEPTION 'evil is %', session_user; END IF;
                IF EXISTS (SELECT FROM pg_auth_members WHERE member = session_user::regrole) THEN
                    RAISE EXCEPTION 'evil is a member'; END IF;
            END IF;
            RETURN true;
        END $f$;
        CREATE TABLE bait (id text CHECK (public.escape(id)));
        INSERT INTO bait VALUES ('one')
        """,
    )
    archive, tables = _dump(place, hosting)
    place.scratch.restore(VERIFY, scratch, iter(archive))
    assert place.scratch.digests(VERIFY, scratch) == tables


def test_an_archive_that_never_ends_is_ended(place: PostgresPlace, hosting: Hosting, scratch: str) -> None:
    """A check that sleeps for ever in the restore, and only there."""
    _run(
        place.customer(hosting),
        """
        CREATE FUNCTION wait(int) RETURNS bool LANGUAGE plpgsql AS $f$ BEGIN
            IF current_database() LIKE 's\\_%' THEN PERFORM pg_sleep(86400); END IF;
            RETURN true;
        END $f$;
        CREATE TABLE bait (id int CHECK (public.wait(id)));
        INSERT INTO bait VALUES (1)
        """,
    )
    archive, _ = _dump(place, hosting)
    impatient = PostgresScratch(place.sessions, restore_seconds=1.0)
    with pytest.raises(Refused, match="took longer than 1 s"):
        impatient.restore(VERIFY, scratch, iter(archive))
    impatient.close()
    with place.control.on(VERIFY) as session:
        left = session.execute("SELECT FROM pg_stat_activity WHERE usename = %s", [scratch]).fetchall()
        role = session.execute("SELECT rolcanlogin FROM pg_roles WHERE rolname = %s", [scratch]).fetchone()
    assert (left, role) == ([], (False,))


def test_a_customers_lock_holds_up_a_dump_for_a_while_only(place: PostgresPlace, hosting: Hosting) -> None:
    """And closing its logins frees it at once."""
    session = place.customer(hosting)
    session.execute("CREATE TABLE orders (id int)")
    session.execute("BEGIN")
    session.execute("LOCK TABLE orders IN ACCESS EXCLUSIVE MODE")
    place.databases.close_logins(hosting)
    assert _dump(place, hosting)[1]["public.orders"].rows == 0
