"""Cheaper claims: only lanes with something due are stepped through, and a claim writes to one index less."""

from pathlib import Path
from typing import Final

from alembic import op

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None
phase = "expand"

_SQL: Final = Path(__file__).resolve().parents[1] / "sql"
_SCRIPTS: Final = ("0016_claims.sql",)


def upgrade() -> None:
    # The driver is given no parameters, so that a colon or a percent sign in a script is only what it says.
    connection = op.get_bind().execution_options(no_parameters=True)
    for script in _SCRIPTS:
        connection.exec_driver_sql((_SQL / script).read_text(encoding="utf-8"))
