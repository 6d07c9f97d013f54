"""The book of anchors in the registry's database, as a part of the registry on PostgreSQL."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, date, datetime, time
from typing import Any, Final, TypeVar

from sqlalchemy import Connection, Engine, Row, and_, func, insert, or_, select, text, tuple_, update
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.exc import IntegrityError

from tenantctl.adapters.anchor_rules import number_taken, unknown_anchor
from tenantctl.adapters.postgres import schema
from tenantctl.adapters.postgres.registry_engine import answering
from tenantctl.model.anchor import Anchor, AnchorOnRecord, Reconciliation
from tenantctl.model.journal import Head

HEADS_AT_ONCE: Final = 5000
ROWS_AT_ONCE: Final = 1000

Item = TypeVar("Item")
# Whatever brings a registry back from its log, or as another database, changes one of the three.
_IDENTITY: Final = text("""
    SELECT concat_ws('/', (SELECT system_identifier FROM pg_control_system()),
        (SELECT timeline_id FROM pg_control_checkpoint()), oid)
    FROM pg_database WHERE datname = current_database()
""")
_anchors = schema.anchors.c
_heads = schema.anchored_heads.c
_done = schema.reconciliations.c


class PostgresAnchorBook:
    """The port `AnchorBook`.

    Args:
        engine: made by `registry_engine`; the login is a member of `registry_app`.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._single = engine.execution_options(isolation_level="AUTOCOMMIT")

    def identity(self) -> str:
        """System identifier, timeline, and number of the database."""
        with self._statement() as connection:
            return str(connection.scalars(_IDENTITY).one())

    def heads(self) -> Iterator[Head]:
        """The newest link of every chain, by uid: one statement, read through a cursor of the server's."""
        columns = schema.journal_heads.c
        question = select(columns.tenant_uid, columns.sequence, columns.hash).order_by(columns.tenant_uid.collate("C"))
        with answering(), self._engine.connect() as connection:
            rows = connection.execution_options(stream_results=True, yield_per=HEADS_AT_ONCE).execute(question)
            for part in rows.partitions():
                yield from (Head(*row) for row in part)

    def link_hashes(self, links: Sequence[tuple[str, int]]) -> Mapping[tuple[str, int], str]:
        """The hashes of those entries that are there."""
        entries, found = schema.journal.c, {}
        with self._statement() as connection:
            for part in _parts(links):
                question = select(entries.tenant_uid, entries.sequence, entries.hash)
                rows = connection.execute(question.where(tuple_(entries.tenant_uid, entries.sequence).in_(part)))
                found.update({(row.tenant_uid, row.sequence): row.hash for row in rows})
        return found

    def record_anchor(self, anchor: Anchor, *, adopted: bool = False) -> None:
        """Writes an anchor down."""
        values = {
            "digest": anchor.digest,
            "number": anchor.number,
            "made_at": anchor.made_at,
            "content": anchor.to_bytes().decode(),
            "whole": anchor.whole,
            "adopted": adopted,
        }
        statement = upsert(schema.anchors).values(values).on_conflict_do_nothing(index_elements=[_anchors.digest])
        try:
            with self._statement() as connection:
                connection.execute(statement.inline())
        except IntegrityError as error:
            raise number_taken(anchor.number) from error

    def record_sealed(self, digest: str, heads: Sequence[Head]) -> None:
        """Records that two regions hold it, and what of it is asked for."""
        with self._transaction() as connection:
            known = connection.execute(select(_anchors.sealed_at).where(_anchors.digest == digest)).first()
            if known is None:
                raise unknown_anchor(digest)
            unsealed = (_anchors.digest == digest, _anchors.sealed_at.is_(None))
            connection.execute(update(schema.anchors).where(*unsealed).values(sealed_at=schema.now()))
            for part in _parts(heads):
                rows = [{**vars(head), "anchor": digest} for head in part]
                statement = upsert(schema.anchored_heads).values(rows)
                changed = {name: statement.excluded[name] for name in ("anchor", "sequence", "hash")}
                connection.execute(
                    statement.on_conflict_do_update(index_elements=[_heads.tenant_uid], set_=changed).inline()
                )

    def newest_anchor(self, *, whole: bool = False) -> AnchorOnRecord | None:
        """The newest that is sealed or adopted."""
        held = or_(_anchors.sealed_at.is_not(None), _anchors.adopted)
        if whole:
            held = and_(held, _anchors.whole)
        question = select(schema.anchors).where(held).order_by(_anchors.number.desc(), _anchors.digest).limit(1)
        with self._statement() as connection:
            row = connection.execute(question).first()
        return None if row is None else _anchor_of(row)

    def last_anchor_number(self) -> int:
        """The greatest number on record."""
        with self._statement() as connection:
            return int(connection.scalar(select(func.coalesce(func.max(_anchors.number), 0))) or 0)

    def anchors_since(self, day: date | None) -> Sequence[AnchorOnRecord]:
        """The anchors of that day or later."""
        question = select(schema.anchors).order_by(_anchors.number, _anchors.digest)
        if day is not None:
            question = question.where(_anchors.made_at >= datetime.combine(day, time.min, UTC))
        with self._statement() as connection:
            return [_anchor_of(row) for row in connection.execute(question)]

    def anchored_head(self, uid: str) -> Head | None:
        """The head that was recorded."""
        question = select(_heads.tenant_uid, _heads.sequence, _heads.hash).where(_heads.tenant_uid == uid)
        with self._statement() as connection:
            row = connection.execute(question).first()
        return None if row is None else Head(*row)

    def record_reconciliation(self, anchor: str, findings: str, content: str) -> Reconciliation:
        """Records it, with what was found."""
        identity = self.identity()
        values = {"registry": identity, "anchor": anchor, "findings": findings, "content": content}
        columns = (_done.at, _done.actor, _done.registry, _done.anchor, _done.findings)
        with self._transaction() as connection:
            row = connection.execute(insert(schema.reconciliations).values(values).returning(*columns)).one()
        return Reconciliation(*row)

    def newest_reconciliation(self) -> Reconciliation | None:
        """The one recorded last."""
        columns = (_done.at, _done.actor, _done.registry, _done.anchor, _done.findings)
        with self._statement() as connection:
            row = connection.execute(select(*columns).order_by(_done.id.desc()).limit(1)).first()
        return None if row is None else Reconciliation(*row)

    @contextmanager
    def _statement(self) -> Iterator[Connection]:
        with answering(), self._single.connect() as connection:
            yield connection

    @contextmanager
    def _transaction(self) -> Iterator[Connection]:
        with answering(), self._engine.begin() as connection:
            yield connection


def _parts(rows: Sequence[Item]) -> Iterator[Sequence[Item]]:
    return (rows[start : start + ROWS_AT_ONCE] for start in range(0, len(rows), ROWS_AT_ONCE))


def _anchor_of(row: Row[Any]) -> AnchorOnRecord:
    return AnchorOnRecord(Anchor.from_bytes(row.content.encode()), row.sealed_at, row.adopted)
