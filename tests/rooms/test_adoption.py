"""A living database of an existing fleet becomes a tenant, as it is; whatever stands against it is said beforehand."""

from dataclasses import replace

import pytest

from tenantctl.adapters.memory.databases import MemoryDatabase
from tenantctl.bootstrap import catalogue
from tenantctl.model.adoption import ForeignSeen, OwnerSeen, reasons_against
from tenantctl.model.errors import Refused, Transient
from tenantctl.model.lifecycle import State
from tenantctl.model.tenant import Instance, InstanceRole, Tenant
from tenantctl.onboarding.adopting import look_at_adoptable, request_adoption
from tests.asking import PLACE
from tests.rooms.company import HOME, TENANTS_INSTANCE, Company

ROWS = ["one", "two"]
SEEN = ForeignSeen("", 10, 18, "UTF8", extensions=("citext", "plpgsql"), owners=(OwnerSeen("shop", is_ours=True),))
AGAINST = {
    "another's marker": (replace(SEEN, marker="tenantctl tenant other generation 1"), "it carries a comment already"),
    "an older server": (replace(SEEN, server_major=14), "PostgreSQL 14"),
    "another encoding": (replace(SEEN, encoding="LATIN1"), "its encoding is LATIN1"),
    "an extension": (replace(SEEN, extensions=("postgres_fdw",)), "does not allow its extension postgres_fdw"),
    "a role we cannot be": (replace(SEEN, owners=(OwnerSeen("x", is_ours=False),)), "may not act as the role x"),
    "a role of others": (
        replace(
            SEEN,
            owners=(OwnerSeen("x", is_ours=True, elsewhere=("crm",)),),
        ),
        "elsewhere too: crm",
    ),
    "a way out": (replace(SEEN, strange=("the subscription s",)), "it has the subscription s"),
}


def with_shop(instance: str = TENANTS_INSTANCE) -> Company:
    """A company whose instance has a database that nobody here made."""
    company = Company()
    shop = MemoryDatabase(tables={"public.orders": list(ROWS)}, owners={"shop"}, extensions={"plpgsql", "citext"})
    company.servers[instance].databases["shop"] = shop
    return company


def adopt(company: Company, **options: str) -> Tenant:
    """The request."""
    found = look_at_adoptable(company.world, "shop", instance=options.get("instance"), server_major=18)
    asked = {"name": "acme", "based_in": PLACE, "cause": "test", "instructing_party": "operator"}
    return request_adoption(company.world, catalogue(), found, **asked)


def check_adopted(company: Company, uid: str) -> None:
    """It is a tenant like any other, with what was in it."""
    tenant = company.registry.tenant(uid)
    assert tenant.state is State.ACTIVE
    there = company.servers[TENANTS_INSTANCE].databases
    assert "shop" not in there
    database = there[tenant.hosting.database]
    assert database.tables == {"public.orders": ROWS}
    assert (database.marker, database.owners, database.public) == (tenant.hosting.marker, {tenant.hosting.owner}, False)
    assert company.can_log_in(tenant.hosting)
    assert not any("shop" in entry.body for entry in company.registry.entries(uid)), "it may be the customer's name"
    assert tenant.extensions == ("citext",)


def test_a_living_database_becomes_a_tenants_as_it_is() -> None:
    """And is backed up and leaves like any other."""
    company = with_shop()
    tenant = adopt(company)
    assert (tenant.state, tenant.hosting.instance) == (State.REQUESTED, TENANTS_INSTANCE)
    company.run()
    check_adopted(company, tenant.uid)
    assert len(company.registry.backups(tenant.uid)) == 1
    company.cancel(tenant)
    company.run()
    assert company.registry.tenant(tenant.uid).state is State.DEACTIVATED


def test_a_crash_at_any_touch_is_gone_on_from() -> None:
    """Whenever the process dies, the next run finishes the adoption once, and makes no second database."""
    touches, blown = 0, True
    while blown:
        company = with_shop()
        tenant = adopt(company)
        blown = company.run_until_killed(touches)
        company.advance(minutes=10)
        company.run()
        check_adopted(company, tenant.uid)
        assert list(company.servers[TENANTS_INSTANCE].databases) == [tenant.hosting.database]
        touches += 3
    assert touches > 20


@pytest.mark.parametrize("case", AGAINST)
def test_what_stands_against_it_is_said_in_a_clear_sentence(case: str) -> None:
    """One for each fault, and nothing where there is none."""
    seen, words = AGAINST[case]
    (reason,) = reasons_against(seen, allowed_extensions=("citext",), server_major=18)
    assert words in reason
    assert not list(reasons_against(SEEN, allowed_extensions=("citext",), server_major=18))


def test_what_is_anothers_unknown_or_ambiguous_is_refused() -> None:
    """And nothing is written."""
    company = with_shop()
    company.servers[TENANTS_INSTANCE].databases["shop"].marker = "tenantctl tenant other generation 1"
    with pytest.raises(Refused, match="cannot be adopted: it carries a comment"):
        adopt(company)
    with pytest.raises(Refused, match="nowhere is no instance for tenants"):
        adopt(company, instance="nowhere")
    company.registry.add_instance(Instance("tenants-2", HOME, InstanceRole.TENANTS, 400))
    company.servers["tenants-2"].databases["shop"] = MemoryDatabase()
    with pytest.raises(Refused, match="shop is on tenants-1, tenants-2"):
        adopt(company)
    company.servers["tenants-2"].reachable = False
    with pytest.raises(Transient, match="tenants-2 does not answer"):
        adopt(company)
    assert company.registry.tenants() == []
    del company.servers[TENANTS_INSTANCE].databases["shop"]
    with pytest.raises(Refused, match="on no instance that was asked"):
        adopt(company, instance=TENANTS_INSTANCE)


def test_what_was_spoilt_since_is_left_alone_and_told() -> None:
    """The database is looked at once more before it is touched."""
    company = with_shop()
    tenant = adopt(company)
    company.servers[TENANTS_INSTANCE].databases["shop"].marker = "somebody else's"
    company.run()
    assert company.registry.tenant(tenant.uid).state is State.REQUESTED
    assert "blocked/not-adoptable" in company.alarms(tenant)
    assert company.servers[TENANTS_INSTANCE].databases["shop"].marker == "somebody else's"
