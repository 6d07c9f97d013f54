"""The contract of the port `Instances`, held against the one in memory and the real client on a local cloud.

With `TENANTCTL_TEST_PROJECT` and `TENANTCTL_TEST_INSTANCE` (PROJECT:REGION:NAME) set, what only looks also runs
against that project (`pytest -m live`), with the caller's own credentials; nothing is made there.
"""

import os
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import pytest

from tenantctl.adapters.google.credentials import local_credentials, production_credentials
from tenantctl.adapters.google.estate import ensure_instance, ensure_login, wait_for
from tenantctl.adapters.google.instances import GoogleInstances, login_name
from tenantctl.adapters.memory.instances import MemoryInstances
from tenantctl.localcloud.client import LocalCloud
from tenantctl.model.errors import NotFound, Refused, Transient
from tenantctl.model.sighting import Gone, Present, Unreachable
from tenantctl.ports.instances import Instances, InstanceSeen
from tests.localcloud.clouds import OPERATOR, SERVICE_ACCOUNT, admin_client, throw_away_cloud

REGION, ELSEWHERE = "europe-west1", "us-central1"
SUPERUSER = ("cloudsqlsuperuser",)
PROJECT, INSTANCE = os.environ.get("TENANTCTL_TEST_PROJECT"), os.environ.get("TENANTCTL_TEST_INSTANCE")


@dataclass
class MemoryPlace:
    """Instances in memory, with one that runs."""

    instances: MemoryInstances
    present: str

    def fall_silent(self) -> None:
        self.instances.unreachable = True

    def fail_next(self, instance: str, _operation_type: str) -> None:
        self.instances.failing[instance] = "out of luck"

    def roles_of(self, instance: str, email: str) -> set[str]:
        return set(self.instances.logins(instance)[email])


@dataclass
class LocalPlace:
    """The real adapter on a local cloud, with one instance that runs."""

    instances: GoogleInstances
    present: str
    cloud: LocalCloud

    def fall_silent(self) -> None:
        self.cloud.add_fault("sqladmin", "status", status=503)

    def fail_next(self, _instance: str, operation_type: str) -> None:
        self.cloud.fail_operation(operation_type, "out of luck")

    def roles_of(self, instance: str, email: str) -> set[str]:
        users = admin_client(self.cloud).users().list(project=self.cloud.project, instance=instance).execute()
        return set(next(user["databaseRoles"] for user in users["items"] if user["name"] == login_name(email)))


Place = MemoryPlace | LocalPlace


@contextmanager
def quiet(cloud: LocalCloud) -> Iterator[None]:
    """No fault outlives its test, and no operation disturbs the next."""
    try:
        yield
    finally:
        cloud.clear_faults()
        admin = admin_client(cloud)
        while any(one["status"] != "DONE" for one in admin.operations().list(project=cloud.project).execute()["items"]):
            time.sleep(0.01)


@pytest.fixture(scope="module")
def cloud() -> Iterator[LocalCloud]:
    """A local cloud of this module's own, whose operations take long enough to be met."""
    with throw_away_cloud(operation_seconds=0.1) as made:
        ensure_instance(google_instances(made), "standing", REGION)
        yield made


@pytest.fixture(params=["memory", "local"])
def here(request: pytest.FixtureRequest) -> Iterator[Place]:
    """Instances under test, one of them running."""
    if request.param == "memory":
        instances = MemoryInstances()
        instances.add("standing", REGION)
        yield MemoryPlace(instances, "standing")
    else:
        cloud = request.getfixturevalue("cloud")
        with quiet(cloud):
            yield LocalPlace(google_instances(cloud), "standing", cloud)


def google_instances(cloud: LocalCloud, email: str = OPERATOR) -> GoogleInstances:
    """The real adapter on a local cloud."""
    return GoogleInstances(
        cloud.project,
        local_credentials(email),
        database_version="POSTGRES_18",
        endpoint=cloud.endpoints["sqladmin"],
    )


def fresh_name() -> str:
    return f"made-{secrets.token_hex(4)}"


def seen(instances: Instances, name: str) -> InstanceSeen:
    sighting = instances.look(name)
    assert isinstance(sighting, Present)
    return sighting.value


# 1. `look` answers gone only if the API itself said so.


def test_1_present(here: Place) -> None:
    found = seen(here.instances, here.present)
    assert (found.name, found.region, found.state) == ("standing", REGION, "RUNNABLE")
    assert found.database_version == "POSTGRES_18"
    assert found.deletion_protected is True
    assert found.addresses


def test_1_gone(here: Place) -> None:
    assert here.instances.look("never-made") == Gone()


def test_1_all(here: Place) -> None:
    everything = here.instances.all()
    assert isinstance(everything, Present)
    names = [one.name for one in everything.value]
    assert "standing" in names
    assert names == sorted(names)
    assert seen(here.instances, "standing") in everything.value


# 2. An API that does not answer, or is over its quota, raises Transient (a look is Unreachable).


