"""What a replication needs in the two databases: publications, a slot, a subscription, and roles of the moment."""

import contextlib
from collections.abc import Iterator

from psycopg import sql

from tenantctl.adapters.postgres import inspection, roles
from tenantctl.adapters.postgres.control import OUR_ROLE, Session
from tenantctl.model.tenant import Hosting


def move_name(source: Hosting) -> str:
    """What slot, subscription and the first publication are called."""
    return f"m_{source.uid}_{source.generation}"


def whole_rows(source: Hosting) -> str:
    """What the publication of tables is called in which only the whole row tells one from another."""
    return f"{move_name(source)}_rows"


def publications(source: Hosting) -> tuple[str, str]:
    """Both publications."""
    return move_name(source), whole_rows(source)


def checking(source: Hosting) -> str:
    """What the temporary slot is called that tells what changes while the copy is compared."""
    return f"{move_name(source)}_check"


def replicator(hosting: Hosting) -> str:
    """On the source the login of the target's server; on the target the role as which its server works."""
    return f"r_{hosting.uid}_{hosting.generation}"


def schema_on_record(session: Session, source: Hosting) -> str | None:
    """The digest in the publication's comment; None if nothing is published."""
    found = session.execute(
        "SELECT coalesce(obj_description(oid, 'pg_publication'), '') FROM pg_publication WHERE pubname = %s",
        [move_name(source)],
    ).fetchone()
    return None if found is None else str(found[0])


def slots(session: Session) -> list[str]:
    """The slots that read the session's database: the move's own, and those with which its tables are being copied."""
    found = session.execute(
        "SELECT slot_name FROM pg_replication_slots WHERE database = current_database() AND NOT temporary"
    )
    return [name for (name,) in found.fetchall()]


def end_checking(session: Session) -> None:
    """Ends what another session still reads of the changes: its worker is gone, and the server does not know yet.

    Raises:
        Transient: it does not end.
    """
    roles.end_found(
        session,
        "SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots"
        " WHERE database = current_database() AND temporary AND active_pid <> pg_backend_pid()",
    )


@contextlib.contextmanager
def as_replicator(session: Session, source: Hosting) -> Iterator[None]:
    """Slots are made and dropped by who may replicate: on Cloud SQL we may make such a role, and are none ourselves."""
    with session.transaction():
        session.execute(sql.SQL("SET LOCAL ROLE {}").format(sql.Identifier(replicator(source))))
        yield


def is_subscribed(session: Session, source: Hosting) -> bool:
    """Whether the session's database follows the source."""
    found = session.execute(
        "SELECT FROM pg_subscription WHERE subname = %s"
        " AND subdbid = (SELECT oid FROM pg_database WHERE datname = current_database())",
        [move_name(source)],
    )
    return bool(found.fetchall())


def publish(session: Session, source: Hosting, digest: str) -> None:
    """Publishes every table that is logged, and lets whole rows stand for an identity where there is none."""
    tables = [row for row in inspection.tables(session) if not row[1]]
    for name, whole in zip(publications(source), (False, True), strict=True):
        chosen = [f"ONLY {row[0]}" for row in tables if row[4] is not whole]
        listed = f" FOR TABLE {', '.join(chosen)}" if chosen else ""
        session.execute(f"CREATE PUBLICATION {name}{listed}".encode())  # the server quoted the tables
    for row in tables:
        if not row[4]:
            session.execute(f"ALTER TABLE ONLY {row[0]} REPLICA IDENTITY FULL".encode())
    comment = sql.SQL("COMMENT ON PUBLICATION {} IS {}")
    session.execute(comment.format(sql.Identifier(move_name(source)), sql.Literal(digest)))


def unpublish(session: Session, source: Hosting) -> None:
    """Takes both publications away, and the identities that were lent."""
    found = session.execute(
        "SELECT format('%%I.%%I', n.nspname, c.relname) FROM pg_publication p"
        " JOIN pg_publication_rel r ON r.prpubid = p.oid JOIN pg_class c ON c.oid = r.prrelid"
        " JOIN pg_namespace n ON n.oid = c.relnamespace WHERE p.pubname = %s AND c.relreplident = 'f'",
        [whole_rows(source)],
    )
    for (name,) in found.fetchall():
        session.execute(f"ALTER TABLE ONLY {name} REPLICA IDENTITY DEFAULT".encode())
    for name in publications(source):
        session.execute(sql.SQL("DROP PUBLICATION IF EXISTS {}").format(sql.Identifier(name)))


def make_replicator(session: Session, hosting: Hosting) -> None:
    """A login that may read the log and what the tenant owns, for as long as the move lasts; closed to passwords."""
    name = replicator(hosting)
    with session.transaction():
        if not roles.present(session, (name,)):
            role, owner, login = (sql.Identifier(one) for one in (name, hosting.owner, hosting.login))
            session.execute(sql.SQL("CREATE ROLE {} LOGIN REPLICATION IN ROLE {}, {}").format(role, owner, login))
            session.execute(sql.SQL("GRANT {} TO {}").format(role, sql.Identifier(OUR_ROLE)))


def unsubscribe(session: Session, source: Hosting) -> None:
    """Ends the following without asking the source, which may be silent."""
    if not is_subscribed(session, source):
        return
    name = sql.Identifier(move_name(source))
    session.execute(sql.SQL("ALTER SUBSCRIPTION {} DISABLE").format(name))
    session.execute(sql.SQL("ALTER SUBSCRIPTION {} SET (slot_name = NONE)").format(name))  # the source is seen to next
    session.execute(sql.SQL("DROP SUBSCRIPTION {}").format(name))


def subscribe(session: Session, source: Hosting, target: Hosting, how_to_come: str) -> None:
    """The server works as a subscription's owner, who must be able to log in: none of our roles is."""
    name = sql.Identifier(move_name(source))
    session.execute(
        sql.SQL(
            "CREATE SUBSCRIPTION {} CONNECTION {} PUBLICATION {}, {} WITH (create_slot = false, slot_name = {})"
        ).format(
            name, sql.Literal(how_to_come), name, sql.Identifier(whole_rows(source)), sql.Literal(move_name(source))
        )
    )
    session.execute(sql.SQL("ALTER SUBSCRIPTION {} OWNER TO {}").format(name, sql.Identifier(replicator(target))))
