"""What a certificate says, from what is on record. Pure.

Nothing is said that was not observed and written down when it was. Of the journal only those events are quoted that a
certificate rests on, and of these only entries with nothing in them but what is listed here: whatever else a tenant's
chain may hold (requests and their references, alarms, holds and their cases, the people who approved) stays in it.
"""

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, TypeAlias

from tenantctl.custody.certificate_document import (
    BackupMade,
    Certificate,
    Counts,
    Journal,
    Latest,
    Life,
    Place,
    Quote,
    RegionNamed,
    Subject,
    written_moment,
)
from tenantctl.model.backup import Backup, Residue, ResidueKind
from tenantctl.model.errors import Refused
from tenantctl.model.journal import Entry, Head, broken_links
from tenantctl.model.lifecycle import LIVING, Event, State
from tenantctl.model.region import Region
from tenantctl.model.tenant import Instance, Tenant

# event: all that an entry may say and still be quoted
QUOTED: Final[Mapping[str, frozenset[str]]] = {
    Event.CANCELLATION_EFFECTIVE: frozenset({"intent", "from", "to", "comment"}),
    "logins-closed": frozenset({"closed_at", "destroy_after"}),
    "backup-complete": frozenset({"backup", "slot", "retention_class", "size", "sha256", "regions", "missing"}),
    "backup-verified": frozenset({"backup", "region", "level", "tables", "rows"}),
    Event.FINAL_BACKUP_VERIFIED: frozenset({"destroy_after", "from", "to", "comment"}),
    Event.DATABASE_GONE: frozenset({"evidence", "from", "to", "comment"}),
    "former-database-gone": frozenset({"evidence"}),
    "copy-lapsed": frozenset({"backup", "region", "evidence"}),
    "copy-absent": frozenset({"backup", "region", "evidence"}),
    "copy-lost": frozenset({"backup", "region", "evidence"}),
    "key-shredded": frozenset({"backup", "regions", "absent_at", "unreadable_after"}),
    "place-lapsed": frozenset({"place", "kind", "proof"}),
    "names-blanked": frozenset({"unreadable_after"}),
    Event.RESIDUE_LAPSED: frozenset({"places", "from", "to", "comment"}),
}
HOLD_PLACED: Final = "hold-placed"
HOLD_RELEASED: Final = "hold-released"
NAME_LENGTH_MAX: Final = 200
Claim: TypeAlias = tuple[str, ...]
# Windows of the platform, and buckets that nobody holds anything in: nothing that anybody decides makes them longer.
PASSES_BY_ITSELF: Final = frozenset(
    {ResidueKind.INSTANCE_BACKUPS, ResidueKind.REGISTRY_BACKUPS, ResidueKind.KEY_BACKUPS, ResidueKind.EXPORT}
)


@dataclass(frozen=True)
class Record:
    """All that is on record of a tenant, read at one state of its chain, and where its places can be."""

    tenant: Tenant
    backups: Sequence[Backup]
    residues: Sequence[Residue]
    entries: Sequence[Entry]
    head: Head | None
    instances: Sequence[Instance]
    regions: Sequence[Region]


def refuse_uncertifiable(tenant: Tenant) -> None:
    """Only what was destroyed is certified.

    Raises:
        Refused: the tenant lives, its destruction is not confirmed, or there never was a database.
    """
    if tenant.state in LIVING:
        until = f", which is not before {tenant.destroy_after:%Y-%m-%d %H:%M} UTC" if tenant.destroy_after else ""
        raise Refused(
            f"Tenant {tenant.label} is {tenant.state}: nothing of it was destroyed that could be certified.",
            hint=f"A certificate can be issued once it is destroyed{until}, and again once it is forgotten.",
        )
    if tenant.state is State.DESTROYING:
        raise Refused(
            f"The destruction of tenant {tenant.label} has begun, and its end has not been seen yet.",
            hint=f"Finish it: tenantctl run --tenant {tenant.label}. Then ask again.",
        )
    if tenant.destroyed_at is None:
        raise Refused(f"Tenant {tenant.label} never had a database: there was nothing to destroy.")


