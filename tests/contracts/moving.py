"""A database that is being replicated between two real clusters, and what a test does to it from either side."""

import contextlib
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

from tenantctl.adapters.postgres.replication import PostgresReplication
from tenantctl.localcloud.client import LocalCloud
from tenantctl.model.replication import ReplicationSeen
from tenantctl.model.sighting import Present
from tenantctl.model.tenant import Hosting
from tests.contracts.databases_places import PostgresPlace, given, local_place, local_sessions

PATIENCE_SECONDS = 120.0


@dataclass
class Move:
    """A source with rows, an empty target on the other instance, and what replicates between them."""

    place: PostgresPlace
    replication: PostgresReplication
    source: Hosting
    target: Hosting

    def run(self, hosting: Hosting, statement: str) -> list[tuple[Any, ...]]:
        with self.place.ours(hosting) as session:
            session.execute(f"SET search_path = public; SET ROLE {hosting.owner}".encode())
            answer = session.execute(statement.encode())
            return answer.fetchall() if answer.description else []

    def seen(self) -> ReplicationSeen:
        sight = self.replication.look(self.source, self.target)
        assert isinstance(sight, Present), sight
        return sight.value

    def begin(self) -> None:
        digest = self.replication.schema_digest(self.source)
        assert self.replication.copy_schema(self.source, self.target) == ()
        self.replication.publish(self.source, digest)
        self.replication.subscribe(self.source, self.target)

    def wait_until(self, condition: Callable[[], bool]) -> None:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not condition():
            assert time.monotonic() < deadline, self.seen()
            time.sleep(0.05)

    def left(self) -> list[tuple[Any, ...]]:
        """What a move has made on the two instances and not taken away."""
        found = []
        for hosting in (self.source, self.target):
            with self.place.ours(hosting) as session:
                question = (
                    "SELECT 'slot', slot_name::text FROM pg_replication_slots WHERE database = current_database()"
                    " UNION ALL SELECT 'publication', pubname::text FROM pg_publication"
                    " UNION ALL SELECT 'subscription', subname::text FROM pg_subscription WHERE subdbid ="
                    " (SELECT oid FROM pg_database WHERE datname = current_database())"
                    " UNION ALL SELECT 'role', rolname::text FROM pg_roles WHERE rolname LIKE %s"
                    " UNION ALL SELECT 'identity', relname::text FROM pg_class WHERE relreplident = 'f'"
                )
                found += session.execute(question, [f"r_{hosting.uid}_%"]).fetchall()
        return found

    def catch_up(self) -> None:
        """Returns once the target has what the source has."""
        position = self.replication.mark(self.source)
        self.wait_until(lambda: self.replication.has_reached(self.source, position))


@contextlib.contextmanager
def moving(local_cloud: LocalCloud, schema: str) -> Iterator[Move]:
    """A source with this schema, and an empty target on the other instance; at the end nothing is left of either."""
    with local_place(local_cloud) as place, contextlib.ExitStack() as stack:
        sessions = local_sessions(local_cloud.project, local_cloud.endpoints["sqladmin"])
        replication = PostgresReplication(sessions)
        source = given(place)
        target = replace(source, instance="two", region="europe-west1", generation=2)
        place.made.append(target)
        found = Move(place, replication, source, target)
        place.databases.create_roles(target, connection_limit=5)
        place.databases.create_database(target)
        place.databases.prepare(target, extensions=())
        for closing in (sessions, replication):
            stack.callback(closing.close)
        stack.callback(replication.remove, source, target)
        found.run(source, schema)
        yield found
