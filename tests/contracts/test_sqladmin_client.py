"""The unmodified Cloud SQL Admin client does all that the adapters need, against the local cloud or a real project.

Against a real project: TENANTCTL_TEST_PROJECT and TENANTCTL_TEST_INSTANCE (PROJECT:REGION:NAME or the name alone) name
an instance in which the tests marked `live` make a database and a user and delete them again.
"""

import contextlib
import os
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import google.auth
import pytest
from googleapiclient.discovery import build
from googleapiclient.errors import HttpError

from tests.localcloud.clouds import admin_client, finish

_POLL_SECONDS = 0.01


@dataclass(frozen=True)
class Service:
    """An Admin API, and an instance that is there."""

    admin: Any
    project: str
    instance: str
    poll_seconds: float

    def wait(self, operation: dict[str, Any]) -> dict[str, Any]:
        """Follow an operation to its end, which is no error."""
        while operation["status"] != "DONE":
            time.sleep(self.poll_seconds)
            operation = self.admin.operations().get(project=self.project, operation=operation["name"]).execute()
        assert "error" not in operation, operation
        return operation


@pytest.fixture(params=["local", pytest.param("real", marks=pytest.mark.live)])
def service(request) -> Service:
    """The local cloud, and a real project if one is named."""
    if request.param == "local":
        cloud = request.getfixturevalue("local_cloud")
        return Service(admin_client(cloud), cloud.project, "two", _POLL_SECONDS)
    project, instance = os.environ.get("TENANTCTL_TEST_PROJECT"), os.environ.get("TENANTCTL_TEST_INSTANCE")
    if not project or not instance:
        pytest.skip("TENANTCTL_TEST_PROJECT and TENANTCTL_TEST_INSTANCE name no real instance")
    credentials, _ = google.auth.default(scopes=["https://www.googleapis.com/auth/cloud-platform"])
    return Service(build("sqladmin", "v1", credentials=credentials), project, instance.rpartition(":")[2], 2.0)


def status_of(request: Any) -> int:
    """Execute a request that is refused, and return the HTTP status."""
    with pytest.raises(HttpError) as caught:
        request.execute()
    return int(caught.value.status_code)


@contextlib.contextmanager
def a_database(service: Service) -> Iterator[str]:
    """A database with a name that nobody else has, deleted at the end."""
    name = f"contract-{uuid.uuid4().hex[:12]}"
    databases = service.admin.databases()
    service.wait(databases.insert(project=service.project, instance=service.instance, body={"name": name}).execute())
    yield name
    service.wait(databases.delete(project=service.project, instance=service.instance, database=name).execute())


def test_an_instance_tells_where_it_is_and_how_it_is(service) -> None:
    """What the adapters read of an instance is there."""
    found = service.admin.instances().get(project=service.project, instance=service.instance).execute()
    assert found["name"] == service.instance
    assert found["state"] == "RUNNABLE"
    assert found["databaseVersion"].startswith("POSTGRES_")
    assert found["connectionName"] == f"{service.project}:{found['region']}:{service.instance}"
    assert found["settings"]["activationPolicy"] == "ALWAYS"
    assert int(found["settings"]["settingsVersion"]) >= 1
    assert {address["type"] for address in found["ipAddresses"]} & {"PRIMARY", "PRIVATE"}


def test_the_fleet_is_listed_page_by_page(service) -> None:
    """Following the pages meets every instance once."""
    instances, names = service.admin.instances(), []
    request = instances.list(project=service.project, maxResults=1)
    while request is not None:
        answer = request.execute()
        names += [one["name"] for one in answer.get("items", [])]
        request = instances.list_next(request, answer)
    assert service.instance in names
    assert len(names) == len(set(names))


def test_gone_is_404_and_nothing_else(service) -> None:
    """Of instances, databases and operations."""
    project, instance = service.project, service.instance
    assert status_of(service.admin.instances().get(project=project, instance="not-there-at-all")) in (403, 404)
    assert status_of(service.admin.databases().get(project=project, instance=instance, database="not-there")) == 404
    assert status_of(service.admin.operations().get(project=project, operation=str(uuid.uuid4()))) in (403, 404)


