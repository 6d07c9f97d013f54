"""The registry's schema and its revisions, applied by the program itself: no configuration file is needed.

Migrations run as a login of the migrator's, a member of `cloudsqlsuperuser`. They are one transaction: an upgrade that
fails leaves the registry as it was.
"""

from pathlib import Path
from typing import Final

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, text

from tenantctl.adapters.postgres.migrations.foundation import APPLICATION, SCHEMA, act_as_administrator, lay
from tenantctl.adapters.postgres.registry_engine import answering
from tenantctl.model.errors import NotFound

_FOLDER: Final = Path(__file__).resolve().parent


def head() -> str:
    """The revision that this program was written for."""
    newest = ScriptDirectory.from_config(_config()).get_current_head()
    assert newest is not None, "there is a first revision"
    return newest


def current(engine: Engine) -> str | None:
    """The revision that the registry is at; None if there is no registry yet.

    Raises:
        Transient: the registry does not answer.
        Refused: the login may not read it.
    """
    with answering(), engine.connect() as connection:
        if connection.scalar(text("SELECT to_regclass(:table)"), {"table": f"{SCHEMA}.alembic_version"}) is None:
            return None
        return MigrationContext.configure(connection, opts={"version_table_schema": SCHEMA}).get_current_revision()


def upgrade(engine: Engine) -> None:
    """Brings the registry to `head`, from nothing or from any revision; of two at once, one waits and finds it done.

    Raises:
        Transient: the registry does not answer.
        Refused: the login may not do it.
    """
    with answering(), engine.begin() as connection:
        lay(connection)
        command.upgrade(_config(connection), "head")


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


def _config(connection: Connection | None = None) -> Config:
    config = Config(attributes={"connection": connection})
    config.set_main_option("script_location", str(_FOLDER).replace("%", "%%"))
    return config
