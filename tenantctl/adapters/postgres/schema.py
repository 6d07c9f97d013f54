"""The registry's tables as statements are written against them.

The migrations make the tables, with their constraints, triggers and privileges; a test holds these definitions against
what the migrations made.
"""

from datetime import datetime
from typing import Final

from sqlalchemy import (
    ARRAY,
    BigInteger,
    Boolean,
    Column,
    DateTime,
    Double,
    FetchedValue,
    Integer,
    MetaData,
    SmallInteger,
    Table,
    Text,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.sql import func
from sqlalchemy.sql.functions import Function

SCHEMA: Final = "registry"
metadata: Final = MetaData(schema=SCHEMA)


def now() -> Function[datetime]:
    """The registry's time, at the beginning of the statement."""
    moment: Function[datetime] = func.registry.tenantctl_now(type_=DateTime(timezone=True))
    return moment


def _text(name: str, *, key: bool = False, null: bool = False) -> Column[str]:
    return Column(name, Text, primary_key=key, nullable=null)


def _moment(name: str, *, null: bool = False) -> Column[object]:
    return Column(name, DateTime(timezone=True), nullable=null)


instances: Final = Table(
    "instances",
    metadata,
    _text("name", key=True),
    _text("region"),
    _text("role"),
    Column("databases_max", Integer, nullable=False),
    _moment("added_at"),
    _text("added_by"),
    Column("connections_max", Integer),
    Column("bytes_max", BigInteger),
    _text("state"),
)

transitions: Final = Table("transitions", metadata, _text("source", key=True), _text("target", key=True))

clock: Final = Table(
    "clock", metadata, Column("only_row", Boolean, primary_key=True), Column("movable", Boolean, nullable=False)
)

tenants: Final = Table(
    "tenants",
    metadata,
    _text("uid", key=True),
    _text("name", null=True),
    _text("state"),
    _text("wanted"),
    Column("intent_id", BigInteger, nullable=False),
    _moment("intent_effective_at"),
    _text("time_zone"),
    _text("region"),
    _text("instance", null=True),
    Column("generation", Integer, nullable=False),
    Column("connection_limit", Integer, nullable=False),
    Column("extensions", ARRAY(Text), nullable=False),
    _moment("created_at"),
    _moment("logins_closed_at", null=True),
    _moment("destroy_after", null=True),
    _moment("destroyed_at", null=True),
    _text("restored_from_backup", null=True),
    _text("restored_from_tenant", null=True),
    _moment("restored_at", null=True),
    _moment("due_at"),
    _text("due_duty"),
    _moment("wake_at", null=True),
    _text("lease_owner", null=True),
    _moment("lease_until", null=True),
    Column("lease_intent_id", BigInteger),
    Column("lease_epoch", BigInteger, nullable=False),
    _text("kept_in", null=True),
    Column("size", BigInteger, nullable=False),
    Column("danger", SmallInteger, nullable=False),
    Column("failures", Integer, nullable=False),
    *(_moment(name, null=True) for name in ("leased_at", "parked_at", "parked_until")),
    _text("parked_because", null=True),
)

quotas: Final = Table(
    "quotas", metadata, _text("name", key=True), Column("tokens", Double, nullable=False), _moment("refilled_at")
)

intents: Final = Table(
    "intents",
    metadata,
    _text("tenant_uid", key=True),
    Column("id", BigInteger, primary_key=True, autoincrement=False),
    _text("kind"),
    _text("cause"),
    _text("instructing_party"),
    _moment("effective_at"),
    _moment("requested_at"),
    _text("actor"),
)

placements: Final = Table(
    "placements",
    metadata,
    _text("tenant_uid", key=True),
    Column("generation", Integer, primary_key=True, autoincrement=False),
    Column("explanation", JSONB, nullable=False),
)

moves: Final = Table(
    "moves",
    metadata,
    _text("tenant_uid", key=True),
    Column("generation", Integer, primary_key=True, autoincrement=False),
    _text("region"),
    _text("instance"),
    _text("source_region"),
    _text("source_instance"),
    Column("source_generation", Integer, nullable=False),
    _text("cause"),
    _text("instructing_party"),
    _moment("requested_at"),
    _moment("not_before", null=True),
    _text("verifier", null=True),
    _text("schema_digest", null=True),
    _text("undo_because", null=True),
    _moment("cut_over_at", null=True),
    _moment("ended_at", null=True),
    _text("dumped_because", null=True),
    Column("expected_seconds", Integer),
    Column("accepted_seconds", Integer),
    _moment("fenced_at", null=True),
)

backups: Final = Table(
    "backups",
    metadata,
    _text("id", key=True),
    _text("tenant_uid"),
    _text("slot"),
    _text("retention_class"),
    _text("state"),
    _moment("begun_at"),
    _moment("completed_at", null=True),
    _moment("verified_at", null=True),
    _text("verified_level", null=True),
    Column("tables", Integer),
    Column("rows", BigInteger),
    Column("size", BigInteger),
    _text("sha256", null=True),
    _text("recipient", null=True),
    Column("forced_row_security", ARRAY(Text), nullable=False),
)

copies: Final = Table(
    "copies",
    metadata,
    _text("backup_id", key=True),
    _text("region", key=True),
    _text("tenant_uid"),
    _text("bucket"),
    _text("object_name"),
    _text("state"),
    _moment("intended_at"),
    _moment("lapses_at"),
    _moment("unreadable_after"),
    Column("size", BigInteger),
    _text("crc32c", null=True),
    _moment("written_at", null=True),
    _moment("seen_at", null=True),
    _text("wrapped_key", null=True),
    _moment("verified_at", null=True),
    _text("verified_level", null=True),
    Column("repairs", Integer, nullable=False),
    _moment("held_at", null=True),
    _moment("hold_asked_at", null=True),
)

residues: Final = Table(
    "residues",
    metadata,
    _text("tenant_uid", key=True),
    _text("id", key=True),
    _text("kind"),
    _text("place"),
    _moment("made_at"),
    _moment("unreadable_after", null=True),
    _moment("lapsed_at", null=True),
    _text("proof", null=True),
)

alarms: Final = Table(
    "alarms",
    metadata,
    _text("tenant_uid", key=True),
    _text("code", key=True),
    _text("reason"),
    _moment("since"),
    _moment("cleared_at", null=True),
)

journal_heads: Final = Table(
    "journal_heads",
    metadata,
    _text("tenant_uid", key=True),
    Column("sequence", BigInteger, nullable=False),
    _text("hash"),
)

journal: Final = Table(
    "journal",
    metadata,
    _text("tenant_uid", key=True),
    # The trigger fills it in, as all that follows but event, plan_digest and body.
    Column("sequence", BigInteger, FetchedValue(), primary_key=True, autoincrement=False),
    _moment("at"),
    _text("actor"),
    _text("event"),
    _text("plan_digest"),
    _text("body"),
    _text("previous"),
    _text("hash"),
)

freezes: Final = Table(
    "freezes",
    metadata,
    Column("id", BigInteger, FetchedValue(), primary_key=True, autoincrement=False),
    _text("scope"),
    _text("reason"),
    _moment("placed_at"),
    _text("placed_by"),
    _moment("ended_at", null=True),
    _text("ended_by", null=True),
    _text("ended_because", null=True),
)

holds: Final = Table(
    "holds",
    metadata,
    Column("id", BigInteger, FetchedValue(), primary_key=True, autoincrement=False),
    _text("tenant_uid"),
    _text("case_reference"),
    _moment("review_by"),
    _moment("placed_at"),
    _text("placed_by"),
    _moment("ended_at", null=True),
    _text("ended_by", null=True),
    _text("ended_because", null=True),
)

proposals: Final = Table(
    "proposals",
    metadata,
    _text("digest", key=True),
    _text("kind"),
    _text("tenant_uid", null=True),
    _text("content"),
    _moment("made_at"),
    _text("made_by"),
    _moment("expires_at"),
    _moment("spent_at", null=True),
)

approvals: Final = Table(
    "approvals",
    metadata,
    _text("digest", key=True),
    Column("actor", Text, FetchedValue(), primary_key=True),
    _moment("at"),
)

acts: Final = Table(
    "acts",
    metadata,
    Column("id", BigInteger, FetchedValue(), primary_key=True, autoincrement=False),
    _text("tenant_uid"),
    _text("act"),
    _text("region"),
    _moment("at"),
    _text("batch", null=True),
)

notices: Final = Table(
    "notices",
    metadata,
    Column("id", BigInteger, FetchedValue(), primary_key=True, autoincrement=False),
    _text("tenant_uid"),
    _text("kind"),
    _moment("closing"),
    _moment("destroy_after"),
    _moment("written_at"),
    _moment("delivered_at", null=True),
    _text("delivered_by", null=True),
    _text("failure", null=True),
)

anchors: Final = Table(
    "anchors",
    metadata,
    _text("digest", key=True),
    Column("number", BigInteger, nullable=False),
    _moment("made_at"),
    _text("content"),
    Column("whole", Boolean, nullable=False),
    Column("adopted", Boolean, nullable=False),
    _moment("recorded_at"),
    _text("recorded_by"),
    _moment("sealed_at", null=True),
)

anchored_heads: Final = Table(
    "anchored_heads",
    metadata,
    _text("tenant_uid", key=True),
    _text("anchor"),
    Column("sequence", BigInteger, nullable=False),
    _text("hash"),
)

reconciliations: Final = Table(
    "reconciliations",
    metadata,
    Column("id", BigInteger, FetchedValue(), primary_key=True, autoincrement=False),
    _moment("at"),
    _text("actor"),
    _text("registry"),
    _text("anchor"),
    _text("findings"),
    _text("content"),
)
