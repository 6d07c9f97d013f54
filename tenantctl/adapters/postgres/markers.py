"""Whose a database is: its comment says so, and its name alone says nothing."""

from typing import Final

from psycopg import sql

from tenantctl.adapters.postgres.control import Session
from tenantctl.model.errors import NotFound, Refused
from tenantctl.model.tenant import Hosting

_HINT: Final = "Look at it by hand; nothing was changed."


def exists(session: Session, hosting: Hosting) -> bool:
    """Whether there is a database of this name, whosever it is."""
    return bool(session.execute("SELECT FROM pg_database WHERE datname = %s", [hosting.database]).fetchall())


def refuse_unless_ours(session: Session, hosting: Hosting) -> None:
    """Read the comment now, and refuse a database that is not this tenant's.

    Raises:
        NotFound: there is no database of this name.
        Refused: it has another comment, or none.
    """
    if not exists(session, hosting):
        raise NotFound(f"The instance {hosting.instance} has no database {hosting.database}.")
    refuse_anothers(session, hosting)


def refuse_anothers(session: Session, hosting: Hosting) -> None:
    """Refuse a database of this name that is not this tenant's; one that is not there is nobody's.

    Raises:
        Refused: it has another comment, or none.
    """
    found = session.execute(
        "SELECT shobj_description(oid, 'pg_database') FROM pg_database WHERE datname = %s", [hosting.database]
    ).fetchone()
    if found is not None and found[0] != hosting.marker:
        raise _not_ours(hosting, found[0])


def refuse_unless_adoptable(session: Session, inside: Session, hosting: Hosting) -> None:
    """Refuse a database without a comment unless we can only just have made it: it is ours, and nothing is in it.

    Args:
        session: On the instance.
        inside: On that database.
        hosting: The tenant's.

    Raises:
        Refused: it is somebody's.
    """
    ours = session.execute(
        "SELECT datdba = current_user::regrole AND shobj_description(oid, 'pg_database') IS NULL"
        " FROM pg_database WHERE datname = %s",
        [hosting.database],
    ).fetchone()
    empty = inside.execute(
        "SELECT NOT EXISTS (SELECT FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
        " WHERE n.nspname NOT LIKE 'pg\\_%' AND n.nspname <> 'information_schema')"
        " AND NOT EXISTS (SELECT FROM pg_largeobject_metadata)"
    ).fetchone()
    if ours != (True,) or empty != (True,):
        raise _not_ours(hosting, None)


def mark(session: Session, hosting: Hosting) -> None:
    """Write the comment."""
    statement = sql.SQL("COMMENT ON DATABASE {} IS {}")
    session.execute(statement.format(sql.Identifier(hosting.database), sql.Literal(hosting.marker)))


def _not_ours(hosting: Hosting, marker: str | None) -> Refused:
    what = "no marker" if marker is None else f"the marker {marker!r}"
    return Refused(
        f"The database {hosting.database} on {hosting.instance} is not tenant {hosting.uid}'s: it has {what}.",
        hint=_HINT,
    )
