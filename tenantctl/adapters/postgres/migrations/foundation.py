"""Lays what the first revision stands on: two roles that cannot log in, and a schema that belongs to one of them.

Nothing here needs a superuser. The migrator's login is a member of `cloudsqlsuperuser`, the role that Cloud SQL gives
to administrators; the roles are made as that role, so that another migrator can go on where this one left off.
"""

from typing import Final

from sqlalchemy import Connection, text

SCHEMA: Final = "registry"
OWNER: Final = "registry_owner"
APPLICATION: Final = "registry_app"
_ADMINISTRATOR: Final = "cloudsqlsuperuser"
ONE_AT_A_TIME: Final = 4_703_881_216_230_001  # an advisory lock's number, any that nobody else uses
LOCK_WAIT: Final = "2s"  # less than a worker's own lock_timeout: whoever queues behind us is never refused for it


def lay(connection: Connection) -> None:
    """Makes roles and schema where they are missing, and goes on as the schema's owner until the transaction ends."""
    connection.execute(text("SET LOCAL statement_timeout = 0"))
    connection.execute(text("SET LOCAL idle_in_transaction_session_timeout = 0"))
    connection.execute(text("SELECT pg_advisory_xact_lock(:number)"), {"number": ONE_AT_A_TIME})
    connection.execute(text(f"SET LOCAL lock_timeout = '{LOCK_WAIT}'"))
    act_as_administrator(connection)
    existing = set(
        connection.scalars(
            text("SELECT rolname FROM pg_roles WHERE rolname IN (:a, :b)"), {"a": OWNER, "b": APPLICATION}
        )
    )
    for role in (OWNER, APPLICATION):
        if role not in existing:
            connection.execute(text(f"CREATE ROLE {role} NOLOGIN"))
    connection.execute(text(f"GRANT {OWNER} TO SESSION_USER WITH INHERIT TRUE, SET TRUE"))
    connection.execute(text("RESET ROLE"))
    if not connection.scalar(text("SELECT 1 FROM pg_namespace WHERE nspname = :name"), {"name": SCHEMA}):
        connection.execute(text(f"CREATE SCHEMA {SCHEMA} AUTHORIZATION {OWNER}"))
    connection.execute(text(f"SET LOCAL ROLE {OWNER}"))
    connection.execute(text(f"SET LOCAL search_path = {SCHEMA}, pg_temp"))


def act_as_administrator(connection: Connection) -> None:
    """Becomes the administrators' role for this transaction, where there is one and the login may be it."""
    question = text(
        "SELECT 1 FROM pg_roles WHERE rolname = :name AND pg_has_role(session_user, rolname, 'SET') AND rolcreaterole"
    )
    if connection.scalar(question, {"name": _ADMINISTRATOR}):
        connection.execute(text(f"SET LOCAL ROLE {_ADMINISTRATOR}"))
