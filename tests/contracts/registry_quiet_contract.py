"""What every registry must answer to workers who put off tenants about which nothing is to be done."""

import random
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime, timedelta
from operator import methodcaller
from typing import Any

import pytest

from tenantctl.model.backup import Backup, BackupState, CopyState, Residue, ResidueKind, VerificationLevel
from tenantctl.model.lifecycle import Event
from tenantctl.model.look import NOT_SHOWN, AtRest, Known, for_a_look, residues_for_a_look
from tenantctl.model.tenant import IntentKind, Tenant
from tenantctl.model.work import Danger
from tenantctl.ports.work import Later
from tests.contracts.registry_samples import FIVE_MINUTES, LONG_AGO, Office, backup_of

HOUR = timedelta(hours=1)

RESTORED = {"verified_level": VerificationLevel.RESTORED}
FAILED = {"state": BackupState.FAILED}
LONG_LIFE: Sequence[tuple[str, int, Mapping[str, Any]]] = [
    ("over-restored", 390, RESTORED),
    ("over-failed", 380, {**FAILED, **RESTORED}),
    ("begun", 370, {"state": BackupState.BEGUN}),
    ("kept-by-its-key", 360, {}),
    ("kept-by-a-hold", 350, {}),
    ("kept-by-its-store", 340, FAILED),
    ("kept-for-it-is-lost", 330, {"state": BackupState.SHORT}),
    ("kept-for-a-copy-is-absent", 328, {}),
    ("kept-past-its-term", 326, {}),
    ("kept-unseen", 324, {}),
    ("kept-restored", 322, RESTORED),
    ("over", 320, {}),
    ("restored", 310, {"verified_level": VerificationLevel.RESTORED}),
    ("failed-its-proof", 300, {**FAILED, "verified_level": VerificationLevel.STRUCTURE}),
    ("over-read", 290, {"verified_level": VerificationLevel.READ_BACK}),
    ("over-absent", 285, FAILED),
    ("at-rest", 283, {}),
    ("at-rest-with-a-key", 282, {"verified_level": VerificationLevel.STRUCTURE}),
    ("at-rest-for-long", 281, {}),
    ("at-rest-with-one-that-is-over", 280, {}),
    ("over-short", 270, {"state": BackupState.SHORT}),
    ("complete", 6, {}),
    ("over-failed-late", 3, FAILED),
    ("recent", 1, FAILED),
]
AHEAD, BEFORE = LONG_AGO + timedelta(days=9999), LONG_AGO + timedelta(days=5)
RESTING = {"state": CopyState.WRITTEN, "seen_at": BEFORE, "lapses_at": AHEAD}
COPIES: Mapping[str, Sequence[Mapping[str, Any]]] = {
    "kept-by-its-key": [{}, {"wrapped_key": "AAAA"}],
    "kept-by-a-hold": [RESTING, {**RESTING, "hold_asked_at": LONG_AGO}],
    "kept-by-its-store": [{}, {"state": CopyState.WRITTEN}],
    "kept-for-it-is-lost": [RESTING, {"state": CopyState.LOST}],
    "kept-for-a-copy-is-absent": [RESTING, {"state": CopyState.ABSENT}],
    "kept-past-its-term": [RESTING, {**RESTING, "lapses_at": BEFORE}],
    "kept-unseen": [RESTING, {**RESTING, "seen_at": None}],
    "kept-restored": [{**RESTING, "state": CopyState.INTENDED}, RESTING],
    "over-absent": [{"state": CopyState.ABSENT}, {}],
    "at-rest": [RESTING, {**RESTING, "written_at": LONG_AGO + timedelta(days=3)}],
    "at-rest-with-a-key": [{**RESTING, "wrapped_key": "AAAA"}, {**RESTING, "lapses_at": AHEAD + HOUR}],
    "at-rest-for-long": [{**RESTING, "seen_at": BEFORE - HOUR}, {**RESTING, "lapses_at": AHEAD - HOUR}],
    "at-rest-with-one-that-is-over": [{}, RESTING],
}


class Shown:
    """Decides as it was told to, and remembers whom it was shown."""

    def __init__(self, office: Office, *names: str) -> None:
        self.until = Later(office.registry.now() + 9 * HOUR, Danger.BACKUP)
        self.names, self.seen = names, list[Known]()

    def __call__(self, shown: Sequence[Known]) -> Mapping[str, Later]:
        """Those of these names."""
        self.seen += shown
        return {known.tenant.uid: self.until for known in shown if known.tenant.name in self.names}


