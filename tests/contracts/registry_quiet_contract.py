"""What every registry must answer to workers who put off tenants about which nothing is to be done."""

import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from operator import methodcaller
from typing import Any

import pytest

from tenantctl.model.backup import BackupState, CopyState, VerificationLevel
from tenantctl.model.facts import Known, for_a_look
from tenantctl.model.lifecycle import Event
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
    ("over", 320, {}),
    ("restored", 310, {"verified_level": VerificationLevel.RESTORED}),
    ("failed-its-proof", 300, {**FAILED, "verified_level": VerificationLevel.STRUCTURE}),
    ("over-read", 290, {"verified_level": VerificationLevel.READ_BACK}),
    ("complete", 280, {}),
    ("over-short", 270, {"state": BackupState.SHORT}),
    ("over-failed-late", 36, FAILED),
    ("recent", 34, FAILED),
]
KEPT: Mapping[str, Mapping[str, Any]] = {
    "kept-by-its-key": {"wrapped_key": "AAAA"},
    "kept-by-a-hold": {"hold_asked_at": LONG_AGO},
    "kept-by-its-store": {"state": CopyState.WRITTEN},
    "kept-for-it-is-lost": {"state": CopyState.LOST},
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
        """What is left to do, what is recent, and the newest of each kind; nothing that is long over."""
        tenant, lease = office.led_to(Event.DATABASE_READY)
        now = office.registry.now()
        for number, (name, days, changes) in enumerate(LONG_LIFE):
            at = now - timedelta(days=days)
            backup = backup_of(tenant, at, slot=name, number=number, **{"state": BackupState.COMPLETE, **changes})
            over = [replace(copy, state=CopyState.LAPSED) for copy in backup.copies]
            if name.startswith("kept"):
                over[1] = replace(over[1], **KEPT[name])
            whole = replace(backup, verified_at=at if backup.verified_level else None, copies=tuple(over))
            office.write(lease, methodcaller("put_backup", whole))
        office.registry.release(lease, due_at=now, duty=None, danger=Danger.BACKUP, failures=0)
        decide = Shown(office)
        office.registry.put_off(decide, count=9)
        (known,) = decide.seen
        shown = [backup.slot for backup in known.backups]
        assert shown == [name for name, _, _ in LONG_LIFE if not name.startswith("over")]
        assert known.backups == for_a_look(office.registry.backups(tenant.uid), now=office.registry.now())

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
