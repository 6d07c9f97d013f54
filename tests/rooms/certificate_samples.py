"""A tenant's record as certificates are made from it: small, always the same, and like one that the program writes."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from tenantctl.adapters.memory.signer import MemorySigner
from tenantctl.custody.certificate_document import Certificate, Document, file_bytes
from tenantctl.custody.certificate_facts import Record, certify
from tenantctl.custody.certificate_signature import signed
from tenantctl.model.backup import Backup, BackupState, Residue, ResidueKind, RetentionClass, VerificationLevel
from tenantctl.model.journal import FIRST_LINK, Entry, Head
from tenantctl.model.lifecycle import State
from tenantctl.model.region import Region
from tenantctl.model.tenant import Hosting, Instance, InstanceRole, Tenant, Wanted
from tenantctl.placement.catalogue import region_catalogue
from tenantctl.ports.signer import fingerprint

SIGNER = MemorySigner(b"a seed of exactly 32 bytes, here")
KEYS = {fingerprint(SIGNER.public_key()): SIGNER.public_key()}
ISSUER = "Example Hosting GmbH"
UID, BACKUP = "k3v9q2m7x4ab", "4hfgsmhrm2oi"
HOME, PARTNER = "us-south1", "us-central1"
BEGINNING = datetime(2026, 11, 23, 12, 0, 0, 250, tzinfo=UTC)
WORKER = "tenantctl-destroy@example-project.iam"
GONE = "instance tenants-1 reported database and roles absent at 2026-12-16T12:00:00Z"
WINDOW = "the window in which the platform could bring it back has passed"


def on(day: int) -> datetime:
    """So many days after the beginning."""
    return BEGINNING + timedelta(days=day)


def chain(lines: Sequence[tuple[datetime, str, Mapping[str, Any]]], uid: str = UID) -> list[Entry]:
    """A chain of these entries, sealed as the registry seals it."""
    entries: list[Entry] = []
    for number, (at, event, said) in enumerate(lines, 1):
        body = json.dumps(said, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        previous = entries[-1].hash if entries else FIRST_LINK
        entry = Entry(uid, number, at, WORKER, event, "0123456789abcdef", body, previous, "")
        entries.append(replace(entry, hash=entry.expected_hash()))
    return entries


TENANT = Tenant(
    uid=UID,
    name="acme",
    state=State.DESTROYED,
    wanted=Wanted.LEAVING,
    intent_id=2,
    intent_effective_at=on(1),
    time_zone="America/Chicago",
    hosting=Hosting(UID, "tenants-1", HOME, 1),
    connection_limit=20,
    extensions=(),
    created_at=BEGINNING,
    due_at=on(40),
    logins_closed_at=on(1),
    destroy_after=on(23),
    destroyed_at=on(23),
)
FINAL = Backup(
    id=BACKUP,
    tenant_uid=UID,
    slot="final-20261124T120000Z",
    retention_class=RetentionClass.FINAL,
    state=BackupState.COMPLETE,
    begun_at=on(1),
    completed_at=on(1) + timedelta(seconds=40),
    verified_at=on(1) + timedelta(minutes=3),
    verified_level=VerificationLevel.RESTORED,
    tables=1,
    rows=2,
    size=266,
    sha256="49518da934ff6a1fac0733323c4b94e97d157883afd4608ede94527a62d01e70",
)

_MOVED = {"comment": "as the table of transitions has it", "from": "deactivated", "to": "destroying"}
LIFE: list[tuple[datetime, str, Mapping[str, Any]]] = [
    (BEGINNING, "requested", {"generation": 1, "instance": "tenants-1", "intent": 1}),
    (on(1), "cancel-requested", {"effective_at": on(1).isoformat(), "intent": 2}),
    (on(1), "cancellation-effective", {**_MOVED, "intent": 2, "from": "active", "to": "deactivating"}),
    (on(1), "logins-closed", {"closed_at": "2026-11-24T12:00:00Z", "destroy_after": "2026-12-16T06:00:00Z"}),
    (on(1), "backup-begun", {"backup": BACKUP, "recipient": "age1", "regions": [HOME, PARTNER], "slot": "final"}),
    (
        FINAL.completed_at or on(1),
        "backup-complete",
        {
            "backup": BACKUP,
            "missing": [],
            "regions": [PARTNER, HOME],
            "retention_class": "final",
            "sha256": FINAL.sha256,
            "size": FINAL.size,
            "slot": FINAL.slot,
        },
    ),
    (
        FINAL.verified_at or on(1),
        "backup-verified",
        {"backup": BACKUP, "level": "L3", "region": HOME, "rows": 2, "tables": 1},
    ),
    (
        on(2),
        "final-backup-verified",
        {**_MOVED, "destroy_after": "2026-12-16T06:00:00Z", "from": "deactivating", "to": "deactivated"},
    ),
    (on(23), "grace-ended", {**_MOVED, "destroy_after": "2026-12-16T06:00:00Z", "reason": "grace is over"}),
    (on(23), "database-gone", {**_MOVED, "evidence": GONE, "from": "destroying", "to": "destroyed"}),
]
ENDING: list[tuple[datetime, str, Mapping[str, Any]]] = [
    (on(31), "place-lapsed", {"kind": "instance-backups", "place": "instance-backups/tenants-1/1", "proof": WINDOW}),
    *(
        (on(333), "copy-lapsed", {"backup": BACKUP, "region": region, "evidence": f"{region} reported it absent"})
        for region in (HOME, PARTNER)
    ),
    (
        on(334),
        "key-shredded",
        {"absent_at": "-", "backup": BACKUP, "regions": [PARTNER, HOME], "unreadable_after": "-"},
    ),
    (on(342), "names-blanked", {"unreadable_after": "-"}),
    (on(350), "place-lapsed", {"kind": "registry-backups", "place": "registry-backups", "proof": WINDOW}),
    (on(350), "residue-lapsed", {**_MOVED, "places": 7, "from": "destroyed", "to": "forgotten"}),
]


def residue(
    kind: ResidueKind, name: str, place: str, until: int | None, gone: tuple[int, str] | None = None, *, made: int = 1
) -> Residue:
    """A line of the inventory; times in days after the beginning."""
    return Residue(
        id=name,
        tenant_uid=UID,
        kind=kind,
        place=place,
        made_at=on(made),
        unreadable_after=None if until is None else on(until),
        lapsed_at=on(gone[0]) if gone else None,
        proof=gone[1] if gone else None,
    )


def residues(*, forgotten: bool) -> list[Residue]:
    """The inventory at the destruction, or at the end."""

    def gone(day: int, proof: str) -> tuple[int, str] | None:
        return (day, proof) if forgotten else None

    kept = [
        residue(ResidueKind.DATABASE, f"database/{UID}/1", f"tenants-1/t_{UID}_1", 23, (23, GONE), made=0),
        residue(
            ResidueKind.SCRATCH,
            f"scratch/{BACKUP}/1",
            f"verify-1/s_{BACKUP}",
            2,
            (1, "instance verify-1 shows no database or role of this name"),
        ),
        residue(
            ResidueKind.INSTANCE_BACKUPS,
            "instance-backups/tenants-1/1",
            "backups and point-in-time logs of tenants-1",
            31,
            gone(31, WINDOW),
            made=0,
        ),
    ]
    for region in (HOME, PARTNER):
        copy, key = f"copy/{BACKUP}/{region}", f"key/{BACKUP}/{region}"
        place = f"gs://acme-{region}-final-331d/{UID}/{BACKUP}/dump.zst.age"
        kept.append(residue(ResidueKind.COPY, copy, place, 335, gone(333, f"{region} reported it absent")))
        proof = f"the key bucket in {region} reported it absent"
        kept.append(residue(ResidueKind.KEY, key, f"key of backup {BACKUP} in {region}", 341, gone(334, proof)))
    if forgotten:
        place = "backups and point-in-time logs of the registry"
        kept.append(residue(ResidueKind.REGISTRY_BACKUPS, "registry-backups", place, 350, gone(350, WINDOW), made=342))
    return kept


def regions() -> Sequence[Region]:
    """All regions."""
    return region_catalogue().regions


def record(*, forgotten: bool = False, more: Sequence[tuple[datetime, str, Mapping[str, Any]]] = ()) -> Record:
    """What is on record; `more` are entries that stand before the destruction."""
    lines = [*LIFE[:-2], *more, *LIFE[-2:], *(ENDING if forgotten else ())]
    entries = chain(lines)
    return Record(
        tenant=replace(TENANT, state=State.FORGOTTEN, name=None) if forgotten else TENANT,
        backups=[FINAL],
        residues=residues(forgotten=forgotten),
        entries=entries,
        head=Head(UID, len(entries), entries[-1].hash),
        instances=[
            Instance("tenants-1", HOME, InstanceRole.TENANTS, 50),
            Instance("verify-1", HOME, InstanceRole.VERIFY, 50),
        ],
        regions=regions(),
    )


def destroyed() -> Certificate:
    """The certificate a week after the destruction."""
    return certify(record(), now=on(30), issuer=ISSUER)


def forgotten(name: str | None = None) -> Certificate:
    """The certificate at the end."""
    return certify(record(forgotten=True), now=on(360), issuer=ISSUER, stated_name=name)


def document(certificate: Certificate) -> Document:
    """It, signed."""
    return signed(certificate, SIGNER)


def content(certificate: Certificate) -> bytes:
    """Its file."""
    return file_bytes(document(certificate).model_dump(mode="json"))