def test_a_database_comes_and_goes(service) -> None:
    """Made, found, listed; a second one of the name is refused; deleted, and then it is 404."""
    databases = service.admin.databases()
    place = {"project": service.project, "instance": service.instance}
    with a_database(service) as name:
        found = databases.get(**place, database=name).execute()
        assert (found["name"], found["charset"]) == (name, "UTF8")
        assert name in [one["name"] for one in databases.list(**place).execute()["items"]]
        assert status_of(databases.insert(**place, body={"name": name})) in (400, 409)
    assert status_of(databases.get(**place, database=name)) == 404


def test_a_user_comes_and_goes(service) -> None:
    """A built-in user with a password is made, listed, given another password, and deleted."""
    users, name = service.admin.users(), f"contract-{uuid.uuid4().hex[:12]}"
    place = {"project": service.project, "instance": service.instance}
    body = {"name": name, "password": uuid.uuid4().hex}
    service.wait(users.insert(**place, body=body).execute())
    assert name in [one["name"] for one in users.list(**place).execute()["items"]]
    change = {"name": name, "password": uuid.uuid4().hex}
    service.wait(users.update(**place, name=name, body=change).execute())
    service.wait(users.delete(**place, name=name).execute())
    assert name not in [one["name"] for one in users.list(**place).execute()["items"]]


def test_an_operation_says_what_it_did_to_what(service) -> None:
    """Type, target and times; the list of an instance's operations begins with the newest."""
    with a_database(service):
        operations = service.admin.operations().list(project=service.project, instance=service.instance).execute()
        newest = operations["items"][0]
        assert newest["operationType"] == "CREATE_DATABASE"
        assert newest["targetId"] == service.instance
        assert newest["status"] == "DONE"
        assert newest["insertTime"] <= newest["endTime"]


def test_labels_are_patched_and_the_rest_stays(service) -> None:
    """A patch of labels is an UPDATE that leaves the tier alone."""
    instances, place = service.admin.instances(), {"project": service.project, "instance": service.instance}
    before = instances.get(**place).execute()["settings"]
    labels = {**before.get("userLabels", {}), "contract": uuid.uuid4().hex[:12]}
    operation = service.wait(instances.patch(**place, body={"settings": {"userLabels": labels}}).execute())
    assert operation["operationType"] == "UPDATE"
    after = instances.get(**place).execute()["settings"]
    assert after["userLabels"] == labels
    assert after["tier"] == before["tier"]
    service.wait(instances.patch(**place, body={"settings": {"userLabels": {**labels, "contract": None}}}).execute())


def test_an_instance_is_made_and_deleted(local_cloud) -> None:
    """The whole life of one; locally only, as a real one takes ten minutes and a week to forget its name."""
    admin, project = admin_client(local_cloud), local_cloud.project
    body: dict[str, Any] = {
        "name": "short-lived",
        "region": "asia-east1",
        "databaseVersion": "POSTGRES_18",
        "settings": {
            "tier": "db-custom-1-3840",
            "userLabels": {"role": "verify"},
            "backupConfiguration": {"enabled": True, "pointInTimeRecoveryEnabled": True},
            "databaseFlags": [{"name": "cloudsql.logical_decoding", "value": "on"}],
        },
    }
    operation = admin.instances().insert(project=project, body=body).execute()
    assert operation["operationType"] == "CREATE"
    at_once = admin.instances().get(project=project, instance="short-lived").execute()
    assert at_once["state"] in ("PENDING_CREATE", "RUNNABLE")
    finish(local_cloud, operation)
    found = admin.instances().get(project=project, instance="short-lived").execute()
    assert found["state"] == "RUNNABLE"
    for key, value in body["settings"].items():
        shown = found["settings"][key]
        assert value == shown or value.items() <= shown.items()
    finish(local_cloud, admin.instances().restart(project=project, instance="short-lived").execute())
    finish(local_cloud, admin.instances().delete(project=project, instance="short-lived").execute())
    assert status_of(admin.instances().get(project=project, instance="short-lived")) == 404
