"""Dumps from elsewhere on their way into a tenant's database: read through first, then run as the customer's login.

An archive is turned into SQL by `pg_restore`, and takes the same way as a plain dump from there: one statement after
the other over the protocol, rows by COPY, in a session of the customer's own login. There is no psql, so nothing of a
dump runs on our machine; and whatever runs on the server, the customer could have run itself.
"""

from collections.abc import Iterable, Iterator
from itertools import chain
from typing import Final

import psycopg
from psycopg import sql

from tenantctl.adapters.postgres.archive import as_script
from tenantctl.adapters.postgres.control import OnInstances, Session, first_line
from tenantctl.adapters.postgres.customer_session import customer_session, let_in
from tenantctl.adapters.postgres.import_contents import Contents
from tenantctl.adapters.postgres.import_loading import Loading
from tenantctl.adapters.postgres.markers import refuse_unless_ours
from tenantctl.adapters.postgres.refill import is_empty
from tenantctl.adapters.postgres.script import Script
from tenantctl.adapters.postgres.script_rules import QualifiedName
from tenantctl.model.errors import Refused
from tenantctl.model.tenant import Hosting
from tenantctl.pgbin import find_programs
from tenantctl.ports.imports import BroughtIn, DumpSeen

CUSTOM: Final = "custom"
PLAIN: Final = "plain"
_ARCHIVE: Final = b"PGDMP"
_PLAIN_BEGINS: Final = b"-- PostgreSQL database "
_HEAD_BYTES: Final = 512
_STRANGE: Final = (
    (b"\x1f\x8b", 0, "compressed by gzip", "Unpack it first: gunzip FILE"),
    (b"\x28\xb5\x2f\xfd", 0, "compressed by zstd", "Unpack it first: unzstd FILE"),
    (b"PK\x03\x04", 0, "a zip file", "Unpack it first: unzip FILE"),
    (b"BZh", 0, "compressed by bzip2", "Unpack it first: bunzip2 FILE"),
    (b"\xff\xfe", 0, "a text in UTF-16", "Have pg_dump write the file itself: pg_dump --file=FILE"),
    (b"\xfe\xff", 0, "a text in UTF-16", "Have pg_dump write the file itself: pg_dump --file=FILE"),
    (b"ustar", 257, "an archive of the tar format", "Dump again with: pg_dump --format=custom"),
)


class PostgresImports(OnInstances):
    """The port `Imports`."""

    def read(self, chunks: Iterator[bytes], *, bytes_max: int) -> DumpSeen:
        """See the port."""
        form, script = _script(chunks, bytes_max)
        contents = Contents()
        try:
            for part in script.parts():
                contents.take(part)
        except Refused as refused:
            if "unsupported version" not in refused.sentence:
                raise
            raise Refused(
                f"The archive was written by a pg_dump that is newer than the pg_restore {find_programs().major} here.",
                hint="Dump again with an older pg_dump, or as a plain dump.",
            ) from refused
        if not script.complete:
            raise Refused("The dump is not whole: the line that ends it is missing.", hint="Dump again.")
        return contents.seen(form, script.dumped_from or "", script.dumped_by or "")

    def bring_in(self, hosting: Hosting, chunks: Iterator[bytes], seen: DumpSeen, *, seconds_max: float) -> BroughtIn:
        """See the port."""
        with self._control.inside(hosting.instance, hosting.database) as session:
            refuse_unless_ours(session, hosting)
            if not is_empty(session, hosting):
                raise Refused(
                    f"The database {hosting.database} on {hosting.instance} is not empty.",
                    hint="Dumps are brought into empty databases only; nothing was changed.",
                )
            _make_before(session, hosting, seen)
        _, script = _script(chunks, None)
        with (
            let_in(self._control, hosting) as password,
            customer_session(self._sessions, hosting, password) as customer,
        ):
            loading = Loading(customer, hosting, seen, seconds_max=seconds_max)
            loading.run(script.parts())
        with self._control.inside(hosting.instance, hosting.database) as session:
            names = _names(session, loading.tables)
        rows = {names[table]: count for table, count in loading.rows.items()}
        return BroughtIn(rows, tuple(loading.left_out))


def _script(chunks: Iterator[bytes], bytes_max: int | None) -> tuple[str, Script]:
    """The form of a dump, and the dump as SQL.

    Raises:
        Refused: it is of no form that is understood.
    """
    head = b""
    while len(head) < _HEAD_BYTES and (chunk := next(chunks, b"")):
        head += chunk
    if not head:
        raise Refused("The file is empty.")
    for magic, offset, what, hint in _STRANGE:
        if head[offset:].startswith(magic):
            raise Refused(f"The file is {what}.", hint=hint)
    whole = chain([head], chunks)
    if not head.startswith(_ARCHIVE):
        if _PLAIN_BEGINS not in head:
            raise Refused("The file is no dump of PostgreSQL.", hint="Make one with: pg_dump --format=custom")
        return PLAIN, Script(_bounded(whole, bytes_max))
    return CUSTOM, Script(_bounded(as_script(whole), bytes_max))


def _bounded(chunks: Iterable[bytes], bytes_max: int | None) -> Iterator[bytes]:
    size = 0
    for chunk in chunks:
        size += len(chunk)
        if bytes_max is not None and size > bytes_max:
            raise Refused(f"The dump has more than {bytes_max / 1e9:g} GB once it is unpacked.")
        yield chunk


def _make_before(session: Session, hosting: Hosting, seen: DumpSeen) -> None:
    """Makes the schemas, which are the tenant's, and the extensions, which are ours."""
    for name in sorted({*seen.schemas, *seen.extensions.values()} - {"public"}):
        statement = sql.SQL("CREATE SCHEMA IF NOT EXISTS {} AUTHORIZATION {}")
        try:
            session.execute(statement.format(sql.Identifier(name), sql.Identifier(hosting.owner)))
        except psycopg.errors.ReservedName as error:
            raise Refused(f"The schema {name} of the dump cannot be made: {first_line(error)}.") from error
    for name, schema in sorted(seen.extensions.items()):
        statement = sql.SQL("CREATE EXTENSION IF NOT EXISTS {} SCHEMA {}")
        session.execute(statement.format(sql.Identifier(name), sql.Identifier(schema)))


def _names(session: Session, tables: Iterable[QualifiedName]) -> dict[QualifiedName, str]:
    """The tables' names as the server quotes them.

    Raises:
        Refused: one of them is not there.
    """
    known = sorted(tables)
    found = session.execute(
        "SELECT s, n, format('%%I.%%I', s, n), to_regclass(format('%%I.%%I', s, n)) IS NOT NULL"
        " FROM unnest(%s::text[], %s::text[]) AS t (s, n)",
        [[schema for schema, _ in known], [name for _, name in known]],
    ).fetchall()
    for _, _, quoted, there in found:
        if not there:
            raise Refused(f"The table {quoted} of the dump was not made.")
    return {(schema, name): quoted for schema, name, quoted, _ in found}
