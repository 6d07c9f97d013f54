"""The book of audits in the registry's database, as a part of the registry on PostgreSQL."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import Connection, Row, func, null, or_, select, text, update
from sqlalchemy.dialects.postgresql import insert as upsert

from tenantctl.adapters.postgres import schema
from tenantctl.adapters.postgres.anchors import PostgresAnchorBook
from tenantctl.adapters.postgres.registry_reads import IS_DEAD
from tenantctl.adapters.postgres.registry_rows import copy_of, tenant_of
from tenantctl.adapters.postgres.schema_audits import audits, findings
from tenantctl.model.backup import RetentionClass
from tenantctl.model.finding import Changes, Grade, GradedFinding, PlaceAudited
from tenantctl.model.tenant import Tenant
from tenantctl.ports.audits import LedgerLine

# From one bucket to the next in the index of what is on record: as many steps as there are buckets.
_BUCKETS: Final = text("""
    WITH RECURSIVE found AS (
        (SELECT bucket, region FROM registry.copies
         WHERE state IN ('intended', 'written', 'lost') ORDER BY bucket LIMIT 1)
        UNION ALL
        SELECT following.bucket, following.region FROM found CROSS JOIN LATERAL (
            SELECT bucket, region FROM registry.copies
            WHERE state IN ('intended', 'written', 'lost') AND bucket > found.bucket ORDER BY bucket LIMIT 1
        ) AS following
    )
    SELECT bucket, region FROM found