def test_2_a_silent_api(here: Place) -> None:
    """Nothing is gone, and every effect may be tried again."""
    here.fall_silent()
    assert isinstance(here.instances.look(here.present), Unreachable)
    assert isinstance(here.instances.look("never-made"), Unreachable)
    assert isinstance(here.instances.all(), Unreachable)
    with pytest.raises(Transient):
        here.instances.create(fresh_name(), REGION)
    with pytest.raises(Transient):
        here.instances.operation("any")
    with pytest.raises(Transient):
        here.instances.add_login(here.present, OPERATOR, roles=SUPERUSER)
    with pytest.raises(Transient):
        ensure_instance(here.instances, here.present, REGION)


# Making instances


def test_creating_an_instance(here: Place) -> None:
    """Accepted at once, there when its operation is done, protected from deletion."""
    name = fresh_name()
    operation = here.instances.create(name, REGION)
    assert operation.status in ("PENDING", "RUNNING")
    wait_for(here.instances, operation, "create it")
    assert here.instances.operation(operation.name).status == "DONE"
    assert here.instances.operation(operation.name).error is None
    found = seen(here.instances, name)
    assert (found.region, found.state, found.deletion_protected) == (REGION, "RUNNABLE", True)
    assert found.recovers_to_any_moment
    assert dict(found.flags)["cloudsql.iam_authentication"] == "on"


def test_creating_what_is_there_is_refused(here: Place) -> None:
    with pytest.raises(Refused):
        here.instances.create(here.present, REGION)


def test_ensuring_an_instance_again_makes_no_other(here: Place) -> None:
    name = fresh_name()
    made = ensure_instance(here.instances, name, REGION)
    assert ensure_instance(here.instances, name, REGION) == made
    with pytest.raises(Refused, match=f"is in {REGION}, not in {ELSEWHERE}"):
        ensure_instance(here.instances, name, ELSEWHERE)


def test_ensuring_an_instance_that_is_being_made(here: Place) -> None:
    """After a crash the wait goes on where the making stands."""
    name = fresh_name()
    operation = here.instances.create(name, REGION)
    if isinstance(here, MemoryPlace):
        wait_for(here.instances, operation, "create it")
    assert ensure_instance(here.instances, name, REGION).state == "RUNNABLE"


def test_an_operation_that_fails(here: Place) -> None:
    """Submitting succeeds, the operation does not: its own words are told."""
    here.fail_next(here.present, "CREATE_USER")
    with pytest.raises(Refused, match="out of luck"):
        ensure_login(here.instances, here.present, f"{secrets.token_hex(4)}@local.example", roles=SUPERUSER)


def test_an_operation_that_does_not_end(here: Place) -> None:
    operation = here.instances.create(fresh_name(), REGION)
    with pytest.raises(Transient, match="has not ended"):
        wait_for(here.instances, operation, "create it", seconds=0)


def test_an_unknown_operation(here: Place) -> None:
    with pytest.raises(NotFound):
        here.instances.operation("4f6d1d0e-0000-0000-0000-000000000000")


# Logins


@pytest.mark.parametrize("ending", ["@local.example", "@tenantctl-local.iam.gserviceaccount.com"])
def test_a_login_and_its_roles(here: Place, ending: str) -> None:
    """The same again is a no-op; a role that is asked for later is granted."""
    email = f"someone-{secrets.token_hex(4)}{ending}"
    ensure_login(here.instances, here.present, email, roles=())
    assert here.roles_of(here.present, email) == set()
    ensure_login(here.instances, here.present, email, roles=SUPERUSER)
    assert here.roles_of(here.present, email) == set(SUPERUSER)
    again = here.instances.add_login(here.present, email, roles=SUPERUSER)
    assert (again.name, again.status, again.error) == ("", "DONE", None)
    assert here.instances.operation(again.name) == again
    assert here.instances.add_login(here.present, email, roles=()) == again


def test_a_login_while_another_operation_runs(here: Place) -> None:
    """One operation at a time for each instance: the second is Transient."""
    for _ in range(20):  # a machine with much to do may come too late for an operation that takes a tenth of a second
        first = here.instances.add_login(here.present, f"{secrets.token_hex(4)}@local.example", roles=())
        other = f"{secrets.token_hex(4)}@local.example"
        try:
            wait_for(here.instances, here.instances.add_login(here.present, other, roles=()), "add it")
        except Transient:
            break
    else:
        pytest.fail("two operations at a time")
    wait_for(here.instances, first, "add it")
    ensure_login(here.instances, here.present, other, roles=())


def test_a_login_on_no_instance(here: Place) -> None:
    with pytest.raises(NotFound):
        here.instances.add_login("never-made", OPERATOR, roles=SUPERUSER)


def test_names_of_logins() -> None:
    assert login_name(OPERATOR) == OPERATOR
    assert login_name(SERVICE_ACCOUNT) == "worker@tenantctl-local.iam"


# A real project


@pytest.mark.live
@pytest.mark.skipif(not (PROJECT and INSTANCE), reason="names no Google Cloud project and instance")
def test_looking_at_a_real_project() -> None:
    assert PROJECT is not None
    assert INSTANCE is not None
    _, region, name = INSTANCE.rsplit(":", 2)
    instances = GoogleInstances(PROJECT, production_credentials(), database_version="POSTGRES_18")
    assert seen(instances, name).region == region
    everything = instances.all()
    assert isinstance(everything, Present)
    assert name in [one.name for one in everything.value]
    assert instances.look(f"never-made-{secrets.token_hex(4)}") == Gone()
