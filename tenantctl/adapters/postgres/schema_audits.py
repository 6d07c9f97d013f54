"""The tables of audits, as statements are written against them; see `schema`."""

from typing import Final

from sqlalchemy import Column, DateTime, Table, Text

from tenantctl.adapters.postgres.schema import metadata

audits: Final = Table(
    "audits",
    metadata,
    Column("place", Text, primary_key=True),
    Column("begun_at", DateTime(timezone=True)),
    Column("audited_at", DateTime(timezone=True)),
    Column("unseen_since", DateTime(timezone=True)),
    Column("unseen_because", Text, nullable=False),
)

findings: Final = Table(
    "findings",
    metadata,
    Column("place", Text, primary_key=True),
    Column("code", Text, primary_key=True),
    Column("subject", Text, primary_key=True),
    Column("grade", Text, nullable=False),
    Column("sentence", Text, nullable=False),
    Column("remedy", Text, nullable=False),
    Column("since", DateTime(timezone=True), nullable=False),
    Column("cleared_at", DateTime(timezone=True)),
)
