"""The Admin API emulator refuses what the real service refuses, and its operations take their course."""

import asyncio
import http.client
import json
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from tenantctl.localcloud.client import LocalCloud
from tenantctl.localcloud.clock import LocalClock
from tenantctl.localcloud.discovery import Discovery, Mismatch
from tenantctl.localcloud.operations import Operations
from tenantctl.localcloud.records import Records
from tests.localcloud.clouds import (
    OPERATOR,
    admin_client,
    finish,
    make_instances,
    refused,
    throw_away_cloud,
)

BODY = {"region": "us-central1", "settings": {"tier": "db-f1-micro"}}


@pytest.fixture(scope="module")
def cloud() -> Iterator[LocalCloud]:
    """A local cloud of this file's own, with one instance that tests may change."""
    with throw_away_cloud({"subject": "us-central1"}) as made:
        yield made


@pytest.fixture(scope="module")
def admin(cloud: LocalCloud) -> Any:
    """The real client on it."""
    return admin_client(cloud)


def ask_raw(
    cloud: LocalCloud, verb: str, path: str, body: str = "", seconds: float = 20, **headers: str
) -> tuple[int, dict[str, Any]]:
    """Send a request that no real client would send."""
    connection = http.client.HTTPConnection("127.0.0.1", cloud.file.ports["sqladmin"], timeout=seconds)
    try:
        connection.request(verb, path, body or None, {"Authorization": f"Bearer local:{OPERATOR}", **headers})
        response = connection.getresponse()
        return response.status, json.loads(response.read())
    finally:
        connection.close()


def test_unknown_things_are_404_and_say_what_is_unknown(cloud, admin) -> None:
    """Instance, project, operation, database, user, and a path that the API does not have."""
    project = cloud.project
    assert refused(admin.instances().get(project=project, instance="nowhere")) == (404, "instanceDoesNotExist")
    assert refused(admin.instances().list(project="another-project")) == (404, "notFound")
    assert refused(admin.operations().get(project=project, operation="none")) == (404, "operationDoesNotExist")
    databases, users = admin.databases(), admin.users()
    missing = databases.get(project=project, instance="subject", database="none")
    assert refused(missing) == (404, "databaseDoesNotExist")
    assert refused(databases.delete(project=project, instance="subject", database="none"))[0] == 404
    assert refused(users.delete(project=project, instance="subject", name="none")) == (404, "userDoesNotExist")
    assert ask_raw(cloud, "GET", "/v1/projects/x/nonsense")[0] == 404


@pytest.mark.parametrize("prefix", ["/v1", "/sql/v1beta4"])
def test_both_versions_of_the_api_are_served(cloud, prefix) -> None:
    """The Admin client speaks v1, the connector and gcloud v1beta4; links stay in the version that was called."""
    status, answer = ask_raw(cloud, "GET", f"{prefix}/projects/{cloud.project}/instances/subject")
    assert status == 200
    assert answer["selfLink"].endswith(f"{prefix}/projects/{cloud.project}/instances/subject")
    assert ask_raw(cloud, "GET", f"{prefix}/projects/{cloud.project}/instances/subject/connectSettings")[0] == 200


@pytest.mark.parametrize("token", ["", "Bearer secret", "Bearer local:", "Bearer local:nobody", "Basic local:a@b"])
def test_a_token_must_say_whose_it_is(cloud, token) -> None:
    """Anything but `local:EMAIL` is 401."""
    assert ask_raw(cloud, "GET", f"/v1/projects/{cloud.project}/instances", Authorization=token)[0] == 401


def test_a_request_by_another_host_name_is_refused(cloud) -> None:
    """A web page cannot reach the local cloud by a name of its own."""
    for name in ("evil.example", "192.0.2.1"):
        assert ask_raw(cloud, "GET", f"/v1/projects/{cloud.project}/instances", Host=name)[0] == 403


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({"name": "x", "nonsense": 1}, "nonsense"),
        ({"name": 7}, "name"),
        ({"name": "x", "settings": {"activationPolicy": "SOMETIMES"}}, "activationPolicy"),
        ({"name": "Upper", **BODY}, "Upper"),
        ({"name": "x" * 98, **BODY}, "Invalid instance name"),
        ({"name": "x", "settings": {"tier": "t"}}, "region"),
        ({"name": "x", "region": "us-central1"}, "tier"),
        ({"name": "x", **BODY, "databaseVersion": "POSTGRES_9_6"}, "POSTGRES_9_6"),
        ({"name": "x", **BODY, "masterInstanceName": "subject"}, "masterInstanceName"),
        ({"name": "x", "region": "r", "settings": {"tier": "t", "databaseFlags": [{"name": "port"}]}}, "port"),
        ([], "object"),
    ],
)
def test_a_bad_instance_is_refused_and_named(cloud, body, said) -> None:
    """400, with what is wrong, and nothing is made."""
    status, answer = ask_raw(cloud, "POST", f"/v1/projects/{cloud.project}/instances", json.dumps(body))
    assert status == 400
    assert said in answer["error"]["message"]
    assert [one["name"] for one in cloud.status()["instances"] if one["name"] != "subject"] == []


def test_what_is_not_emulated_says_so(cloud) -> None:
    """501, not a quiet yes."""
    status, answer = ask_raw(cloud, "POST", f"/v1/projects/{cloud.project}/instances/subject/clone", "{}")
    assert (status, answer["error"]["errors"][0]["reason"]) == (501, "notImplemented")


