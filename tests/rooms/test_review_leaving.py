"""Leaving and coming back in unlucky orders: quick requests, looks that fail, restores that never work."""

from dataclasses import replace
from datetime import timedelta

import pytest

from tenantctl.bootstrap import policies
from tenantctl.model.backup import Backup, RetentionClass
from tenantctl.model.errors import Refused, Transient
from tenantctl.model.lifecycle import State
from tenantctl.model.tenant import Hosting, Tenant, Wanted
from tests.rooms.company import HOME, Company

GRACE = timedelta(days=policies().lifecycle.grace_days)


@pytest.fixture
def company() -> Company:
    return Company()


def read(company: Company, tenant: Tenant) -> Tenant:
    return company.registry.tenant(tenant.uid)


def finals(company: Company, tenant: Tenant) -> list[Backup]:
    return [one for one in company.registry.backups(tenant.uid) if one.retention_class is RetentionClass.FINAL]


def test_each_cancellation_has_a_grace_of_its_own(company: Company) -> None:
    """Reinstated and cancelled again before any worker came by: three weeks from the second time on."""
    tenant = company.create()
    company.cancel(tenant)
    company.run()
    company.advance(days=20)
    company.reinstate(tenant)
    company.advance(hours=1)
    company.cancel(tenant)
    again = company.moment
    company.run()
    company.run()
    left = read(company, tenant)
    assert left.state is State.DEACTIVATED
    assert left.destroy_after is not None
    assert left.destroy_after >= again + GRACE
    company.moment = left.destroy_after - timedelta(seconds=1)
    company.registry.make_due(tenant.uid)
    company.run()
    assert company.has_database(tenant)


def test_a_cancellation_in_effect_is_not_put_off_but_reinstated(company: Company) -> None:
    """Another date for a closed tenant would open its logins without anyone having asked for that."""
    tenant = company.deactivated()
    with pytest.raises(Refused, match="reinstate"):
        company.cancel(tenant, effective_at=company.moment + timedelta(days=100))
    company.registry.make_due(tenant.uid)
    company.run()
    assert not company.can_log_in(tenant.hosting)
    assert read(company, tenant).destroy_after == tenant.destroy_after


def test_a_cancellation_to_come_may_be_moved(company: Company) -> None:
    tenant = company.create()
    company.cancel(tenant, effective_at=company.moment + timedelta(days=100))
    company.cancel(tenant, effective_at=company.moment + timedelta(days=200))
    assert read(company, tenant).intent_effective_at == company.moment + timedelta(days=200)


def test_reinstated_and_cancelled_for_a_later_day_is_active_until_then(company: Company) -> None:
    """A tenant that comes back for a while is active for that while, backed up, and not half open."""
    tenant = company.deactivated()
    company.reinstate(tenant)
    company.cancel(tenant, effective_at=company.moment + timedelta(days=100))
    company.run()
    back = read(company, tenant)
    assert (back.state, back.wanted, back.destroy_after) == (State.ACTIVE, Wanted.LEAVING, None)
    assert company.can_log_in(tenant.hosting)
    company.advance(days=100)
    company.run()
    assert read(company, tenant).state is State.DEACTIVATED


def test_row_security_that_was_lifted_in_an_earlier_closing_comes_back(company: Company) -> None:
    """A login found open is closed again, and another final backup made; what the first one lifted is still owed."""
    tenant = company.create()
    company.run()
    company.database(tenant).forced.add("public.orders")
    company.cancel(tenant)
    company.run()
    assert company.database(tenant).forced == set()
    company.databases.open_logins(tenant.hosting)
    company.advance(days=1)
    company.run()
    assert len(finals(company, tenant)) == 2
    company.reinstate(tenant)
    company.run()
    assert read(company, tenant).state is State.ACTIVE
    assert company.database(tenant).forced == {"public.orders"}


def test_row_security_that_the_customer_took_off_stays_off(company: Company) -> None:
    """What was given back once is not owed a second time."""
    tenant = company.create()
    company.run()
    company.database(tenant).forced.add("public.orders")
    company.cancel(tenant)
    company.run()
    company.reinstate(tenant)
    company.run()
    company.database(tenant).forced.clear()
    company.cancel(tenant)
    company.run()
    company.reinstate(tenant)
    company.run()
    assert read(company, tenant).state is State.ACTIVE
    assert company.database(tenant).forced == set()


def test_an_instance_that_did_not_answer_is_not_an_open_login(company: Company) -> None:
    """Could not look is not open: no second closing, and no second final backup, because of a lost packet."""
    tenant = company.create()
    company.cancel(tenant)
    scratch = company.scratch.restore
    company.scratch.restore = _silent  # type: ignore[method-assign, assignment]  # so that it stays deactivating
    company.run()
    closing = read(company, tenant)
    assert (closing.state, len(finals(company, tenant))) == (State.DEACTIVATING, 1)
    company.scratch.restore = scratch  # type: ignore[method-assign]
    company.advance(hours=1)
    looks = iter([False])
    company.wrapped = lambda world: replace(world, databases=_Flickering(world.databases, looks))  # type: ignore[arg-type]
    company.run()
    company.advance(hours=1)
    company.run()
    after = read(company, tenant)
    assert after.state is State.DEACTIVATED
    assert after.logins_closed_at == closing.logins_closed_at
    assert len(finals(company, tenant)) == 1


def _silent(*_: object) -> None:
    raise Transient("the instance does not answer")


class _Flickering:
    """Databases whose first look at logins finds no answer."""

    def __init__(self, databases: object, looks: object) -> None:
        self._databases, self._looks = databases, looks

    def look_at_logins(self, hosting: Hosting) -> object:
        from tenantctl.model.sighting import Unreachable

        if next(self._looks, True) is False:  # type: ignore[call-overload]
            return Unreachable("a lost packet")
        return self._databases.look_at_logins(hosting)  # type: ignore[attr-defined]

    def __getattr__(self, name: str) -> object:
        return getattr(self._databases, name)


def test_a_restore_that_never_works_does_not_fill_the_buckets(company: Company) -> None:
    """A final backup is locked for most of a year: one that fails its proof is not made again every few minutes."""
    tenant = company.create()
    company.cancel(tenant)
    company.scratch.restore = _refused  # type: ignore[method-assign, assignment]
    for _ in range(24 * 4):
        company.run()
        company.advance(minutes=15)
    assert 1 <= len(finals(company, tenant)) <= 3
    assert read(company, tenant).state is State.DEACTIVATING
    assert "verification-failed" in company.alarms(tenant)
    del company.scratch.restore
    company.advance(days=2)
    company.run()
    company.advance(hours=2)
    company.run()
    assert read(company, tenant).state is State.DEACTIVATED
    assert company.alarms(tenant) == set()


def _refused(*_: object) -> None:
    raise Refused("the archive does not restore")


def test_the_forgotten_have_no_alarm_open(company: Company) -> None:
    """Nobody works on them any more, so nothing would ever close it."""
    tenant = company.create()
    company.run()
    newest = company.registry.backups(tenant.uid)[-1]
    lost = next(copy for copy in newest.copies if copy.region == HOME)
    company.vault.lose(lost.bucket, lost.object_name)
    company.advance(days=1, minutes=15)
    company.run()
    assert "copy-lost" in company.alarms(tenant)
    company.cancel(tenant)
    company.run()
    for _ in range(400):
        company.advance(days=1)
        company.run()
    assert read(company, tenant).state is State.FORGOTTEN
    assert company.alarms(tenant) == set()