def certify(record: Record, *, now: datetime, issuer: str, stated_name: str | None = None) -> Certificate:
    """What can be certified of a tenant now.

    Args:
        record: what is known of it.
        now: the registry's time.
        issuer: who certifies, as customers know them.
        stated_name: the name as who asks states it; needed only where it is on record no more.

    Raises:
        Refused: there is nothing to certify, the journal is broken, or the name is another than the one on record.
    """
    tenant = record.tenant
    refuse_uncertifiable(tenant)
    for fault in broken_links(record.entries, record.head):
        raise Refused(f"No certificate can rest on a broken journal: {fault}.", hint="See: tenantctl journal verify")
    assert tenant.destroyed_at is not None, "it was refused otherwise"
    assert record.head is not None, "a chain without a head was refused"
    quoted = [entry for entry in record.entries if may_be_quoted(entry)]
    held = _is_held(record.entries) or any(copy.may_be_held for backup in record.backups for copy in backup.copies)
    evidence = _evidence(quoted)
    places = [_place(residue, record, evidence, held=held, now=now) for residue in record.residues]
    forgotten = _newest(quoted, Event.RESIDUE_LAPSED)
    remaining = [place for place in places if place.state == "remains"]
    mentioned = {tenant.hosting.region, *(place.region for place in places)}
    return Certificate(
        version=1,
        kind="certificate-of-destruction",
        state="forgotten" if tenant.state is State.FORGOTTEN else "destroyed",
        issued_at=written_moment(now),
        issuer=_printable(issuer, "issuer"),
        tenant=_subject(tenant, stated_name),
        life=Life(
            created_at=written_moment(tenant.created_at),
            logins_closed_at=_moment(tenant.logins_closed_at),
            destroyed_at=written_moment(tenant.destroyed_at),
            forgotten_at=written_moment(forgotten.at) if forgotten else None,
        ),
        regions=[
            RegionNamed(id=one.id, city=one.city, country=one.country) for one in record.regions if one.id in mentioned
        ],
        backups=[_backup(backup) for backup in record.backups],
        places=places,
        latest=latest_of([place.latest for place in remaining if place.latest]),
        counts=Counts(
            backups=len(record.backups),
            places=len(places),
            gone=len(places) - len(remaining),
            remaining=len(remaining),
            quoted=len(quoted),
        ),
        journal=Journal(length=record.head.sequence, head=record.head.hash, quoted=[_quote(entry) for entry in quoted]),
    )


def may_be_quoted(entry: Entry) -> bool:
    """Whether a certificate may show this entry: its event is listed, and it says nothing beyond what is listed."""
    allowed = QUOTED.get(entry.event)
    return allowed is not None and set(json.loads(entry.body)) <= allowed


def latest_of(dates: Iterable[Latest]) -> Latest | None:
    """The latest of several latest dates; it is final only if all of them are. None of none."""
    found = list(dates)
    if not found:
        return None
    is_final = all(one.kind == "final" for one in found)
    return Latest(date=max(one.date for one in found), kind="final" if is_final else "not-before")


def claims_of_an_entry(event: str, body: Mapping[str, Any]) -> frozenset[Claim]:
    """What an entry says is gone, each with the proof that it names; as `claims_of_a_place` puts it for a place."""
    match event:
        case Event.DATABASE_GONE | "former-database-gone":
            return frozenset({_claim(ResidueKind.DATABASE, body.get("evidence"))})
        case "copy-lapsed" | "copy-absent" | "copy-lost":
            return frozenset({_claim(ResidueKind.COPY, body.get("backup"), body.get("region"), body.get("evidence"))})
        case "key-shredded":
            regions = body.get("regions")
            named = regions if isinstance(regions, list) else []
            return frozenset(_claim(ResidueKind.KEY, body.get("backup"), region) for region in named)
        case "place-lapsed":
            return frozenset({_claim(body.get("place"), body.get("proof"))})
    return frozenset()


def claims_of_a_place(kind: str, place_id: str, proof: str | None) -> tuple[Claim, ...]:
    """The claims of which an entry must make one to say that this place is gone, the more particular first.

    A copy's place has its backup and region second and third; made again, it has a number behind them.
    """
    parts = place_id.split("/")
    particular = {
        ResidueKind.DATABASE: _claim(kind, proof),
        ResidueKind.COPY: _claim(kind, *parts[1:3], proof),
        ResidueKind.KEY: _claim(kind, *parts[1:3]),
    }
    own = [claim for of_kind, claim in particular.items() if of_kind == kind]
    return (*own, _claim(place_id, proof))


