"""What an audit calls what it sees: pure rules, each difference of ledger, store, registry and policy by itself."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tenantctl.model.backup import Copy, CopyState, RetentionClass
from tenantctl.model.facts import Census
from tenantctl.model.finding import OTHERS, Grade, GradedFinding, PlaceAudited, bounded, unseen_for_long
from tenantctl.model.lifecycle import State
from tenantctl.model.policy import Term
from tenantctl.model.tenant import Hosting, Instance, InstanceRole, Tenant, Wanted
from tenantctl.ports.audits import LedgerLine
from tenantctl.ports.instances import InstanceSeen
from tenantctl.ports.vault import BucketSeen, ObjectSeen
from tenantctl.sweeps.drift_rules import Counted, bucket_findings, census_findings, instance_findings
from tenantctl.sweeps.vault_rules import copy_findings, folder_of

NOW = datetime(2026, 12, 1, 12, tzinfo=UTC)
WRITTEN = NOW - timedelta(days=5)
TERM = Term(lock_days=34, age_days=35)
BUCKET = "acme-us-south1-daily-35d"
TERMS = BucketSeen.locked_for("us-south1", TERM)
DUMP, MANIFEST = "abc/b1/dump.zst.age", "abc/b1/manifest.json"
COPY = Copy(
    backup_id="b1",
    tenant_uid="abc",
    region="us-south1",
    bucket=BUCKET,
    object_name=DUMP,
    state=CopyState.WRITTEN,
    intended_at=WRITTEN,
    lapses_at=WRITTEN + timedelta(days=35),
    unreadable_after=WRITTEN + timedelta(days=37),
    size=10,
    crc32c="AAAAAA==",
    written_at=WRITTEN,
)
SEEN = ObjectSeen(10, "AAAAAA==", WRITTEN, WRITTEN + timedelta(days=34), held=False)
WHOLE = {DUMP: SEEN, MANIFEST: replace(SEEN, size=2)}
HELD: dict[str, Any] = {"held_at": WRITTEN, "hold_asked_at": WRITTEN}
AFTER = WRITTEN + timedelta(days=38)


def of_copy(
    objects: dict[str, ObjectSeen] = WHOLE,
    *,
    now: datetime = NOW,
    known: bool = True,
    kind: RetentionClass = RetentionClass.DAILY,
    **changes: Any,
) -> list[tuple[str, Grade]]:
    line = LedgerLine(replace(COPY, **changes), kind) if known else None
    found = copy_findings("abc/b1/", line, objects, TERMS, where="copies", now=now)
    return [(one.code, one.grade) for one in found]


def dump(**changes: Any) -> dict[str, ObjectSeen]:
    return {**WHOLE, DUMP: replace(SEEN, **changes)}


def test_a_whole_copy_has_no_finding() -> None:
    """Nor one that is being written, that is known to be lost, that went in its time, or that is held as it should."""
    assert of_copy() == []
    assert of_copy({}, state=CopyState.INTENDED) == []
    assert of_copy({}, state=CopyState.LOST) == []
    assert of_copy({}, state=CopyState.LAPSED) == []
    assert of_copy({}, now=WRITTEN + timedelta(days=35)) == []
    assert of_copy({}, known=False) == []
    assert of_copy(dump(held=True), now=AFTER, **HELD) == []


@pytest.mark.parametrize(
    ("found", "given"),
    [
        (("copy-lost", Grade.CRITICAL), {"objects": {}}),
        (("copy-lost", Grade.CRITICAL), {"objects": {}, "now": AFTER, **HELD}),
        (("copy-lost", Grade.CRITICAL), {"objects": dump(size=11)}),
        (("copy-lost", Grade.CRITICAL), {"objects": dump(crc32c="BAAAAA==")}),
        (("copy-overdue", Grade.CRITICAL), {"now": AFTER}),
        (("copy-returned", Grade.CRITICAL), {"state": CopyState.LAPSED}),
        (("copy-returned", Grade.CRITICAL), {"state": CopyState.ABSENT}),
        (("copy-terms", Grade.CRITICAL), {"objects": dump(retained_until=None)}),
        (("copy-terms", Grade.CRITICAL), {"objects": dump(retained_until=WRITTEN + timedelta(days=33))}),
        (("copy-terms", Grade.CRITICAL), {"lapses_at": WRITTEN + timedelta(days=33)}),
        (("copy-terms", Grade.WARNING), {"kind": RetentionClass.MONTHLY}),
        (("copy-hold", Grade.CRITICAL), dict(HELD)),
        (("copy-hold", Grade.WARNING), {"objects": dump(held=True)}),
        (("manifest-missing", Grade.WARNING), {"objects": {DUMP: SEEN}}),
        (("object-unknown", Grade.WARNING), {"known": False}),
    ],
)
def test_each_difference_of_a_copy_has_its_name(found: tuple[str, Grade], given: dict[str, Any]) -> None:
    assert of_copy(**given) == [found]


def test_a_manifest_that_is_still_on_its_way_is_not_missed() -> None:
    """It comes after the copy, and goes before anybody needs it no more."""
    assert of_copy({DUMP: SEEN}, written_at=NOW - timedelta(hours=1)) == []
    assert of_copy({DUMP: SEEN}, now=WRITTEN + timedelta(days=35, hours=1)) == []


def test_folders_stand_in_the_order_of_their_names() -> None:
    """So two lists that are sorted by name can be read side by side by folder."""
    names = ["x", "x-/y/z", "x/a", "x/a-/b", "x/a/b", "x/a/b/c", "x/a/c", "x/b/a", "xa/a/a", "y"]
    assert names == sorted(names)
    folders = [folder_of(name) for name in names]
    assert folders == sorted(folders)
    assert folder_of(DUMP) == folder_of(MANIFEST) == "abc/b1/"


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"versioning": True}, "old versions"),
        ({"soft_delete_seconds": 604800}, "604800 seconds"),
        ({"locked": False}, "no locked retention"),
        ({"lock_days": 33}, "33 days where the policy says 34"),
        ({"region": "us-east1"}, "us-east1"),
    ],
)
def test_a_bucket_with_other_terms_breaks_a_promise(changes: dict[str, Any], said: str) -> None:
    (found,) = bucket_findings(replace(TERMS, **changes), "us-south1", TERM, where="bucket")
    assert (found.code, found.grade) == ("bucket-terms", Grade.CRITICAL)
    assert said in found.sentence


def test_an_instance_is_held_against_the_registry() -> None:
    """Where it lies, whether it runs, and whether it may be deleted."""
    known = Instance("one", "us-south1", InstanceRole.TENANTS, 400)
    seen = InstanceSeen("one", "us-south1", "RUNNABLE", "POSTGRES_18", True, (), ())
    assert list(instance_findings(known, seen, where="instance one")) == []
    wrong = replace(seen, region="us-east1", deletion_protected=False, state="STOPPED")
    found = [(one.subject, one.grade) for one in instance_findings(known, wrong, where="instance one")]
    assert found == [
        ("region", Grade.CRITICAL),
        ("deletion protection", Grade.CRITICAL),
        ("state", Grade.WARNING),
    ]


HOSTING = Hosting("abc", "one", "us-south1", 2)
TENANT = Tenant(
    uid="abc",
    name="acme",
    state=State.ACTIVE,
    wanted=Wanted.LIVING,
    intent_id=1,
    intent_effective_at=WRITTEN,
    time_zone="UTC",
    hosting=HOSTING,
    connection_limit=10,
    extensions=(),
    created_at=WRITTEN,
    due_at=NOW,
)
DEACTIVATED: dict[str, Any] = {"state": State.DEACTIVATED, "wanted": Wanted.LEAVING, "logins_closed_at": WRITTEN}
BASE = {HOSTING.database: HOSTING.marker, "postgres": "", "template1": "the default"}
ROLES = {HOSTING.owner: False, HOSTING.login: True}


def of_census(
    databases: dict[str, str] = BASE,
    roles: dict[str, bool] = ROLES,
    *,
    counted: frozenset[tuple[str, int]] = frozenset(),
    at_work: bool = False,
    **changes: Any,
) -> list[tuple[str, str]]:
    known = Counted({"abc": replace(TENANT, **changes)}, counted, frozenset({"abc"} if at_work else ()))
    found = census_findings("one", Census(databases, roles), known, where="instance one", now=NOW)
    return [(one.code, one.subject) for one in found]


def test_an_instance_in_order_has_no_finding() -> None:
    """Nor one on which a tenant is on its way in, out or back."""
    closed = {**ROLES, HOSTING.login: False}
    assert of_census() == []
    assert of_census(roles=closed, **DEACTIVATED) == []
    assert of_census({}, {}, state=State.REQUESTED) == []
    assert of_census({}, {}, state=State.DESTROYING) == []
    assert of_census(roles=closed, at_work=True) == []
    assert of_census(roles=closed, wanted=Wanted.LEAVING) == []
    assert of_census(**{**DEACTIVATED, "wanted": Wanted.LIVING}) == []
    former = Hosting("abc", "one", "us-south1", 1)
    assert of_census({**BASE, former.database: former.marker}, counted=frozenset({("abc", 1)})) == []


@pytest.mark.parametrize(
    ("found", "given"),
    [
        (("database-missing", HOSTING.database), {"databases": {}}),
        (("marker-differs", HOSTING.database), {"databases": {HOSTING.database: ""}}),
        (("roles-missing", HOSTING.database), {"roles": {HOSTING.login: True}}),
        (("logins-closed", HOSTING.login), {"roles": {**ROLES, HOSTING.login: False}}),
        (("logins-open", HOSTING.login), dict(DEACTIVATED)),
        (("logins-open", HOSTING.login), {**DEACTIVATED, "state": State.DEACTIVATING}),
        (("database-unknown", "shop"), {"databases": {**BASE, "shop": ""}}),
        (("database-unknown", "shop"), {"databases": {**BASE, "shop": "tenantctl tenant xyz generation 1"}}),
        (("database-elsewhere", "shop"), {"databases": {**BASE, "shop": "tenantctl tenant abc generation 1"}}),
        (("roles-unknown", "l_xyz_1"), {"roles": {**ROLES, "l_xyz_1": True}}),
        (("database-of-the-dead", HOSTING.database), {"roles": {}, "state": State.DESTROYED}),
    ],
)
def test_each_difference_on_an_instance_has_its_name(found: tuple[str, str], given: dict[str, Any]) -> None:
    assert of_census(**given) == [found]


def test_more_of_one_kind_than_can_be_read_are_counted() -> None:
    """The first of them by name, the others by their number; each kind for itself."""
    many = [GradedFinding("a", Grade.WARNING, "here", f"s{number}", "x", "y") for number in range(5)]
    other = GradedFinding("b", Grade.WARNING, "here", "t", "x", "y")
    found = list(bounded([*many, other], limit=3))
    assert [(one.code, one.subject) for one in found] == [
        ("a", "s0"),
        ("a", "s1"),
        ("a", "s2"),
        ("b", "t"),
        ("a", OTHERS),
    ]
    assert "2 more" in found[-1].sentence


def test_a_place_that_is_silent_for_days_is_a_finding_of_its_own() -> None:
    """Not before, and not for what was found in it."""
    silent = PlaceAudited("copies", None, NOW - timedelta(hours=47), "no answer")
    assert list(unseen_for_long([silent], now=NOW)) == []
    (found,) = unseen_for_long([silent], now=NOW + timedelta(hours=2))
    assert (found.code, found.where, found.since) == ("audit-unseen", "copies", silent.unseen_since)
