"""One tenant's database carried into another instance while the customer works."""

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Protocol

from tenantctl.model.backup import TableDigest
from tenantctl.model.replication import Inspection, Readiness, ReplicationSeen
from tenantctl.model.row_sets import ByTable, Shapes
from tenantctl.model.sighting import Sighting
from tenantctl.model.tenant import Hosting


class Changes(Protocol):
    """Which rows of a database change, as its log tells from the moment at which this began.

    1. What was committed before a call of `read` is told by that call, or by an earlier one.
    2. A snapshot that is taken after a call sees everything that was told so far, and everything that no call tells.
    3. A changed key is told twice: as it was, and as it is. Of a table whose rows no key names, any change is of all.
    """

    @property
    def shapes(self) -> Shapes:
        """The tables when this began: while one has the same shape, its rows change only by what is told here."""

    def read(self) -> ByTable:
        """The rows that changed since the last call.

        Raises:
            Transient: the log is lost, or the instance is; what was told so far is not all.
        """


class Frozen(Protocol):
    """A database as one snapshot sees it; no table is emptied, rewritten or dropped until the block ends."""

    @property
    def shapes(self) -> Shapes:
        """The tables that it has."""

    def sums(self, rows: ByTable) -> Mapping[str, TableDigest]:
        """How many of these rows there are, and their checksum, of each of these tables that it has.

        Large objects count together, as one more table, whatever is asked.
        """


class Replication(Protocol):
    """Replicates a database into the tenant's next one, and takes away whatever it needed for that.

    1. Every call that changes something may be repeated, and is a no-op once its effect is there.
    2. `look` answers from both instances; if either is silent it is unreachable, and never nothing.
    3. Both databases are known by their markers: what is another's is Refused.
    4. `remove` leaves neither slot nor publication nor subscription nor login, also of what broke off half-way, and the
       source as its customer knows it.
    5. An instance that does not answer in time raises Transient.
    """

    def inspect(self, source: Hosting) -> Inspection:
        """What the database consists of."""

    def readiness(self, instance: str) -> Readiness:
        """What an instance offers."""

    def schema_digest(self, source: Hosting) -> str:
        """A name of everything but rows: as `pg_dump` writes it, without what `publish` adds."""

    def copy_schema(self, source: Hosting, target: Hosting) -> Sequence[str]:
        """Makes the source's schema in the target's empty database; what was left out, as `Databases.restore` says.

        Raises:
            Refused: the target is not empty.
        """

    def publish(self, source: Hosting, digest: str) -> None:
        """Has the source keep its changes: the tables published, with this digest on record, and a slot."""

    def subscribe(self, source: Hosting, target: Hosting) -> None:
        """Has the target's server copy all rows and follow; the source must be published."""

    def look(self, source: Hosting, target: Hosting) -> Sighting[ReplicationSeen]:
        """How far it is."""

    def mark(self, source: Hosting) -> str:
        """A position in the source's log behind everything that was committed until now."""

    def has_reached(self, source: Hosting, position: str) -> bool:
        """Whether the target has confirmed everything up to a position."""

    def changes(self, source: Hosting) -> AbstractContextManager[Changes]:
        """Has the published source tell what changes; nothing of that outlives the block, nor the session.

        Raises:
            NotFound: nothing is published.
            Transient: an open transaction of the instance keeps it from beginning.
        """

    def frozen(self, hosting: Hosting) -> AbstractContextManager[Frozen]:
        """One snapshot of a database, in a session of its own; reading and writing go on.

        Raises:
            Transient: tables are just being made, altered or dropped.
        """

    def settle(self, source: Hosting, target: Hosting) -> None:
        """Gives the target what no log carries and needs no fence: filled materialized views, and statistics."""

    def copy_sequences(self, source: Hosting, target: Hosting) -> None:
        """Sets each of the target's sequences where the source's is."""

    def set_verifier(self, hosting: Hosting, verifier: str) -> None:
        """Gives the login a password of which only the SCRAM verifier is known."""

    def remove(self, source: Hosting, target: Hosting) -> None:
        """Takes away everything that was made for the replication, and nothing else."""
