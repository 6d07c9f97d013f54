"""A move as its customer sees it: how long nothing could be written, beside a dump and a restore in the same run.

Two throw-away clusters stand for two regions; a client writes all the time, and whenever it is sent away tries the new
place until it is let in. The steps are those of `relocation/cut_over.py`, without the registry. `--megabytes` may be
given several times; by default 50.
"""

import argparse
import contextlib
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # run as a script, from wherever

import psycopg

from benchmarks.report import Row, report
from tenantctl.adapters.postgres.replication import PostgresReplication
from tenantctl.localcloud.client import LocalCloud
from tenantctl.model.errors import TenantctlError
from tenantctl.model.sighting import Present
from tenantctl.model.tenant import Hosting
from tenantctl.relocation.planning import LAG_MAX
from tenantctl.relocation.request import scram_verifier
from tests.contracts.databases_places import PASSWORD, PostgresPlace, given, local_place, local_sessions
from tests.localcloud.clouds import throw_away_cloud

TABLES = 20
BYTES_A_ROW = 500
MOVE_PASSWORD = "moved"
GOAL_SECONDS = 5.0


@dataclass
class Client:
    """Writes wherever it is let in; `gaps` are the pauses between two confirmed writes, in seconds."""

    place: PostgresPlace
    ways: list[tuple[Hosting, str]]
    ledger: list[int] = field(default_factory=list)
    gaps: list[float] = field(default_factory=list)
    stop: threading.Event = field(default_factory=threading.Event)

    def work(self) -> None:
        number, last = 0, time.perf_counter()
        while not self.stop.is_set():
            for hosting, password in self.ways:
                with contextlib.suppress(TenantctlError, psycopg.Error):
                    session = self.place.customer(hosting, password)
                    while not self.stop.is_set():
                        number += 1
                        session.execute("INSERT INTO public.ledger VALUES (%s)", [number])
                        now = time.perf_counter()
                        self.gaps.append(now - last)
                        self.ledger.append(number)
                        last = now
                        time.sleep(0.002)
            time.sleep(0.01)


@contextlib.contextmanager
def scene(cloud: LocalCloud, megabytes: int) -> Iterator[tuple[PostgresPlace, PostgresReplication, Hosting, Hosting]]:
    """A source with so many megabytes in some tables, and a prepared target on the other instance."""
    with local_place(cloud) as place, contextlib.ExitStack() as stack:
        sessions = local_sessions(cloud.project, cloud.endpoints["sqladmin"])
        replication = PostgresReplication(sessions)
        for closing in (sessions, replication):
            stack.callback(closing.close)
        source = given(place)
        target = replace(source, instance="two", region="europe-west1", generation=2)
        place.made.append(target)
        stack.callback(replication.remove, source, target)
        place.databases.create_roles(target, connection_limit=5)
        place.databases.create_database(target)
        place.databases.prepare(target, extensions=())
        rows = megabytes * 1_000_000 // BYTES_A_ROW // TABLES
        with place.control.inside(source.instance, source.database, seconds=900, statement_timeout="0") as session:
            session.execute(f"SET ROLE {source.owner}".encode())
            session.execute("CREATE TABLE public.ledger (id int PRIMARY KEY)")
            for number in range(TABLES):
                session.execute(f"CREATE TABLE public.t{number} (id bigint PRIMARY KEY, text text)".encode())
                session.execute(
                    f"INSERT INTO public.t{number} SELECT n, repeat(md5(n::text), 15) "
                    f"FROM generate_series(1, {rows}) n".encode()
                )
        yield place, replication, source, target


def replicate(place: PostgresPlace, replication: PostgresReplication, source: Hosting, target: Hosting) -> None:
    """The move as it is."""
    digest = replication.schema_digest(source)
    replication.copy_schema(source, target)
    replication.publish(source, digest)
    replication.subscribe(source, target)
    while not (isinstance(seen := replication.look(source, target), Present) and seen.value.in_step(LAG_MAX)):
        time.sleep(0.1)
    replication.settle(source, target)
    place.databases.close_logins(source)
    position = replication.mark(source)
    while not replication.has_reached(source, position):
        time.sleep(0.05)
    assert replication.schema_digest(source) == digest
    replication.copy_sequences(source, target)
    assert place.databases.digests(source) == place.databases.digests(target)
    replication.set_verifier(target, scram_verifier(MOVE_PASSWORD))
    place.databases.open_logins(target)


def dump_and_restore(place: PostgresPlace, replication: PostgresReplication, source: Hosting, target: Hosting) -> None:
    """What would be done without replication."""
    place.databases.close_logins(source)
    with place.databases.dump(source) as dump:
        place.databases.restore(target, dump.chunks(), source=source)
        assert dump.tables == place.databases.digests(target)
    replication.set_verifier(target, scram_verifier(MOVE_PASSWORD))
    place.databases.open_logins(target)


def downtime(
    cloud: LocalCloud,
    megabytes: int,
    way: Callable[[PostgresPlace, PostgresReplication, Hosting, Hosting], None],
) -> float:
    """The longest pause of the client, in seconds; no write of its ledger may be lost or doubled."""
    with scene(cloud, megabytes) as (place, replication, source, target):
        client = Client(place, [(source, PASSWORD), (target, MOVE_PASSWORD)])
        writer = threading.Thread(target=client.work)
        writer.start()
        try:
            while len(client.ledger) < 50:
                time.sleep(0.05)
            way(place, replication, source, target)
            written = len(client.ledger)
            while len(client.ledger) < written + 50:
                time.sleep(0.05)
        finally:
            client.stop.set()
            writer.join()
        with place.ours(target) as session:
            there = [number for (number,) in session.execute("SELECT id FROM public.ledger ORDER BY id").fetchall()]
        assert set(client.ledger) <= set(there), "a confirmed write was lost"
        assert len(there) == len(set(there)), "a write was doubled"
        return max(client.gaps[10:])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--megabytes", type=int, action="append", help="of the database; may be repeated")
    options, _ = parser.parse_known_args()
    rows, moved = [], {}
    with throw_away_cloud({"one": "us-central1", "two": "europe-west1"}) as cloud:
        for megabytes in options.megabytes or [50]:
            moved[megabytes] = downtime(cloud, megabytes, replicate)
            restored = downtime(cloud, megabytes, dump_and_restore)
            what = f"downtime, {megabytes} MB"
            rows.append(
                Row(
                    f"{what}: move",
                    moved[megabytes],
                    "s",
                    moved[megabytes] / restored,
                    gate="less than a dump and a restore",
                    goal=f"<= {GOAL_SECONDS:g} s",
                    holds=moved[megabytes] < restored,
                )
            )
            rows.append(Row(f"{what}: dump and restore", restored, "s"))
    if len(moved) > 1:
        small, large = min(moved), max(moved)
        growth = moved[large] / moved[small]
        rows.append(Row(f"downtime at {large} MB beside {small} MB", moved[large], "s", growth, goal="<= 1.5 times"))
    report("relocation", rows)


if __name__ == "__main__":
    main()
