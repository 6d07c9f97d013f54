"""What is to be thought of one backup in one bucket: the ledger's line, what the bucket lists, and its own terms. Pure.

Nothing here says that a store is wrong because it was silent: whoever calls this has been answered.
"""

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import Final

from tenantctl.backups.audit import COPY_LOST, COPY_OVERDUE
from tenantctl.model.backup import Copy, CopyState, manifest_name
from tenantctl.model.calendar import rfc3339
from tenantctl.model.finding import Grade, GradedFinding
from tenantctl.ports.audits import LedgerLine
from tenantctl.ports.vault import BucketSeen, ObjectSeen

COPY_RETURNED: Final = "copy-returned"
COPY_TERMS: Final = "copy-terms"
COPY_HOLD: Final = "copy-hold"
MANIFEST_MISSING: Final = "manifest-missing"
OBJECT_UNKNOWN: Final = "object-unknown"
A_DAY: Final = timedelta(days=1)

_INCIDENT: Final = "Treat this as an incident: see who could write or delete there, and keep the other copies."


def folder_of(name: str) -> str:
    """What keeps a backup's objects together: the first two parts of their names; a stray name is its own.

    It keeps the order: of two names by their bytes, the first has the first folder, or both have the same.
    """
    parts = name.split("/", 2)
    return name if len(parts) < 3 else f"{parts[0]}/{parts[1]}/"


def copy_findings(
    folder: str,
    line: LedgerLine | None,
    objects: Mapping[str, ObjectSeen],
    terms: BucketSeen,
    *,
    where: str,
    now: datetime,
) -> Iterator[GradedFinding]:
    """Everything in which the ledger and a bucket differ over one backup.

    Args:
        folder: of the backup's objects.
        line: what is on record of the copy; None if nothing is.
        objects: what the bucket has in the folder, by full name.
        terms: the bucket's own.
        where: the place, as findings name it.
        now: the registry's time.
    """
    if line is None:
        if objects:
            sentence = f"{len(objects)} objects lie there, and no line of the ledger knows them"
            remedy = "Find out who wrote them. Its bucket deletes them in time; nobody can do so earlier."
            yield GradedFinding(OBJECT_UNKNOWN, Grade.WARNING, where, folder, sentence, remedy)
        return
    copy = line.copy
    if copy.state in {CopyState.LAPSED, CopyState.ABSENT}:
        if objects:
            sentence = f"the ledger has it {copy.state}, and {len(objects)} objects of it are there"
            remedy = "What was said of it is not true: find the certificates that name it, and who brought it back."
            yield GradedFinding(COPY_RETURNED, Grade.CRITICAL, where, copy.object_name, sentence, remedy)
        return
    if copy.state is not CopyState.WRITTEN:
        return  # it is being written, or known to be lost: both are looked at elsewhere
    dump = objects.get(copy.object_name)
    if dump is None:
        if now < copy.lapses_at or copy.held_at is not None:
            kept = "is held" if now >= copy.lapses_at else f"stays until {rfc3339(copy.lapses_at)}"
            sentence = f"the ledger has it, it {kept}, and the bucket has it not"
            yield GradedFinding(COPY_LOST, Grade.CRITICAL, where, copy.object_name, sentence, _INCIDENT)
        return
    yield from _content(copy, dump, where)
    yield from _time(line, dump, terms, where=where, now=now)
    yield from _hold(copy, dump, where)
    settled = copy.written_at is not None and copy.written_at + A_DAY < now < copy.lapses_at
    if settled and manifest_name(copy.object_name) not in objects:
        sentence, remedy = "its manifest is not beside it", "The copy itself is whole; read it back, and see who could."
        yield GradedFinding(MANIFEST_MISSING, Grade.WARNING, where, copy.object_name, sentence, remedy)


def _content(copy: Copy, dump: ObjectSeen, where: str) -> Iterator[GradedFinding]:
    if (dump.size, dump.crc32c) != (copy.size, copy.crc32c):
        sentence = (
            f"it has {dump.size} bytes of CRC-32C {dump.crc32c}, and was written with {copy.size} of {copy.crc32c}"
        )
        yield GradedFinding(COPY_LOST, Grade.CRITICAL, where, copy.object_name, sentence, _INCIDENT)


def _time(
    line: LedgerLine, dump: ObjectSeen, terms: BucketSeen, *, where: str, now: datetime
) -> Iterator[GradedFinding]:
    copy = line.copy
    if now > copy.unreadable_after and not copy.may_be_held:
        sentence = f"it should have lapsed by {rfc3339(copy.unreadable_after)}, and is there"
        remedy = "See whether the bucket's lifecycle runs, and what holds it; no certificate may say that it is gone."
        yield GradedFinding(COPY_OVERDUE, Grade.CRITICAL, where, copy.object_name, sentence, remedy)
    if f"-{line.retention_class}-" not in copy.bucket:
        sentence = f"a {line.retention_class} backup lies in the bucket of another class"
        remedy = "Its ledger line says when it goes: compare that with the promise, and find out who wrote it."
        yield GradedFinding(COPY_TERMS, Grade.WARNING, where, copy.object_name, sentence, remedy)
    locked_days = terms.lock_days or 0
    locked_for = dump.retained_until - dump.created_at if dump.retained_until else timedelta(0)
    if locked_for + A_DAY <= timedelta(days=locked_days):
        sentence = f"it is locked for {locked_for // A_DAY} days where its bucket locks for {locked_days}"
        yield GradedFinding(COPY_TERMS, Grade.CRITICAL, where, copy.object_name, sentence, _INCIDENT)
    elif terms.age_days is not None and not copy.off_cloud:
        goes_at = dump.created_at + timedelta(days=terms.age_days)
        if goes_at > copy.lapses_at + A_DAY:
            sentence = f"its bucket keeps it until {rfc3339(goes_at)}, the ledger says {rfc3339(copy.lapses_at)}"
            remedy = (
                "It was written again, or the bucket's age was raised: no certificate may rest on the ledger's date."
            )
            yield GradedFinding(COPY_TERMS, Grade.CRITICAL, where, copy.object_name, sentence, remedy)


def _hold(copy: Copy, dump: ObjectSeen, where: str) -> Iterator[GradedFinding]:
    if copy.held_at is not None and not dump.held:
        sentence, remedy = (
            "the law wants it kept, and its hold was let go",
            "The next run holds it again: see who let it go.",
        )
        yield GradedFinding(COPY_HOLD, Grade.CRITICAL, where, copy.object_name, sentence, remedy)
    elif dump.held and not copy.may_be_held:
        sentence = "it is held, and nobody on record asked for that: it will outlive its term"
        remedy = "Find out who held it and why: a legal hold is placed with tenantctl hold place, and nowhere else."
        yield GradedFinding(COPY_HOLD, Grade.WARNING, where, copy.object_name, sentence, remedy)
