"""The tables of billing's events and of the outbox, as statements are written against them; see `schema`."""

from typing import Final

from sqlalchemy import BigInteger, Column, DateTime, FetchedValue, Table, Text

from tenantctl.adapters.postgres.schema import metadata

billing_events: Final = Table(
    "billing_events",
    metadata,
    Column("source", Text, primary_key=True),
    Column("id", Text, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("subscription", Text, nullable=False),
    Column("tenant_uid", Text, nullable=False),
    Column("sequence", BigInteger, nullable=False),
    Column("said_at", DateTime(timezone=True), nullable=False),
    Column("cause", Text, nullable=False),
    Column("instructing_party", Text, nullable=False),
    Column("effective_at", DateTime(timezone=True)),
    Column("digest", Text, nullable=False),
    Column("outcome", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("recorded_at", DateTime(timezone=True), nullable=False),
    Column("actor", Text, nullable=False),
)

subscriptions: Final = Table(
    "subscriptions",
    metadata,
    Column("subscription", Text, primary_key=True),
    Column("tenant_uid", Text, nullable=False),
    Column("sequence", BigInteger, nullable=False),
    Column("kind", Text, nullable=False),
    Column("leaves_at", DateTime(timezone=True)),
    Column("cause", Text, nullable=False),
    Column("instructing_party", Text, nullable=False),
    Column("known", BigInteger, nullable=False),
)

dead_letters: Final = Table(
    "dead_letters",
    metadata,
    Column("id", BigInteger, FetchedValue(), primary_key=True, autoincrement=False),
    Column("digest", Text, nullable=False),
    Column("fault", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("body", Text, nullable=False),
    Column("received_at", DateTime(timezone=True), nullable=False),
    Column("tries", BigInteger, nullable=False),
    Column("settled_at", DateTime(timezone=True)),
    Column("settled_as", Text),
)

outbox: Final = Table(
    "outbox",
    metadata,
    Column("id", BigInteger, FetchedValue(), primary_key=True, autoincrement=False),
    Column("tenant_uid", Text, nullable=False),
    Column("told", Text, nullable=False),
    Column("content", Text, nullable=False),
    Column("written_at", DateTime(timezone=True), nullable=False),
    Column("published_at", DateTime(timezone=True)),
)