def quiet_one(office: Office, name: str) -> Tenant:
    """An active tenant that is due, and about which nothing is out of the ordinary."""
    tenant, lease = office.led_to(Event.DATABASE_READY, name=name)
    office.registry.release(lease, due_at=office.registry.now(), duty=None, danger=Danger.BACKUP, failures=0)
    return office.registry.tenant(tenant.uid)


class QuietContract:
    """Each test is given an `office`: a registry, a colleague's view of it, and its clock."""

    def test_who_is_named_is_put_off_and_the_others_stay_due(self, office: Office) -> None:
        first, second = quiet_one(office, "first"), quiet_one(office, "second")
        decide = Shown(office, "first")
        assert office.registry.put_off(decide, count=9) == [first.uid]
        assert {known.tenant.name for known in decide.seen} == {"first", "second"}
        assert office.registry.tenant(first.uid).due_at == decide.until.due_at
        assert office.registry.tenant(second.uid).due_at == second.due_at
        assert office.registry.lease_of(first.uid) is None
        claimed = office.registry.claim("w", lease=FIVE_MINUTES)
        assert claimed is not None
        assert claimed.tenant_uid == second.uid

    def test_what_is_shown_is_what_is_known(self, office: Office) -> None:
        """The same as the registry answers for one tenant, and no other tenant's."""
        tenants = [quiet_one(office, "first"), quiet_one(office, "second")]
        decide = Shown(office)
        office.registry.put_off(decide, count=9)
        for tenant in tenants:
            (known,) = (one for one in decide.seen if one.tenant.uid == tenant.uid)
            assert known.tenant == tenant
            assert known.backups == tuple(office.registry.backups(tenant.uid))
            assert known.residues == tuple(office.registry.open_residues(tenant.uid)) != ()
            assert known.moves == tuple(office.registry.moves(tenant.uid))

    def test_of_a_long_life_what_a_plan_can_ask_is_shown(self, office: Office) -> None:
        """What is left to do, what is recent, and the newest of each kind; of what rests a sum, and nothing else."""
        tenant, lease = office.led_to(Event.DATABASE_READY)
        now = office.registry.now()
        for number, (name, days, changes) in enumerate(LONG_LIFE):
            at = now - timedelta(days=days)
            backup = backup_of(tenant, at, slot=name, number=number, **{"state": BackupState.COMPLETE, **changes})
            copies = [
                replace(copy, **{"state": CopyState.LAPSED, **as_said})
                for copy, as_said in zip(backup.copies, COPIES.get(name, [{}, {}]), strict=True)
            ]
            whole = replace(backup, verified_at=at if backup.verified_level else None, copies=tuple(copies))
            office.write(lease, methodcaller("put_backup", whole))
        office.registry.release(lease, due_at=now, duty=None, danger=Danger.BACKUP, failures=0)
        decide = Shown(office)
        office.registry.put_off(decide, count=9)
        (known,) = decide.seen
        shown = [backup.slot for backup in known.backups]
        assert shown == [name for name, _, _ in LONG_LIFE if not name.startswith(("over", "at-rest"))]
        assert known.at_rest == AtRest(BEFORE - HOUR, LONG_AGO + timedelta(days=3), AHEAD - HOUR, AHEAD + HOUR)
        assert (known.backups, known.at_rest) == for_a_look(office.registry.backups(tenant.uid), now=now)

    @pytest.mark.parametrize("seed", range(3))
    def test_what_is_shown_of_any_life_is_what_the_rules_say(self, office: Office, seed: int) -> None:
        """Whatever became of its backups and copies, and in whichever order of moments."""
        said = random.Random(f"any life, {seed}")
        tenant, lease = office.led_to(Event.DATABASE_READY)
        now = office.registry.now()
        for number in range(60):
            at = now - timedelta(hours=said.randrange(24 * 30))
            backup = backup_of(tenant, at, slot=f"{number}", number=number)
            office.write(lease, methodcaller("put_backup", _anyhow(said, backup, now)))
        for kind in ResidueKind:
            line = Residue(f"{kind}/1", tenant.uid, kind, "somewhere", made_at=now, unreadable_after=None)
            office.write(lease, methodcaller("put_residue", line))
        office.registry.release(lease, due_at=now, duty=None, danger=Danger.BACKUP, failures=0)
        decide = Shown(office)
        office.registry.put_off(decide, count=9)
        (known,) = decide.seen
        backups = office.registry.backups(tenant.uid)
        assert (known.backups, known.at_rest) == for_a_look(backups, now=now)
        assert len(known.backups) < len(backups)
        assert known.at_rest is not None
        assert {one.kind for one in known.residues} == set(ResidueKind) - NOT_SHOWN
        assert known.residues == residues_for_a_look(office.registry.open_residues(tenant.uid))

    def test_nobody_out_of_the_ordinary_is_shown(self, office: Office) -> None:
        """Neither who is not active, leaves, is leased, failed, is parked or alarmed, nor who is not due."""
        office.tenant("requested")
        names = ["leaving", "leased", "failing", "parked", "alarmed", "later", "asked"]
        tenants = {name: quiet_one(office, name) for name in names}
        registry, now = office.registry, office.registry.now()
        registry.record_intent(
            tenants["leaving"], IntentKind.CANCEL, cause="c", instructing_party="p", effective_at=now + HOUR
        )
        leases = {name: office.lease(tenants[name]) for name in ("leased", "failing", "alarmed", "later", "asked")}
        office.write(leases["alarmed"], lambda writes: writes.raise_alarm("trouble", "it breaks"))
        for name, failures in (("failing", 1), ("alarmed", 0), ("later", 0), ("asked", 0)):
            due_at = now + HOUR if name in {"later", "asked"} else now
            registry.release(leases[name], due_at=due_at, duty=None, danger=Danger.BACKUP, failures=failures)
        registry.make_due(tenants["asked"].uid)
        registry.park(tenants["parked"].uid, because="the audit", until=None)
        decide = Shown(office, *names)
        assert registry.put_off(decide, count=99) == []
        assert decide.seen == []

    def test_no_more_are_shown_than_asked_for(self, office: Office) -> None:
        for number in range(3):
            quiet_one(office, f"t{number}")
        decide = Shown(office)
        office.registry.put_off(decide, count=2)
        assert len(decide.seen) == 2

    def test_a_decision_that_breaks_leaves_everything(self, office: Office) -> None:
        tenant = quiet_one(office, "first")

        def decide(shown: Sequence[Known]) -> Mapping[str, Later]:
            raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            office.registry.put_off(decide, count=9)
        assert office.registry.tenant(tenant.uid) == tenant
        office.lease(tenant)

    def test_nobody_else_has_them_meanwhile(self, office: Office) -> None:
        """Neither to decide about nor to work on; and a request that comes in then is not forgotten."""
        tenant = quiet_one(office, "first")
        registry, deciding, asked = office.registry, threading.Event(), threading.Event()
        later = Later(registry.now() + 9 * HOUR, Danger.BACKUP)

        def decide(shown: Sequence[Known]) -> Mapping[str, Later]:
            deciding.set()
            asked.wait(30)
            return {known.tenant.uid: later for known in shown}

        with ThreadPoolExecutor(2) as others:
            putting_off = others.submit(registry.put_off, decide, count=9)
            assert deciding.wait(30)
            other = Shown(office, "first")
            assert registry.put_off(other, count=9) == [] == other.seen
            assert registry.claim("w", lease=FIVE_MINUTES) is None
            waking = others.submit(registry.make_due, tenant.uid)
            asked.set()
            assert putting_off.result(30) == [tenant.uid]
            waking.result(30)
        assert registry.tenant(tenant.uid).due_at <= registry.now()
        assert replace(registry.tenant(tenant.uid), due_at=tenant.due_at) == tenant


def _anyhow(said: random.Random, backup: Backup, now: datetime) -> Backup:
    """As anything may have left it; most backups of it are complete, and most of their copies written or lapsed."""

    def moment() -> datetime | None:
        return said.choice([None, now - timedelta(days=said.randrange(4))])

    copies = [
        replace(
            copy,
            state=said.choice([CopyState.WRITTEN, *[said.choice(list(CopyState))]]),
            lapses_at=now + timedelta(days=said.randrange(-1, 9)),
            written_at=moment(),
            seen_at=now - timedelta(days=said.randrange(4)) if said.random() < 0.9 else None,
            verified_at=moment(),
            wrapped_key=said.choice([None, "AAAA"]),
            hold_asked_at=moment() if said.random() < 0.1 else None,
        )
        for copy in backup.copies
    ]
    if said.random() < 0.3:
        copies = [replace(copy, state=CopyState.LAPSED, wrapped_key=None, hold_asked_at=None) for copy in copies]
    return replace(
        backup,
        state=said.choice([BackupState.COMPLETE, BackupState.COMPLETE, said.choice(list(BackupState))]),
        verified_at=moment(),
        verified_level=said.choice([None, *VerificationLevel]),
        copies=tuple(copies),
    )
