"""The tenants' databases, and the scratch databases that verification restores into."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Protocol, TypeVar

from tenantctl.model.adoption import ForeignSeen
from tenantctl.model.backup import TableDigest
from tenantctl.model.errors import Transient
from tenantctl.model.facts import Census, DatabaseSeen, LoginsSeen
from tenantctl.model.sighting import Gone, Present, Sighting, Unreachable
from tenantctl.model.tenant import Hosting

__all__ = ["Census", "DatabaseSeen", "Databases", "Dump", "LoginsSeen", "Scratch", "seen_or_wait"]

Seen = TypeVar("Seen")


def seen_or_wait(sight: Sighting[Seen], hosting: Hosting) -> Seen | None:
    """What an instance showed of a tenant's things; None if the instance itself said that they are not there.

    Raises:
        Transient: the instance did not answer, and nothing may rest on that.
    """
    match sight:
        case Present(seen):
            return seen
        case Gone():
            return None
        case Unreachable(reason):
            raise Transient(f"Instance {hosting.instance} does not answer: {reason}")


class Dump(Protocol):
    """A dump that is being read; its tables are those of the dump's own snapshot."""

    @property
    def tables(self) -> Mapping[str, TableDigest]:
        """Rows and checksum of each table, by its quoted name with schema."""

    @property
    def server_version(self) -> str:
        """The server's version, such as 18.6."""

    def chunks(self) -> Iterator[bytes]:
        """The archive (`pg_dump -Fc`, uncompressed), piece by piece.

        The iterator ends normally only if `pg_dump` did.

        Raises:
            Transient: `pg_dump` failed or was killed; what came so far is worthless.
        """


class Databases(Protocol):
    """The tenants' databases, found by their marker and never by their name alone.

    1. Creating what is there, closing what is closed and dropping what is gone are no-ops.
    2. `look` answers gone only if the instance itself answered.
    3. Whatever would change or drop a database whose marker is not its tenant's is Refused.
    4. An instance that does not answer in time raises Transient.
    5. `restore` goes into an empty database and no other, and runs with no more rights than the customer has; at its
       end, however it ends, the customer's login is closed.
    """

    def look(self, hosting: Hosting) -> Sighting[DatabaseSeen]:
        """Whether the database is there, and its marker."""

    def census(self, instance: str) -> Sighting[Census]:
        """Every database on an instance, and every role that is named as a tenant's."""

    def look_at_roles(self, hosting: Hosting) -> Sighting[tuple[str, ...]]:
        """Which of the tenant's two roles are there; gone if neither."""

    def look_at_logins(self, hosting: Hosting) -> Sighting[LoginsSeen]:
        """Whether the customer can log in, and how many sessions it has."""

    def create_roles(self, hosting: Hosting, *, connection_limit: int) -> None:
        """Makes the owner and the login, the login closed."""

    def create_database(self, hosting: Hosting) -> None:
        """Makes the database, owned by tenantctl, closed to the public, with its marker."""

    def prepare(self, hosting: Hosting, *, extensions: Sequence[str]) -> None:
        """Gives the schema to the owner and creates the extensions."""

    def look_prepared(self, hosting: Hosting, *, extensions: Sequence[str]) -> bool:
        """Whether `prepare` has been carried out in full."""

    def open_logins(self, hosting: Hosting) -> None:
        """Lets the customer log in, with the password it had."""

    def close_logins(self, hosting: Hosting) -> None:
        """Refuses the customer's log-ins, and ends its sessions."""

    def set_password(self, hosting: Hosting, password: str) -> None:
        """Sets the login's password; the server never sees it in the clear."""

    def forced_row_security(self, hosting: Hosting) -> Sequence[str]:
        """Tables that force row security on their owner too: `pg_dump` fails on them."""

    def set_forced_row_security(self, hosting: Hosting, tables: Sequence[str], *, forced: bool) -> None:
        """Forces row security on these tables' owner, or lifts it; tables that are no more are passed over."""

    def drop_database(self, hosting: Hosting) -> None:
        """Drops the database for good, its sessions ended."""

    def drop_roles(self, hosting: Hosting) -> None:
        """Drops both roles; the database must be gone."""

    def look_empty(self, hosting: Hosting) -> bool:
        """Whether nothing but what `prepare` made is in the database.

        Raises:
            NotFound: there is no such database.
        """

    def restore(self, hosting: Hosting, chunks: Iterator[bytes], *, source: Hosting) -> Sequence[str]:
        """Restores an archive into the tenant's empty database: all that it has, owned by the tenant's owner.

        What names the roles of `source`, whose database was dumped, is made to name the tenant's own.

        Returns:
            What was left out, because no tenant's role may make it or because it failed by itself: privileges, policies
            and the content of materialized views, as the archive lists them. Rows are never left out.

        Raises:
            Refused: the database is not empty, or the archive does not restore; what came so far stays in it.
            Transient: the instance, or whatever gives the chunks, went away meanwhile; likewise.
        """

    def inspect_foreign(self, instance: str, database: str) -> Sighting[ForeignSeen]:
        """What is in a database of any name, as far as it decides whether it can be adopted."""

    def look_adopted(self, hosting: Hosting) -> bool:
        """Whether `adopt` has been carried out in full: nothing is anybody else's, and nobody else may enter."""

    def adopt(self, hosting: Hosting, database: str) -> None:
        """Makes the database of this name the tenant's: its marker first, then its name, who may enter, its owner.

        The tenant's roles must be there. Nothing of its data is changed; its sessions are ended.

        Raises:
            Refused: it bears another's comment, or is not there.
            Transient: its sessions do not end.
        """

    def digests(self, hosting: Hosting) -> Mapping[str, TableDigest]:
        """Rows and checksum of each table."""

    def dump(self, hosting: Hosting) -> AbstractContextManager[Dump]:
        """A dump of one consistent snapshot; leaving the block early ends `pg_dump`."""


class Scratch(Protocol):
    """Throw-away databases on an instance of role verify, each with a throw-away role.

    1. Dropping what is gone is a no-op, and takes the role along.
    2. `restore` runs as the throw-away role, so that nothing in a dump can act beyond its database.
    """

    def create(self, instance: str, name: str) -> None:
        """Makes an empty scratch database and its role."""

    def restore(self, instance: str, name: str, chunks: Iterator[bytes]) -> None:
        """Restores an archive into it.

        Raises:
            Refused: the archive does not restore.
        """

    def read_through(self, chunks: Iterator[bytes]) -> None:
        """Reads an archive to its last byte as a restore does, into nothing: no instance takes part.

        Raises:
            Refused: the archive is none, or not whole.
        """

    def digests(self, instance: str, name: str) -> Mapping[str, TableDigest]:
        """Rows and checksum of each table."""

    def drop(self, instance: str, name: str) -> None:
        """Drops database and role."""

    def names(self, instance: str) -> Sighting[tuple[str, ...]]:
        """The scratch databases and roles that are there; an empty tuple is Present."""