""")
# The state is written out as in the index, since a parameter could not be seen to mean the same.
_IS_OPEN: Final = text("registry.copies.state IN ('intended', 'written', 'lost')")
_copies = schema.copies.c
_NAME: Final = _copies.object_name.collate("C")


class PostgresAuditBook(PostgresAnchorBook):
    """The port `AuditBook`, beside that of the anchors."""

    def hosted(self, instance: str) -> Sequence[Tenant]:
        """The tenants placed on an instance that are not destroyed, by uid."""
        columns = schema.tenants.c
        question = select(schema.tenants).where(columns.instance == instance, ~IS_DEAD)
        with self._statement() as connection:
            return [tenant_of(row) for row in connection.execute(question.order_by(columns.uid.collate("C")))]

    def ledger_buckets(self) -> Mapping[str, str]:
        """The buckets that have copies on record, each with its region."""
        with self._statement() as connection:
            return {row.bucket: row.region for row in connection.execute(_BUCKETS)}

    def ledger(self, bucket: str, *, after: str, limit: int) -> Sequence[LedgerLine]:
        """The copies on record in a bucket that have not lapsed, from after a name."""
        question = _lines().where(_copies.bucket == bucket, _IS_OPEN, after < _NAME).order_by(_NAME).limit(limit)
        with self._statement() as connection:
            return [_line_of(row) for row in connection.execute(question)]

    def ledger_line(self, bucket: str, object_name: str) -> LedgerLine | None:
        """The copy on record of this name; found by its backup, whose id is a part of the name."""
        _, _, rest = object_name.partition("/")
        is_it = (_copies.backup_id == rest.partition("/")[0], _copies.bucket == bucket)
        with self._statement() as connection:
            row = connection.execute(_lines().where(*is_it, _copies.object_name == object_name)).first()
            return None if row is None else _line_of(row)

    def begin_audit(self, place: str, *, unless_within: timedelta) -> bool:
        """Whether nobody has begun an audit of the place within so long a time."""
        beginning = upsert(audits).values(place=place, begun_at=schema.now(), unseen_because="")
        is_long_ago = or_(audits.c.begun_at.is_(None), audits.c.begun_at <= schema.now() - unless_within)
        again = beginning.on_conflict_do_update(
            index_elements=[audits.c.place], set_={"begun_at": schema.now()}, where=is_long_ago
        )
        with self._statement() as connection:
            return connection.execute(again.returning(audits.c.place)).first() is not None

    def record_audit(self, place: str, findings: Sequence[GradedFinding]) -> Changes:
        """Writes that a place was looked at in full, and that these are its findings now."""
        seen = {"audited_at": schema.now(), "unseen_since": None, "unseen_because": ""}
        statement = upsert(audits).values(place=place, **seen)
        with self._transaction() as connection:
            # The row is locked from here on: of two audits at once, the second one compares with what the first wrote.
            connection.execute(statement.on_conflict_do_update(index_elements=[audits.c.place], set_=seen))
            before = {one.key: one for one in _open(connection, place)}
            now_open = {one.key: one for one in findings}
            cleared = [one for key, one in before.items() if key not in now_open]
            for one in cleared:
                _clear(connection, one)
            opened = [
                _opened(connection, one, known=before.get(key))
                for key, one in now_open.items()
                if before.get(key) != one
            ]
            return Changes(tuple(one for one in opened if one.key not in before), tuple(cleared))

    def record_unseen(self, place: str, reason: str) -> datetime:
        """Writes that a place could not be looked at."""
        values = {"unseen_since": schema.now(), "unseen_because": reason}
        again = {"unseen_since": func.coalesce(audits.c.unseen_since, schema.now()), "unseen_because": reason}
        statement = upsert(audits).values(place=place, **values)
        statement = statement.on_conflict_do_update(index_elements=[audits.c.place], set_=again)
        with self._statement() as connection:
            since: datetime = connection.execute(statement.returning(audits.c.unseen_since)).scalar_one()
            return since

    def audits(self) -> Sequence[PlaceAudited]:
        """Every place that was ever audited or could not be, by name."""
        columns = audits.c
        question = select(columns.place, columns.audited_at, columns.unseen_since, columns.unseen_because)
        with self._statement() as connection:
            return [PlaceAudited(*row) for row in connection.execute(question.order_by(columns.place.collate("C")))]

    def findings(self) -> Sequence[GradedFinding]:
        """The open findings of all places."""
        with self._statement() as connection:
            return _open(connection)


def _lines() -> Any:
    backups = schema.backups.c
    return select(schema.copies, backups.retention_class).join(schema.backups, backups.id == _copies.backup_id)


def _line_of(row: Row[Any]) -> LedgerLine:
    return LedgerLine(copy_of(row), RetentionClass(row.retention_class))


def _open(connection: Connection, place: str | None = None) -> Sequence[GradedFinding]:
    columns = findings.c
    question = select(
        columns.code, columns.grade, columns.place, columns.subject, columns.sentence, columns.remedy, columns.since
    ).where(columns.cleared_at.is_(None))
    if place is not None:
        question = question.where(columns.place == place)
    in_order = question.order_by(*(one.collate("C") for one in (columns.place, columns.code, columns.subject)))
    return [GradedFinding(row[0], Grade(row[1]), *row[2:]) for row in connection.execute(in_order)]


def _clear(connection: Connection, finding: GradedFinding) -> None:
    columns = findings.c
    this = (columns.place == finding.where, columns.code == finding.code, columns.subject == finding.subject)
    connection.execute(update(findings).where(*this).values(cleared_at=schema.now()))


def _opened(connection: Connection, finding: GradedFinding, *, known: GradedFinding | None) -> GradedFinding:
    """Writes a finding as it is now; its `since` is its first day's, unless it was closed in between."""
    words = {"grade": finding.grade.value, "sentence": finding.sentence, "remedy": finding.remedy}
    keys = {"place": finding.where, "code": finding.code, "subject": finding.subject}
    again: dict[str, Any] = {**words, "cleared_at": null()}
    if known is None:
        again["since"] = schema.now()
    statement = upsert(findings).values(**keys, **words)
    written = statement.on_conflict_do_update(index_elements=list(findings.primary_key), set_=again)
    since = connection.execute(written.returning(findings.c.since)).scalar_one()
    return GradedFinding(**{**vars(finding), "since": since})
