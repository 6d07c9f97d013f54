"""A schema that nobody here wrote goes through backup, proof and restore, and comes out as it went in.

It is what PostgreSQL's own regression tests leave behind, as far as an ordinary owner may have it: see
`tests/fixtures/postgresql-regression.md`.
"""

import re
import subprocess
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
import zstandard

from tenantctl.adapters.postgres.child_process import ChildProcess, connection
from tenantctl.adapters.postgres.digests import digest, list_tables
from tenantctl.bootstrap import CloudWorld
from tenantctl.config import load_settings
from tenantctl.model.backup import TableDigest, VerificationLevel
from tenantctl.model.tenant import Hosting
from tenantctl.sweeps.tenants import sweep
from tests.asking import ask_for_tenant
from tests.localcloud.company import Company, throw_away_company

FIXTURE = Path(__file__).parents[1] / "fixtures/postgresql-regression.dump.zst"
EXTENSIONS = (
    *("btree_gin", "btree_gist", "citext", "fuzzystrmatch", "hstore"),
    *("intarray", "ltree", "pg_trgm", "unaccent"),
)
TABLES_MIN = 1000
KINDS = {
    "enums": "SELECT count(*) FROM pg_type t JOIN theirs ON oid_of = t.typnamespace WHERE typtype = 'e'",
    "domains": "SELECT count(*) FROM pg_type t JOIN theirs ON oid_of = t.typnamespace WHERE typtype = 'd'",
    "ranges": "SELECT count(*) FROM pg_type t JOIN theirs ON oid_of = t.typnamespace WHERE typtype = 'r'",
    "partitions": "SELECT count(*) FROM pg_class c JOIN theirs ON oid_of = c.relnamespace WHERE relispartition",
    "views": "SELECT count(*) FROM pg_class c JOIN theirs ON oid_of = c.relnamespace WHERE relkind IN ('v', 'm')",
    "generated columns": "SELECT count(*) FROM pg_attribute WHERE attgenerated <> ''",
    "identity columns": "SELECT count(*) FROM pg_attribute WHERE attidentity <> ''",
    "row security": "SELECT count(*) FROM pg_class c JOIN theirs ON oid_of = c.relnamespace WHERE relrowsecurity",
    "policies": "SELECT count(*) FROM pg_policy",
    "triggers": "SELECT count(*) FROM pg_trigger WHERE NOT tgisinternal",
    "large objects": "SELECT count(*) FROM pg_largeobject_metadata",
    "odd names": "SELECT count(*) FROM theirs WHERE nspname ~ '[^a-z_0-9]'",
    "extensions in use": (
        "SELECT count(DISTINCT e.extname) FROM pg_attribute a JOIN pg_depend d"
        " ON d.classid = 'pg_type'::regclass AND d.objid = a.atttypid AND d.deptype = 'e'"
        " JOIN pg_extension e ON e.oid = d.refobjid"
    ),
}
THEIRS = (
    "WITH theirs AS (SELECT oid AS oid_of, nspname FROM pg_namespace"
    " WHERE nspname NOT LIKE 'pg\\_%' AND nspname <> 'information_schema') "
)


@pytest.fixture(scope="module")
def company() -> Iterator[Company]:
    """A company of its own, for the length of this module."""
    with throw_away_company() as made:
        yield made


def test_a_foreign_schema_comes_back_as_it_was(company: Company) -> None:
    """A thousand tables and more: in, backed up, proved by a restore, and restored into a new tenant."""
    settings = replace(load_settings(company.environment()), login="alice@example.com")
    with closing(CloudWorld(settings)) as world:
        hosting = _arrives(world, "foreign")
        left_out = world.databases.restore(hosting, _archive(), source=hosting)
        assert {entry.split()[0] for entry in left_out} <= {"POLICY", "MATERIALIZED"}, left_out
        kinds = _kinds(world, hosting)
        assert all(kinds.values()), kinds
        before, schema = _content(world, hosting), _schema(world, hosting)
        assert len(before) >= TABLES_MIN
        print(f"{len(before)} tables, {sum(one.rows for one in before.values())} rows, {kinds}")

        assert "is complete in us-central1, us-south1" in company.do("backup", "now", "foreign")
        said = company.do("backup", "verify", "foreign")
        backup = max(world.registry.backups(hosting.uid), key=lambda one: one.begun_at)
        assert f"{len(before)} tables" in said
        assert backup.verified_level is VerificationLevel.RESTORED

        restored = ("--into", "twin", "--ground", "customer-request", "--reference", "T-1", "--wait")
        company.do("backup", "restore", backup.id, *restored)
        twin = world.registry.find("twin").hosting
        assert _content(world, twin) == before
        assert _schema(world, twin) == schema


def _arrives(world: CloudWorld, name: str) -> Hosting:
    """A new tenant with the extensions; where its database lies."""
    tenant = ask_for_tenant(world, name, extensions=EXTENSIONS)
    assert [turn.trouble for turn in sweep(world, tenant=tenant.uid)] == [None]
    return world.registry.tenant(tenant.uid).hosting


def _archive() -> Iterator[bytes]:
    """The fixture's archive, piece by piece."""
    with FIXTURE.open("rb") as file:
        yield from zstandard.ZstdDecompressor(max_window_size=1 << 27).read_to_iter(file)


def _kinds(world: CloudWorld, hosting: Hosting) -> dict[str, int]:
    """How many there are of each kind of thing that makes a schema hard."""
    with closing(world.sessions.connect(hosting.instance, hosting.database)) as session:
        answers = {kind: session.execute((THEIRS + question).encode()).fetchone() for kind, question in KINDS.items()}
    return {kind: answer[0] for kind, answer in answers.items() if answer is not None}


def _content(world: CloudWorld, hosting: Hosting) -> dict[str, TableDigest]:
    """Rows and checksum of every table."""
    settings = {"role": "cloudsqlsuperuser"}
    with closing(world.sessions.connect(hosting.instance, hosting.database, settings=settings)) as session:
        return digest(session, list_tables(session))


def _schema(world: CloudWorld, hosting: Hosting) -> list[str]:
    """What `pg_dump --schema-only` writes, with the names that are each tenant's own made the same."""
    arguments = ["--schema-only", "--role=cloudsqlsuperuser", "--no-password"]
    with world.sessions.socket(hosting.instance) as proxy:
        place = connection(proxy.folder, world.sessions.login, hosting.database)
        with ChildProcess("pg_dump", arguments, place, output=subprocess.PIPE) as process:
            pieces = list(iter(lambda: process.read(60), b""))
            assert process.finish() == 0, process.said()
    text = b"".join(pieces).decode().replace(hosting.uid, "UID")
    return [line for line in text.splitlines() if not re.match(r"\\(un)?restrict ", line)]
