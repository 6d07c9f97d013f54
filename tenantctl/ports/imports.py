"""Dumps that customers bring from elsewhere: what is in one, and its way into a tenant's empty database."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from tenantctl.model.tenant import Hosting


@dataclass(frozen=True)
class DumpSeen:
    """A dump from elsewhere as it was read, to its last byte and without running anything of it.

    `tables` are names with schema, as a person reads them; `rows` are those that stand in it as rows, not as INSERTs;
    `extensions` says the schema of each that it needs; `owners` are the roles that owned something where it comes from,
    `roles` all that it names as roles; `left_out` what no customer may have here, a line each.
    """

    form: str
    server_version: str
    program_version: str
    tables: tuple[str, ...]
    rows: int
    schemas: tuple[str, ...] = ()
    extensions: Mapping[str, str] = field(default_factory=dict)
    owners: tuple[str, ...] = ()
    roles: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()


@dataclass(frozen=True)
class BroughtIn:
    """What came of an import: the rows that the server took for each table, by the names of `Databases.digests`.

    Tables whose rows came as INSERTs, or through the parent of partitions, are not among them.
    """

    rows: Mapping[str, int]
    left_out: tuple[str, ...]


class Imports(Protocol):
    """The way in for dumps from elsewhere, which are somebody else's programs.

    1. `read` runs nothing of a dump, and refuses one that is not whole.
    2. `bring_in` runs it with the rights of the customer's own login, in its own database, and nowhere else; none of
       psql's commands is run. At its end, however it ends, the login is closed.
    3. Rows are never left out: a table that does not take all of its rows is Refused.
    """

    def read(self, chunks: Iterator[bytes], *, bytes_max: int) -> DumpSeen:
        """What is in a dump, read to its end.

        Args:
            chunks: The dump's bytes.
            bytes_max: How large it may be once it is unpacked.

        Raises:
            Refused: it is no dump that can be brought in, is not whole, or is too large.
            Transient: the program that unpacks it was killed.
        """

    def bring_in(self, hosting: Hosting, chunks: Iterator[bytes], seen: DumpSeen, *, seconds_max: float) -> BroughtIn:
        """Fills the tenant's empty database from a dump that was read before.

        Schemas, which become the owner's, and extensions of `seen` are made before. A statement that takes rights
        which no customer has is left out, and told.

        Args:
            hosting: Whose database it is.
            chunks: The same bytes again.
            seen: What `read` said of them, without the extensions that are to be left out.
            seconds_max: After how long it is ended.

        Raises:
            Refused: the database is not empty, or something in the dump fails; what came so far stays in it.
            Transient: the instance, or whatever gives the chunks, went away meanwhile; likewise.
        """
