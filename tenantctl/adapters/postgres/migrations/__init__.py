"""The registry's schema and its revisions, applied by the program itself: no configuration file is needed.

Migrations run as a login of the migrator's, a member of `cloudsqlsuperuser`, while workers go on. Each revision is one
transaction: an upgrade that fails leaves the registry at the revision before it. A revision waits for its locks for
less long than a worker waits for its own, lets go, and tries again: nobody at work is held up for longer than that.
Indexes on tables that are in use are built before the transaction of their revision, beside the work (`beside.py`).
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import psycopg
from alembic import command
from alembic.config import Config
from alembic.script import Script, ScriptDirectory
from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import DBAPIError

from tenantctl.adapters.postgres.migrations.beside import build
from tenantctl.adapters.postgres.migrations.foundation import APPLICATION, act_as_administrator, lay
from tenantctl.adapters.postgres.registry_engine import answering
from tenantctl.adapters.postgres.registry_schema import (
    TABLE,
    SchemaSeen,
    look_at_schema,
    misfit,
    revision_of,
    works_with_comment,
)
from tenantctl.adapters.retry import Patience
from tenantctl.model.errors import NotFound, Refused, Transient

_FOLDER: Final = Path(__file__).resolve().parent
_PATIENCE: Final = Patience(seconds=300.0, first_seconds=1.0)
_LOCK_NOT_AVAILABLE: Final = "55P03"


def head() -> str:
    """The revision that this program was written for."""
    newest = _directory().get_current_head()
    assert newest is not None, "there is a first revision"
    return newest


def current(engine: Engine) -> str | None:
    """The revision that the registry is at; None if there is no registry yet.

    Raises:
        Transient: the registry does not answer.
        Refused: the login may not read it.
    """
    return look_at_schema(engine).revision


def pending(revision: str | None, *, to: str | None = None) -> Sequence[Script]:
    """The revisions that lead from `revision` to `to`, the newest by default, in the order of their application.

    Raises:
        NotFound: this program has no revision `to`.
        Refused: the registry is beyond `to`, or beyond what this program knows; there is no way back.
    """
    known = list(reversed(list(_directory().walk_revisions())))
    names = [one.revision for one in known]
    if to is not None and to not in names:
        raise NotFound(f"There is no revision {to!r}.", hint=f"The newest is {names[-1]}: tenantctl db current")
    if revision is not None and revision not in names:
        raise misfit(SchemaSeen(revision), names[-1]) or Refused(f"Nobody knows the revision {revision!r}.")
    first = 0 if revision is None else names.index(revision) + 1
    last = len(names) if to is None else names.index(to) + 1
    if last < first:
        raise Refused(f"The registry is at {revision} already: there is no way back to {to}.", hint="Go on instead.")
    return known[first:last]


def works_with(revision: str) -> str:
    """The oldest revision whose programs may work on a registry that is at this one, as the revisions say."""
    oldest = revision
    for one in reversed(list(_directory().walk_revisions(head=revision))):
        phase = getattr(one.module, "phase", None)  # those before the first release have none
        if phase is None:
            oldest = one.revision
        elif phase == "contract":
            oldest = one.module.works_with
    return oldest


def statements(revision: Script) -> str:
    """The SQL of a revision."""
    module: Any = revision.module
    return "\n".join((_FOLDER / "sql" / name).read_text(encoding="utf-8").strip() for name in module._SCRIPTS)


def is_built_beside(revision: Script) -> bool:
    """Whether a revision is indexes alone that are built before its transaction, so that nobody waits for them."""
    return bool(getattr(revision.module, "built_beside", False))


def as_run(revision: Script) -> str:
    """The SQL of a revision as it is run: in one transaction, or each statement by itself."""
    return statements(revision) if is_built_beside(revision) else f"BEGIN;\n{statements(revision)}\nCOMMIT;"


def upgrade(engine: Engine, *, to: str | None = None, patience: Patience = _PATIENCE) -> Sequence[str]:
    """Brings the registry to `to`, the newest by default, from nothing or from any revision; the revisions applied.

    Of two at once, one waits and finds it done.

    Raises:
        Transient: the registry does not answer, or something holds its tables for longer than `patience`.
        Refused: the login may not do it, or the registry is beyond `to`.
    """
    wanted = pending(current(engine), to=to)
    return [one.revision for one in wanted if patience.call(_apply, engine, one)]


def grant_app(engine: Engine, login: str) -> None:
    """Makes a login a member of `registry_app`; the same again is a no-op. Run as a migrator.

    Raises:
        Transient: the registry does not answer.
        NotFound: the instance has no such login.
        Refused: the login of `engine` may not grant it.
    """
    with answering(), engine.begin() as connection:
        act_as_administrator(connection)
        if not connection.scalar(text("SELECT 1 FROM pg_roles WHERE rolname = :login"), {"login": login}):
            raise NotFound(f"There is no login {login!r} on the registry's instance.", hint="Add it there first.")
        name = connection.dialect.identifier_preparer.quote_identifier(login)
        connection.exec_driver_sql(f"GRANT {APPLICATION} TO {name}")


def _apply(engine: Engine, script: Script) -> bool:
    """Applies one revision in one transaction; False if another migrator has done it meanwhile."""
    revision = script.revision
    try:
        if is_built_beside(script):
            with answering():
                build(engine, statements(script))
        with answering(), engine.begin() as connection:
            lay(connection)
            seen = revision_of(connection)
            if seen is not None and seen >= revision:
                return False
            command.upgrade(_config(connection), revision)
            connection.exec_driver_sql(f"COMMENT ON TABLE {TABLE} IS '{works_with_comment(works_with(revision))}'")
            return True
    except Transient as error:
        if _is_held_up(error):
            raise Transient(
                f"Revision {revision} found no moment: something holds the registry's tables, or migrates it too.",
                hint="Nothing of it was applied. Look for long transactions in the registry, and run it again.",
            ) from error
        raise


def _is_held_up(error: Transient) -> bool:
    cause = error.__cause__
    return (
        isinstance(cause, DBAPIError)
        and isinstance(cause.orig, psycopg.Error)
        and cause.orig.sqlstate == _LOCK_NOT_AVAILABLE
    )


def _directory() -> ScriptDirectory:
    return ScriptDirectory.from_config(_config())


def _config(connection: Connection | None = None) -> Config:
    config = Config(attributes={"connection": connection})
    config.set_main_option("script_location", str(_FOLDER).replace("%", "%%"))
    return config
