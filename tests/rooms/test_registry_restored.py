"""A registry that was brought back from a backup: it destroys nothing until it was reconciled with the world."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import timedelta

import pytest

from tenantctl.adapters.memory.anchors import AnchorShelf
from tenantctl.adapters.memory.decisions import MemoryDecisions
from tenantctl.adapters.memory.registry_books import Book
from tenantctl.evidence.anchoring import anchor_journal, buckets, registry_seen
from tenantctl.evidence.comparing import compare_with_anchors
from tenantctl.evidence.restored import restored_because, untold_because
from tenantctl.model.anchor import Reconciliation, RegistrySeen
from tenantctl.model.decisions import Proposal
from tenantctl.model.errors import Refused
from tenantctl.model.lifecycle import State
from tenantctl.model.plan import Blocker, Do
from tenantctl.model.sighting import Present, Unreachable
from tenantctl.model.tenant import Tenant
from tenantctl.offboarding.safeguards import destruction_blockers
from tenantctl.ports.world import AssembledWorld
from tenantctl.sweeps.acceptance import accept
from tenantctl.sweeps.planning import plan
from tenantctl.sweeps.reconcile import compare
from tests.rooms.company import HOME, TENANTS_INSTANCE, Company
from tests.rooms.rule_facts import CLOSED, DESTROY_AFTER, POLICIES, registry_as_it_was, ripe_facts

SILENT = Unreachable("no answer")


@dataclass(frozen=True)
class Saved:
    """A backup of the registry."""

    books: dict[str, Book]
    anchors: AnchorShelf


def save(company: Company) -> Saved:
    """As it is now."""
    return Saved(dict(company.registry.shelf.books), company.registry.anchor_shelf.copied())


def restore(company: Company, saved: Saved) -> None:
    """As it was then."""
    company.registry.shelf.books = dict(saved.books)
    company.registry.anchor_shelf = saved.anchors.copied()


def as_person(company: Company, actor: str) -> AssembledWorld:
    """The world as somebody else reaches it."""
    registry = company.registry.as_actor(actor)
    return replace(company.world, registry=registry, decisions=MemoryDecisions(registry))


def reconcile(company: Company) -> Reconciliation:
    """Two people look, and accept what they see."""
    digest = compare(company.world).digest
    first = accept(as_person(company, "alice@example.com"), compare(company.world), digest)
    assert isinstance(first, Proposal)
    second = accept(as_person(company, "bob@example.com"), compare(company.world), digest)
    assert isinstance(second, Reconciliation)
    return second


def restored_company() -> tuple[Company, Tenant]:
    """A tenant past its grace, in a registry that does not know that it was reinstated meanwhile."""
    company = Company()
    tenant = company.deactivated()
    saved = save(company)
    company.reinstate(tenant)
    company.run()
    assert company.registry.tenant(tenant.uid).state is State.ACTIVE
    anchor_journal(company.world)
    restore(company, saved)
    return company, tenant


# The rules

Change = Callable[[RegistrySeen], RegistrySeen]
ONE, OTHER = POLICIES.anchors.regions
KNOWN = registry_as_it_was(3)
UNKNOWN = registry_as_it_was(4).newest
assert KNOWN.newest is not None
assert UNKNOWN is not None
NEWER = Present((KNOWN.newest.anchor.name, UNKNOWN.anchor.name))
EMPTY = Present[tuple[()]](())
DONE = Reconciliation(DESTROY_AFTER, "alice@example.com", "two", KNOWN.newest.anchor.digest, "f" * 16)

RESTORED: dict[str, Change] = {
    "one region shows an unknown anchor": lambda seen: replace(seen, listed={ONE: NEWER, OTHER: seen.listed[OTHER]}),
    "both do": lambda seen: replace(seen, listed=dict.fromkeys((ONE, OTHER), NEWER)),
    "the only one that answers does": lambda seen: replace(seen, listed={ONE: NEWER, OTHER: SILENT}),
    "it has forgotten every anchor": lambda seen: replace(seen, newest=None, known=frozenset()),
    "it calls itself otherwise": lambda seen: replace(seen, identity="two"),
    "it was reconciled as another": lambda seen: replace(
        seen, identity="two", reconciled=replace(DONE, registry="three")
    ),
    "it was reconciled before that anchor": lambda seen: replace(
        seen, identity="two", reconciled=replace(DONE, anchor="0" * 64)
    ),
}
UNTOLD: dict[str, Change] = {
    "no region answers": lambda seen: replace(seen, listed=dict.fromkeys((ONE, OTHER), SILENT)),
    "the anchor is nowhere": lambda seen: replace(seen, listed=dict.fromkeys((ONE, OTHER), EMPTY)),
    "the anchor is not where one answers": lambda seen: replace(seen, listed={ONE: EMPTY, OTHER: SILENT}),
    "it knows none, and one is silent": lambda seen: replace(
        seen, newest=None, known=frozenset(), listed={ONE: EMPTY, OTHER: SILENT}
    ),
}
FINE: dict[str, Change] = {
    "both regions show what it knows": lambda seen: seen,
    "one does, and the other is silent": lambda seen: replace(seen, listed={ONE: seen.listed[ONE], OTHER: SILENT}),
    "one does, and the other lost it": lambda seen: replace(seen, listed={ONE: seen.listed[ONE], OTHER: EMPTY}),
    "no anchor was ever made": lambda seen: replace(
        seen, newest=None, known=frozenset(), listed=dict.fromkeys((ONE, OTHER), EMPTY)
    ),
    "it was reconciled as what it calls itself": lambda seen: replace(seen, identity="two", reconciled=DONE),
    "the loss of the anchor was accepted": lambda seen: replace(
        seen, reconciled=DONE, listed=dict.fromkeys((ONE, OTHER), EMPTY)
    ),
}


def blockers(seen: RegistrySeen) -> list[Blocker]:
    """What keeps an otherwise ripe tenant from being destroyed."""
    return list(destruction_blockers(replace(ripe_facts(), registry=seen), POLICIES, now=DESTROY_AFTER))


@pytest.mark.parametrize("what", sorted(RESTORED))
def test_a_restored_registry_is_known(what: str) -> None:
    """And it is an alarm at once."""
    seen = RESTORED[what](KNOWN)
    assert restored_because(seen)
    assert [(blocker.code, blocker.alarm) for blocker in blockers(seen)] == [("registry-restored", True)]
    steps = plan(replace(ripe_facts(), registry=seen), POLICIES, now=DESTROY_AFTER).steps
    assert not {Do.MARK_DESTROYING, Do.DROP_DATABASE} & {step.do for step in steps}


@pytest.mark.parametrize("what", sorted(UNTOLD))
def test_what_cannot_be_told_is_no(what: str) -> None:
    """Unknown means stop."""
    seen = UNTOLD[what](KNOWN)
    assert restored_because(seen) is None
    assert untold_because(seen, POLICIES.anchors, now=DESTROY_AFTER)
    assert [(blocker.code, blocker.alarm) for blocker in blockers(seen)] == [("registry", True)]


@pytest.mark.parametrize("what", sorted(FINE))
def test_a_registry_that_knows_all_anchors_is_trusted(what: str) -> None:
    """Else nothing would ever be destroyed."""
    assert blockers(FINE[what](KNOWN)) == []


def test_an_anchor_whose_term_is_over_is_not_missed() -> None:
    """A bucket deletes what is past its age; until then its absence is an alarm."""
    seen = UNTOLD["the anchor is nowhere"](KNOWN)
    term = POLICIES.anchors.lock_days
    assert untold_because(seen, POLICIES.anchors, now=CLOSED + _days(term))
    assert untold_because(seen, POLICIES.anchors, now=CLOSED + _days(term + 1)) is None


# The world


def test_a_restored_registry_destroys_nothing_until_it_is_reconciled() -> None:
    """The customer had come back, and the registry has forgotten it."""
    company, tenant = restored_company()
    for _ in range(3):  # the login is found open, closed, and grace counted anew; and then grace is over
        company.advance(days=24)
        company.run()
    assert company.has_database(tenant)
    assert "blocked/registry-restored" in company.alarms(tenant)
    found = {finding.code for finding in compare(company.world).findings}
    assert {"anchor-unknown", "chain-shorter"} <= found


def test_after_the_reconciliation_it_goes_on() -> None:
    """The alarm closes by itself, what is due is done, and no later look takes the registry for a restored one."""
    company = Company()
    tenant = company.deactivated()
    saved = save(company)
    company.advance(days=15)
    company.run()
    anchor_journal(company.world)
    restore(company, saved)
    company.advance(days=9)
    company.run()
    assert company.has_database(tenant)
    assert "blocked/registry-restored" in company.alarms(tenant)
    done = reconcile(company)
    assert done.actor == "bob@example.com"
    company.advance(hours=2)
    company.run()
    assert company.registry.tenant(tenant.uid).state is State.DESTROYED
    assert company.alarms(tenant) == set()
    assert registry_seen(company.world).reconciled == done
    anchor_journal(company.world)
    compared = compare_with_anchors(company.world)
    assert (compared.differences, compared.faults, compared.unread) == ([], [], [])
    assert [difference.tenant_uid for difference in compared.accepted] == [tenant.uid]
    with pytest.raises(Refused, match="nothing to reconcile"):
        accept(company.world, compare(company.world), compare(company.world).digest)


def test_a_registry_that_comes_back_as_another_is_frozen_too() -> None:
    """Even where not one anchor was made since: nobody knows what was lost."""
    company = Company()
    tenant = company.deactivated()
    anchor_journal(company.world)
    company.registry.anchor_shelf.identity = "another"
    company.advance(days=24)
    company.run()
    assert company.has_database(tenant)
    assert "blocked/registry-restored" in company.alarms(tenant)
    with pytest.raises(Refused, match="No anchor can be made"):
        anchor_journal(company.world)
    reconcile(company)
    company.advance(hours=2)
    company.run()
    assert company.registry.tenant(tenant.uid).state is State.DESTROYED


def test_a_frozen_registry_finishes_no_destruction_and_shreds_no_key_but_backs_up() -> None:
    """Everything that cannot be undone waits; everything that protects goes on."""
    company = Company()
    tenant = company.create()
    company.run()
    saved = save(company)
    anchor_journal(company.world)
    restore(company, saved)
    company.advance(days=333)
    company.run()
    backups = company.registry.backups(tenant.uid)
    assert len(backups) == 2, "the nightly backup was made"
    assert "blocked/registry-restored" in company.alarms(tenant)
    old = backups[0]
    assert all(copy.wrapped_key for copy in old.copies)
    reconcile(company)
    company.advance(hours=2)
    company.run()
    assert not any(copy.wrapped_key for copy in company.registry.backups(tenant.uid)[0].copies)


def test_acceptance_takes_two_people_the_same_findings_and_a_whole_look() -> None:
    """Each refused in one clear sentence."""
    company, _ = restored_company()
    alice, bob = as_person(company, "alice@example.com"), as_person(company, "bob@example.com")
    digest = compare(alice).digest
    with pytest.raises(Refused, match="are not those of '0123456789abcdef' any more"):
        accept(alice, compare(alice), "0123456789abcdef")
    company.servers[TENANTS_INSTANCE].reachable = False
    with pytest.raises(Refused, match=f"could not be looked at cannot be accepted: instance {TENANTS_INSTANCE}"):
        accept(alice, compare(alice), compare(alice).digest)
    company.servers[TENANTS_INSTANCE].reachable = True
    assert isinstance(accept(alice, compare(alice), digest), Proposal)
    with pytest.raises(Refused):
        accept(alice, compare(alice), digest)
    assert registry_seen(company.world).reconciled is None
    company.create("newcomer")
    assert compare(bob).digest == digest, "what a backup adds to both is no finding"
    assert isinstance(accept(bob, compare(bob), digest), Reconciliation)


def test_the_living_database_of_a_dead_tenant_is_an_alarm_and_never_dropped() -> None:
    """An instance that was brought back shows it; so does a registry that is wrong."""
    company = Company()
    tenant = company.deactivated()
    kept = company.database(tenant)
    company.advance(days=24)
    company.run()
    assert not company.has_database(tenant)
    company.servers[TENANTS_INSTANCE].databases[tenant.hosting.database] = kept
    (finding,) = [one for one in compare(company.world).findings if one.code == "database-of-the-dead"]
    assert finding.alarm
    assert tenant.uid in finding.sentence
    company.advance(days=400)
    company.run()
    assert company.has_database(tenant)
    assert "blocked/living-database" in company.alarms(tenant)
    assert company.registry.tenant(tenant.uid).state is State.DESTROYED, "it is not forgotten while it lives"


def test_what_the_registry_has_lost_is_found_wherever_it_lies() -> None:
    """A tenant it never heard of: its chain, its database, its backups and their keys."""
    company = Company()
    company.create("stays")
    saved = save(company)
    lost = company.create("lost")
    anchor_journal(company.world)
    restore(company, saved)
    found = [finding for finding in compare(company.world).findings if lost.uid in finding.sentence]
    assert {finding.code for finding in found} == {
        "tenant-unknown",
        "database-unknown",
        "backup-unknown",
        "key-unknown",
    }


def test_a_living_tenant_without_its_database_is_found() -> None:
    """It was destroyed after the backup that the registry was brought back from."""
    company = Company()
    tenant = company.deactivated()
    saved = save(company)
    company.advance(days=24)
    company.run()
    restore(company, saved)
    codes = {finding.code for finding in compare(company.world).findings if tenant.uid in finding.subject}
    assert {"database-missing", "chain-shorter"} <= codes


def test_what_cannot_be_looked_at_is_said() -> None:
    """Each place by its name; none of it is taken for empty."""
    company = Company()
    company.create()
    anchor_journal(company.world)
    company.vault.unreachable |= {HOME, ONE}
    company.key_store.unreachable.add(HOME)
    company.servers[TENANTS_INSTANCE].reachable = False
    unseen = "; ".join(compare(company.world).unseen)
    for place in (f"instance {TENANTS_INSTANCE}", f"key bucket in {HOME}", f"anchors in {ONE}", f"acme-{HOME}-daily"):
        assert place in unseen


def test_a_foreign_object_among_the_anchors_is_no_anchor() -> None:
    """A name that this version cannot read may be one of a newer one: unknown means stop."""
    company = Company()
    tenant = company.deactivated()
    for bucket in buckets(company.world).values():
        company.vault.put(bucket, "anchor/2026-11-23/v2-000.json", b"{}")
    company.advance(days=24)
    company.run()
    assert company.has_database(tenant)
    assert "blocked/registry" in company.alarms(tenant)


def _days(number: int) -> timedelta:
    return timedelta(days=number)
