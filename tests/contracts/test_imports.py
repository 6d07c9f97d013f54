"""The contract of `Imports` on real PostgreSQL: real dumps of a customer's own cluster, and what each of them gets."""

from collections.abc import Callable, Iterator

import pytest

from tenantctl.adapters.postgres.digests import digest, list_tables
from tenantctl.adapters.postgres.imports import PostgresImports
from tenantctl.model.sighting import Present
from tenantctl.model.tenant import Hosting
from tenantctl.ports.databases import LoginsSeen
from tenantctl.ports.imports import BroughtIn, DumpSeen
from tests.contracts.databases_places import PASSWORD, PostgresPlace
from tests.contracts.foreign_dumps import DATABASE, Abroad

CLOSED = Present(LoginsSeen(can_log_in=False, sessions=0))
PLENTY = 1 << 40


def prepared(place: PostgresPlace) -> Hosting:
    """A tenant's empty database."""
    hosting = place.hosting()
    place.databases.create_roles(hosting, connection_limit=1)
    place.databases.create_database(hosting)
    place.databases.prepare(hosting, extensions=())
    return hosting


def chunks_of(dump: bytes, size: int = 100_000) -> Iterator[bytes]:
    return (dump[start : start + size] for start in range(0, len(dump), size))


def bring_in(
    imports: PostgresImports, hosting: Hosting, dump: bytes, *, seconds_max: float = 120
) -> tuple[DumpSeen, BroughtIn]:
    seen = imports.read(chunks_of(dump), bytes_max=PLENTY)
    return seen, imports.bring_in(hosting, chunks_of(dump), seen, seconds_max=seconds_max)


COMES_IN: dict[str, Callable[[Abroad], bytes]] = {
    "plain": lambda abroad: abroad.dump(),
    "plain, with psql's commands": lambda abroad: abroad.dump("--create", "--restrict-key=abc"),
    "plain, with all cleaned away before": lambda abroad: abroad.dump("--clean", "--if-exists"),
    "plain, as INSERTs": lambda abroad: abroad.dump("--inserts"),
    "plain, on Windows": lambda abroad: abroad.dump("--encoding=WIN1252").replace(b"\n", b"\r\n"),
    "plain, in LATIN1": lambda abroad: abroad.dump("--encoding=LATIN1"),
    "of the whole cluster": lambda abroad: abroad.dump("--database=postgres", program="pg_dumpall"),
    "custom": lambda abroad: abroad.dump("--format=custom"),
    "custom, through the parents of partitions": lambda abroad: abroad.dump(
        "--format=custom", "--load-via-partition-root", "--compress=none"
    ),
}


@pytest.mark.parametrize("kind", COMES_IN)
def test_a_real_dump_comes_in_whole(
    place: PostgresPlace, imports: PostgresImports, customer: Abroad, kind: str
) -> None:
    """Every row of every table, all of it the tenant's own; roles and what only superusers may make are left out."""
    hosting = prepared(place)
    seen, brought_in = bring_in(imports, hosting, COMES_IN[kind](customer))
    with customer.cluster.superuser(DATABASE) as session:
        session.execute("SET TimeZone = 'UTC'")
        expected = digest(session, list_tables(session))
    found = dict(place.databases.digests(hosting))
    if kind == "plain, on Windows":
        expected.pop("public.customers"), found.pop("public.customers")  # its line ends are Windows' now
    assert found == expected
    assert all(found[table].rows == rows for table, rows in brought_in.rows.items() if table in found)
    assert set(seen.tables) >= {"public.customers", "public.orders", 'Odd One.quoted "name"; x', "public.empty"}
    assert seen.extensions == {"citext": "public"}
    assert {"Big Boss"} <= set(seen.roles)
    told = "\n".join(brought_in.left_out)
    for left_out in ("EVENT TRIGGER watching", "PUBLICATION everything", "c_language", "clerks", "TO clerk"):
        assert left_out in told, left_out
    assert "bosses" not in told
    assert place.databases.look_at_logins(hosting) == CLOSED
    place.databases.set_password(hosting, PASSWORD)
    place.databases.open_logins(hosting)
    session = place.customer(hosting)
    assert session.execute("SELECT orders FROM counted").fetchone() == (5000,)
    assert session.execute(
        "SELECT DISTINCT tableowner FROM pg_tables WHERE schemaname IN ('public', 'Odd One', 'Höhe')"
    ).fetchall() == [(hosting.owner,)]
    assert session.execute("SELECT body(2), nextval('customers_id_seq')").fetchone() == (2, 3001)
    assert session.execute("SELECT roles::text[] FROM pg_policies").fetchall() == [([hosting.owner],)]
