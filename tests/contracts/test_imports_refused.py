"""Dumps that are not brought in, and those that try for more than a customer has: a clear sentence, and nothing run."""

import gzip
from collections.abc import Callable, Iterator

import pytest

from tenantctl.adapters.postgres.imports import PostgresImports
from tenantctl.model.errors import Refused, Transient
from tests.contracts.databases_places import PostgresPlace, given
from tests.contracts.foreign_dumps import Abroad
from tests.contracts.test_imports import CLOSED, PLENTY, bring_in, chunks_of, prepared

HEAD = b"--\n-- PostgreSQL database dump\n--\n\n-- Dumped from database version 16.4\n\n"
TAIL = b"\n--\n-- PostgreSQL database dump complete\n--\n"


def newer(archive: bytes) -> bytes:
    """The same archive, in a format that only the next major's `pg_restore` knows."""
    return archive[:6] + bytes([archive[6] + 1]) + archive[7:]


def half(dump: bytes) -> bytes:
    return dump[: len(dump) // 2]


REFUSED_UNREAD: dict[str, tuple[Callable[[Abroad], bytes], str]] = {
    "a truncated archive": (lambda abroad: half(abroad.dump("--format=custom")), "cannot be read"),
    "an archive without its last byte": (lambda abroad: abroad.dump("--format=custom")[:-1], "cannot be read"),
    "a truncated plain dump": (lambda abroad: half(abroad.dump()), "not whole"),
    "a plain dump without its end": (lambda abroad: abroad.dump().partition(b"base dump comp")[0], "not whole"),
    "a newer major's archive": (lambda abroad: newer(abroad.dump("--format=custom")), "newer than the pg_restore"),
    "a newer major's plain dump": (lambda _: HEAD.replace(b"16.4", b"99.1") + TAIL, "99.1, which is newer"),
    "an older major's": (lambda _: HEAD.replace(b"16.4", b"11.22") + TAIL, "11.22; 12 and newer"),
    "of no version": (lambda _: HEAD.replace(b"-- Dumped", b"-- Made") + TAIL, "does not say which version"),
    "tar": (lambda abroad: abroad.dump("--format=tar"), "tar format"),
    "gzip": (lambda abroad: gzip.compress(abroad.dump()), "gzip"),
    "UTF-16": (lambda abroad: b"\xff\xfe" + abroad.dump().decode().encode("utf-16-le"), "UTF-16"),
    "nothing": (lambda _: b"", "empty"),
    "another database's": (lambda _: b"-- MySQL dump 10.13\nCREATE TABLE `a` (a int);\n", "no dump of PostgreSQL"),
    "noise": (lambda _: bytes(range(256)) * 20, "no dump of PostgreSQL"),
    "a shell": (lambda _: HEAD + b"\\! touch /tmp/owned\n" + TAIL, r"psql's \\!"),
    "a copy of psql's": (lambda _: HEAD + b"\\copy t from program 'id'\n" + TAIL, r"psql's \\copy"),
    "a command behind a statement": (lambda _: HEAD + b"SELECT 'id' \\gexec\n" + TAIL, r"psql's \\gexec"),
    "a program": (lambda _: HEAD + b"COPY t FROM PROGRAM 'id';\n" + TAIL, "no COPY of a table's rows"),
    "a file": (lambda _: HEAD + b"COPY t FROM '/etc/passwd';\n" + TAIL, "no COPY of a table's rows"),
    "rows to us": (lambda _: HEAD + b"COPY t TO stdout;\n" + TAIL, "no COPY of a table's rows"),
    "an encoding with backslashes": (lambda _: HEAD + b"SET client_encoding = 'SJIS';\n" + TAIL, "SJIS"),
    "other strings": (lambda _: HEAD + b"SET standard_conforming_strings = off;\n" + TAIL, "standard_conforming"),
    "no encoding": (lambda _: HEAD + b"SET client_encoding = 'MULE';\n" + TAIL, "not known"),
    "names that are no text": (lambda _: HEAD + b"CREATE TABLE \"\xff\" ();\n" + TAIL, "bytes are no utf-8"),
    "two databases": (
        lambda _: HEAD + b"CREATE TABLE a (a int);\n\\connect b\nCREATE TABLE b (a int);\n" + TAIL, "several databases"
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", REFUSED_UNREAD)
def test_what_cannot_be_brought_in_is_refused_before_anything_is_run(customer: Abroad, kind: str) -> None:
    """With one sentence that says why; no server is asked."""
    made, sentence = REFUSED_UNREAD[kind]
    imports = PostgresImports(sessions=None)  # type: ignore[arg-type]  # reading needs no server
    with pytest.raises(Refused, match=sentence):
        imports.read(chunks_of(made(customer)), bytes_max=PLENTY)


@pytest.mark.parametrize("form", ["--format=custom", "--format=plain"])
def test_what_is_too_large_once_unpacked_is_refused(customer: Abroad, form: str) -> None:
    """However small the file is."""
    dump = customer.dump(form)
    with pytest.raises(Refused, match="once it is unpacked"):
        PostgresImports(sessions=None).read(chunks_of(dump), bytes_max=50_000)  # type: ignore[arg-type]


def test_who_gives_the_bytes_may_end_the_reading(customer: Abroad) -> None:
    """What it raises is what the caller sees, though another thread feeds them."""
    whole = customer.dump("--format=custom")

    def breaking() -> Iterator[bytes]:
        yield whole[:1000]
        raise Transient("The disk went away.")

    with pytest.raises(Transient, match="disk went away"):
        PostgresImports(sessions=None).read(breaking(), bytes_max=PLENTY)  # type: ignore[arg-type]


SWALLOWING = rb"""CREATE TABLE t (a int);
CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
CREATE TRIGGER g BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION f();
COPY t (a) FROM stdin;
1
\.
"""
FAILS: dict[str, tuple[bytes, str]] = {
    "a row that its table refuses": (
        b"CREATE TABLE t (a int CHECK (a < 3));\nCOPY t (a) FROM stdin;\n1\n2\n3\n\\.\n", r"line 3 of its rows.*violat"
    ),
    "a table that is not there": (b"INSERT INTO nowhere VALUES (1);", "does not exist"),
    "a row that a trigger swallows": (
        SWALLOWING,
        "has 1 rows, and 0 arrived",
    ),
    "bytes that are no text": (b"CREATE TABLE t (a text);\nCOPY t (a) FROM stdin;\n\xff\xfe\n\\.\n", "invalid byte"),
    "rows for another's table": (b"COPY pg_catalog.pg_authid (rolname) FROM stdin;\nme\n\\.\n", "permission denied"),
    "what never returns": (b"DO $$ BEGIN PERFORM pg_sleep(100000); END $$;", "took longer than"),
    "a transaction without an end": (b"BEGIN;\nCREATE TABLE t (a int);\n", "does not end it"),
}  # fmt: skip


@pytest.mark.parametrize("kind", FAILS)
def test_what_fails_on_the_way_is_refused_and_the_login_is_closed(
    place: PostgresPlace, imports: PostgresImports, kind: str
) -> None:
    content, sentence = FAILS[kind]
    hosting = prepared(place)
    with pytest.raises(Refused, match=sentence):
        bring_in(imports, hosting, HEAD + content + TAIL, seconds_max=5)
    assert place.databases.look_at_logins(hosting) == CLOSED


GREEDY = rb"""
SET ROLE cloudsqlsuperuser;
SET SESSION AUTHORIZATION cloudsqladmin;
ALTER ROLE cloudsqlsuperuser SUPERUSER;
CREATE TABLE public.got (what text);
DO $$ BEGIN
    PERFORM set_config('role', 'none', false);
    IF pg_has_role(session_user, 'cloudsqlsuperuser', 'MEMBER') OR current_setting('is_superuser') = 'on'
        OR has_database_privilege(current_database(), 'CREATE') THEN RAISE 'with rights to take'; END IF;
END $$;
SET session_replication_role = replica;
DO $$ BEGIN COPY public.got FROM PROGRAM 'id'; END $$;
DO $$ BEGIN INSERT INTO public.got SELECT pg_read_file('/etc/passwd'); END $$;
SELECT n FROM generate_series(1, 200000) n;
CREATE SERVER away FOREIGN DATA WRAPPER postgres_fdw;
GRANT ALL ON DATABASE postgres TO PUBLIC;
COMMENT ON DATABASE postgres IS 'mine';
"""


def test_a_greedy_dump_gets_nothing(place: PostgresPlace, imports: PostgresImports) -> None:
    """Neither another role, nor a program, a file or a memory of ours; what it tried is told."""
    hosting = prepared(place)
    seen, brought_in = bring_in(imports, hosting, HEAD + GREEDY + TAIL)
    assert place.databases.digests(hosting)["public.got"].rows == 0
    told = "\n".join(brought_in.left_out)
    for tried in ("SUPERUSER", "session_replication_role", "COPY public.got", "pg_read_file", "CREATE SERVER"):
        assert tried in told
    assert "cloudsqlsuperuser" in seen.roles


def test_only_into_an_empty_database_of_the_tenants_own(place: PostgresPlace, imports: PostgresImports) -> None:
    """Never over anything that is there; and nothing of it is changed."""
    hosting = given(place)
    place.fill(hosting, "mine", ["one"])
    before = place.databases.digests(hosting)
    dump = HEAD + b"CREATE TABLE t (a int);" + TAIL
    with pytest.raises(Refused, match="not empty"):
        bring_in(imports, hosting, dump)
    assert place.databases.digests(hosting) == before
    another = prepared(place)
    place.mark(another, "somebody else's")
    with pytest.raises(Refused, match="not tenant"):
        bring_in(imports, another, dump)


def test_a_schema_that_nobody_may_make_is_refused(place: PostgresPlace, imports: PostgresImports) -> None:
    dump = HEAD + b"CREATE SCHEMA pg_mine;" + TAIL
    with pytest.raises(Refused, match="pg_mine"):
        bring_in(imports, prepared(place), dump)


def test_an_extension_that_the_server_has_not_is_refused(place: PostgresPlace, imports: PostgresImports) -> None:
    dump = HEAD + b"CREATE EXTENSION nonesuch WITH SCHEMA public;" + TAIL
    with pytest.raises(Refused, match="nonesuch"):
        bring_in(imports, prepared(place), dump)