def _claim(*parts: object) -> Claim:
    return tuple(str(part) for part in parts)


def _place(residue: Residue, record: Record, evidence: Mapping[Claim, int], *, held: bool, now: datetime) -> Place:
    is_gone = residue.lapsed_at is not None
    claims = claims_of_a_place(residue.kind.value, residue.id, residue.proof)
    said = [evidence[claim] for claim in claims if claim in evidence]
    return Place(
        id=residue.id,
        kind=residue.kind.value,
        place=residue.place,
        region=_region(residue, record),
        made_at=written_moment(residue.made_at),
        state="gone" if is_gone else "remains",
        gone_at=_moment(residue.lapsed_at),
        proof=residue.proof,
        entry=said[0] if is_gone and said else None,
        latest=None if is_gone else _latest(residue, held=held, now=now),
    )


def _latest(residue: Residue, *, held: bool, now: datetime) -> Latest:
    """Its date; where something keeps it longer, or its date has passed unseen, only what the date is not before."""
    until = residue.unreadable_after
    if until is None or until <= now or (held and residue.kind not in PASSES_BY_ITSELF):
        return Latest(date=written_moment(max(until or now, now)), kind="not-before")
    return Latest(date=written_moment(until), kind="final")


def _evidence(quoted: Iterable[Entry]) -> dict[Claim, int]:
    """The newest entry that makes each claim."""
    found: dict[Claim, int] = {}
    for entry in quoted:
        found.update(dict.fromkeys(claims_of_an_entry(entry.event, json.loads(entry.body)), entry.sequence))
    return found


def _region(residue: Residue, record: Record) -> str | None:
    """Where a place is: some name their region, others an instance; the registry's is nobody's."""
    parts = residue.id.split("/")
    if residue.kind in {ResidueKind.COPY, ResidueKind.KEY, ResidueKind.EXPORT}:
        return parts[2]
    named = {residue.place.split("/")[0], *parts[1:2]}
    return next((instance.region for instance in record.instances if instance.name in named), None)


def _is_held(entries: Sequence[Entry]) -> bool:
    """Whether the law keeps something of the tenant: more holds were placed than were released."""
    events = Counter(entry.event for entry in entries)
    return events[HOLD_PLACED] > events[HOLD_RELEASED]


def _subject(tenant: Tenant, stated: str | None) -> Subject:
    if stated is not None and tenant.name not in {None, stated}:
        raise Refused(
            f"Tenant {tenant.uid} is {tenant.name!r} on record, and no certificate says {stated!r}.",
            hint="Leave --name out while the name is on record.",
        )
    if tenant.name is not None:
        return Subject(uid=tenant.uid, name=tenant.name, name_source="record")
    if stated is not None:
        return Subject(uid=tenant.uid, name=_printable(stated, "name"), name_source="stated")
    return Subject(uid=tenant.uid, name=None, name_source="none")


def _printable(text: str, what: str) -> str:
    if not text.strip() or not text.isprintable() or len(text) > NAME_LENGTH_MAX:
        raise Refused(
            f"{text!r} cannot be the {what} on a certificate.", hint=f"One line, {NAME_LENGTH_MAX} letters at most."
        )
    return text


def _backup(backup: Backup) -> BackupMade:
    verified = backup.verified_level is not None
    return BackupMade(
        id=backup.id,
        retention_class=backup.retention_class.value,
        state=backup.state.value,
        begun_at=written_moment(backup.begun_at),
        completed_at=_moment(backup.completed_at),
        size=backup.size,
        sha256=backup.sha256,
        verified_at=_moment(backup.verified_at) if verified else None,
        verified_level=backup.verified_level.value if backup.verified_level else None,
    )


def _quote(entry: Entry) -> Quote:
    return Quote(
        sequence=entry.sequence,
        at=written_moment(entry.at),
        actor=entry.actor,
        event=entry.event,
        plan_digest=entry.plan_digest,
        body=entry.body,
        previous=entry.previous,
        hash=entry.hash,
    )


def _newest(entries: Sequence[Entry], event: str) -> Entry | None:
    return next((entry for entry in reversed(entries) if entry.event == event), None)


def _moment(moment: datetime | None) -> str | None:
    return None if moment is None else written_moment(moment)
