"""Whether this program and the registry's schema fit each other: asked of every new connection, before it is used.

A program works on the revision that it was written for, and on a newer one that says that it still works with this
program. Anything else is refused by one sentence: neither an older nor an unknown schema is ever written to. A process
that runs for long sees a schema that was moved under it with its next new connection, within `RECYCLE_SECONDS`.
"""

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final

import psycopg
from sqlalchemy import Connection, Engine, event, text

from tenantctl.adapters.postgres.registry_engine import answering
from tenantctl.model.errors import Refused

VERSIONS: Final = Path(__file__).resolve().parent / "migrations" / "versions"
TABLE: Final = "registry.alembic_version"
UPGRADE_HINT: Final = "Bring the registry's schema up to date, as its migrator: tenantctl db upgrade"
_EXISTS: Final = "SELECT to_regclass('registry.alembic_version') IS NOT NULL"
_REVISION: Final = "SELECT version_num FROM registry.alembic_version"
_SEEN: Final = (
    "SELECT (SELECT version_num FROM registry.alembic_version),"
    " obj_description('registry.alembic_version'::regclass, 'pg_class')::json ->> 'works_with'"
)


@dataclass(frozen=True)
class SchemaSeen:
    """What a registry says of its schema.

    Attributes:
        revision: the revision that it is at; None if none was laid.
        works_with: the oldest revision whose programs may still work on it; None where it does not say.
    """

    revision: str | None
    works_with: str | None = None


@cache
def known_revision() -> str:
    """The revision that this program was written for: the newest of those that come with it, by its file's name."""
    return max(path.name[1:5] for path in VERSIONS.glob("r[0-9][0-9][0-9][0-9]_*.py"))


def misfit(seen: SchemaSeen, known: str) -> Refused | None:
    """Why a program that knows revision `known` must not work on this schema; None if it may."""
    if seen.revision is None:
        return Refused("The registry's schema was never laid.", hint=UPGRADE_HINT)
    if seen.revision < known:
        sentence = f"The registry's schema is older than this program: it is at {seen.revision}, and {known} is needed."
        return Refused(sentence, hint=UPGRADE_HINT)
    oldest = seen.works_with or seen.revision
    if known < oldest:
        return Refused(
            f"This program is older than the registry's schema: it knows {known}, the registry is at {seen.revision}"
            f" and works with programs that know {oldest} or newer.",
            hint="Work with the newer program: put its image into Terraform's `image`, or install it here.",
        )
    return None


def look_at_schema(engine: Engine) -> SchemaSeen:
    """What the registry says of its schema.

    Raises:
        Transient: the registry does not answer.
        Refused: the login may not read it.
    """
    with answering(), engine.connect() as connection:
        if revision_of(connection) is None:
            return SchemaSeen(None)
        return SchemaSeen(*connection.execute(text(_SEEN)).one())


def refuse_unknown_schema(engine: Engine) -> None:
    """From now on a connection of this engine to a schema that the program does not fit is refused when it is made."""
    event.listen(engine, "connect", _refuse_misfit)


def revision_of(connection: Connection) -> str | None:
    """The revision that the registry is at; None if none was laid."""
    if not connection.scalar(text(_EXISTS)):
        return None
    revision: str | None = connection.scalar(text(_REVISION))
    return revision


def works_with_comment(revision: str) -> str:
    """The comment by which a registry says the oldest revision whose programs may work on it."""
    return json.dumps({"works_with": revision})


def _refuse_misfit(connection: psycopg.Connection[Any], _record: object) -> None:
    row = connection.execute(_SEEN.encode()).fetchone()
    connection.rollback()
    assert row is not None, "one row is asked for"
    if (refusal := misfit(SchemaSeen(*row), known_revision())) is not None:
        raise refusal
