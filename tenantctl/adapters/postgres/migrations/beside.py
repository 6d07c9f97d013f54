"""Indexes that are built beside the work, for as long as it takes: nobody waits for them.

Such a statement is in no transaction, so that a migrator that dies leaves an index that counts for nothing: it is taken
away and built again. A migrator that waited for another in a statement would be waited for by the index in its turn, so
whoever comes second is told to come again.
"""

import re
from typing import Final

from sqlalchemy import Connection, Engine, text

from tenantctl.adapters.postgres.migrations.foundation import ONE_AT_A_TIME, OWNER, SCHEMA
from tenantctl.model.errors import Transient

_INDEX: Final = re.compile(r"^CREATE (?:UNIQUE )?INDEX CONCURRENTLY (\w+) ON [^;]+;", re.MULTILINE)
_IS_WHOLE: Final = text("SELECT indisvalid FROM pg_index WHERE indexrelid = to_regclass(:name)")


def build(engine: Engine, script: str) -> None:
    """Builds the indexes of a script that are not there yet, one after the other.

    Raises:
        Transient: another migrator is at work; what is built so far stays.
    """
    with engine.execution_options(isolation_level="AUTOCOMMIT").connect() as alone:
        alone.detach()  # its settings and its lock end with it
        if not alone.scalar(text(f"SELECT pg_try_advisory_lock({ONE_AT_A_TIME})")):
            raise Transient("Another migrator is at work on the registry.", hint="Run it again when it is done.")
        for statement in (
            f"SET ROLE {OWNER}",
            f"SET search_path = {SCHEMA}, pg_temp",
            "SET statement_timeout = 0",
            "SET lock_timeout = 0",
        ):
            alone.exec_driver_sql(statement)
        for found in _INDEX.finditer(script):
            _build_one(alone, found[1], found[0])


def _build_one(connection: Connection, name: str, statement: str) -> None:
    is_whole = connection.scalar(_IS_WHOLE, {"name": f"{SCHEMA}.{name}"})
    if is_whole is False:
        connection.exec_driver_sql(f"DROP INDEX CONCURRENTLY {name}")
    if not is_whole:
        connection.execution_options(no_parameters=True).exec_driver_sql(statement)
