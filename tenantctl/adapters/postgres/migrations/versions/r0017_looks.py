"""Looks at many tenants together that read nothing of what is over."""

from typing import Final

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None
phase = "expand"
built_beside = True

_SCRIPTS: Final = ("0017_looks.sql",)


def upgrade() -> None:
    """Its indexes stand by now: see `migrations/beside.py`."""