def test_an_operation_goes_from_pending_over_running_to_done(tmp_path) -> None:
    """It is RUNNING for as long as its work lasts, and keeps its instance to itself until it is DONE."""

    async def follow() -> None:
        records = Records(tmp_path / "records.sqlite")
        operations = Operations("project", records, LocalClock(tmp_path / "clock.json"), duration_seconds=0.0)
        begun, may_end = asyncio.Event(), asyncio.Event()

        async def work(arguments: Mapping[str, Any], repeated: bool) -> None:
            assert (arguments["name"], repeated) == ("wanted", False)
            begun.set()
            await may_end.wait()

        operations.knows_work("wait", work)
        accepted = operations.submit(
            "CREATE_DATABASE", "one", "wait", {"name": "wanted"}, user=OPERATOR, root_url="http://127.0.0.1/v1"
        )
        assert accepted["status"] == "PENDING"
        assert operations.busy("one")
        assert not operations.busy("two")
        await begun.wait()
        running = operations.get(accepted["name"])
        assert running is not None
        assert running["status"] == "RUNNING"
        may_end.set()
        await operations.settle(20)
        done = operations.get(accepted["name"])
        assert done is not None
        assert done["status"] == "DONE"
        assert done["insertTime"] <= done["startTime"] <= done["endTime"]
        assert (done["operationType"], done["user"], done["targetId"]) == ("CREATE_DATABASE", OPERATOR, "one")
        assert not operations.busy("one")
        records.close()

    asyncio.run(follow())


def test_an_accepted_operation_can_end_in_an_error(cloud, admin) -> None:
    """On request, and where PostgreSQL refuses; the instance is free again afterwards."""
    cloud.fail_operation("CREATE_DATABASE", "the disk is full", times=1)
    insert = admin.databases().insert(project=cloud.project, instance="subject", body={"name": "unlucky"})
    failed = finish(cloud, insert.execute(), fails=True)
    assert failed["error"]["errors"][0]["message"] == "the disk is full"
    finish(cloud, insert.execute())
    odd = {"name": "odd", "collation": "xx_YY.nonsense"}
    refused_by_server = admin.databases().insert(project=cloud.project, instance="subject", body=odd)
    assert "xx_YY" in str(finish(cloud, refused_by_server.execute(), fails=True)["error"])


def test_lists_come_in_pages(cloud, admin) -> None:
    """Operations, newest first, as the client follows them; a filter is refused rather than ignored."""
    operations = admin.operations()
    whole = operations.list(project=cloud.project, instance="subject").execute()["items"]
    request, seen = operations.list(project=cloud.project, instance="subject", maxResults=2), []
    while request is not None:
        answer = request.execute()
        assert len(answer["items"]) <= 2
        seen += answer["items"]
        request = operations.list_next(request, answer)
    assert [one["name"] for one in seen] == [one["name"] for one in whole]
    assert refused(admin.instances().list(project=cloud.project, filter="state:RUNNABLE")) == (400, "invalidRequest")


def test_faults_strike_as_asked(cloud, admin) -> None:
    """503 and 429 are retried by the client when told to; a drop and a delay are what they say."""
    get = admin.instances().get(project=cloud.project, instance="subject")
    for status in (503, 429):
        cloud.add_fault("sqladmin", "status", status=status, times=1, method="GET")
        assert refused(get)[0] == status
        cloud.add_fault("sqladmin", "status", status=status, times=1, method="GET")
        assert get.execute(num_retries=2)["name"] == "subject"
    cloud.add_fault("sqladmin", "drop", times=1)
    with pytest.raises(http.client.RemoteDisconnected):
        ask_raw(cloud, "GET", f"/v1/projects/{cloud.project}/instances")
    cloud.add_fault("sqladmin", "delay", seconds=3, times=1, path="/instances$")
    with pytest.raises(TimeoutError):
        ask_raw(cloud, "GET", f"/v1/projects/{cloud.project}/instances", seconds=0.5)
    cloud.add_fault("sqladmin", "status", status=500, path="/operations/")
    assert ask_raw(cloud, "GET", f"/v1/projects/{cloud.project}/instances")[0] == 200
    assert cloud.clear_faults() == 1
    assert cloud.faults() == []


def test_an_instance_that_does_not_answer_is_503_for_what_needs_it() -> None:
    """A crash behind the API's back is no 404: gone and could-not-look are told apart."""
    with throw_away_cloud() as cloud:
        make_instances(cloud, {"victim": "us-central1"})
        cloud.kill_instance("victim")
        assert cloud.status()["instances"][0]["state"] == "DOWN"
        admin = admin_client(cloud)
        assert refused(admin.databases().list(project=cloud.project, instance="victim"))[0] in (400, 503)
        finish(cloud, admin.instances().patch(project=cloud.project, instance="victim", body={}).execute())
        assert cloud.status()["instances"][0]["state"] == "RUNNABLE"


def test_an_answer_that_the_api_does_not_describe_would_be_noticed() -> None:
    """The check of answers bites."""
    discovery = Discovery()
    discovery.check("Operation", {"status": "DONE", "name": "x"})
    for bad in ({"status": "FINISHED"}, {"state": "DONE"}, {"name": 5}, {"error": {"errors": [{"codes": "x"}]}}):
        with pytest.raises(Mismatch):
            discovery.check("Operation", bad)
