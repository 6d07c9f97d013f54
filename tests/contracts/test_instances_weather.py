"""The real instances adapter in bad weather, and among many threads: what cannot be known is never gone."""

import json
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from tenantctl.adapters.google.credentials import local_credentials, production_credentials
from tenantctl.adapters.google.instances import GoogleInstances
from tenantctl.adapters.google.transport import TimeLimits
from tenantctl.localcloud.client import LocalCloud
from tenantctl.model.errors import Refused, Transient
from tenantctl.model.sighting import Gone, Present, Sighting, Unreachable
from tenantctl.ports.instances import InstanceSeen
from tests.contracts.peers import answer, nobody, peer, saying, silent, trickling
from tests.localcloud.clouds import OPERATOR, throw_away_cloud

HURRIED = TimeLimits(connect_seconds=0.5, read_seconds=0.3, whole_seconds=0.8)
INSTANCE = {
    "kind": "sql#instance",
    "name": "standing",
    "region": "europe-west1",
    "state": "RUNNABLE",
    "databaseVersion": "POSTGRES_18",
}


@pytest.fixture(scope="module")
def cloud() -> Iterator[LocalCloud]:
    """A local cloud of this module's own, because faults are left in it."""
    with throw_away_cloud({"standing": "europe-west1"}) as made:
        yield made


def at(url: str, limits: TimeLimits | None = None, *, project: str = "test", email: str = OPERATOR) -> GoogleInstances:
    """The real adapter at any address."""
    credentials = local_credentials(email)
    return GoogleInstances(project, credentials, database_version="POSTGRES_18", endpoint=url, limits=limits)


def assert_nothing_is_known(instances: GoogleInstances) -> None:
    """Every look is unreachable, every effect may be tried again."""
    assert isinstance(instances.look("standing"), Unreachable)
    assert isinstance(instances.all(), Unreachable)
    with pytest.raises(Transient):
        instances.operation("one")
    with pytest.raises(Transient):
        instances.add_login("standing", OPERATOR, roles=())


def test_nobody_listens() -> None:
    with nobody() as url:
        assert_nothing_is_known(at(url))


def test_a_peer_that_accepts_and_never_answers() -> None:
    with peer(silent(INSTANCE)) as url:
        assert isinstance(at(url, HURRIED).look("standing"), Unreachable)


def test_a_peer_that_trickles() -> None:
    """No single byte is late, and yet the call ends."""
    with peer(trickling(INSTANCE)) as url:
        assert isinstance(at(url, HURRIED).look("standing"), Unreachable)


def test_a_peer_that_takes_its_time_within_the_limits() -> None:
    with peer(trickling(INSTANCE, seconds=1)) as url:
        assert isinstance(at(url).look("standing"), Present)


@pytest.mark.parametrize(
    "reply",
    [
        answer("404 Not Found", b"<html>no such page</html>", "text/html"),
        answer("200 OK", b"<html>please log in</html>", "text/html"),
        answer("200 OK", b"{}"),
        answer("200 OK", b""),
        answer("200 OK", b"[]"),
        answer("503 Service Unavailable", b""),
        answer("429 Too Many Requests", b'{"error": {"code": 429, "message": "slow down"}}'),
        b"SSH-2.0-OpenSSH_9.9\r\n",
    ],
)
def test_somebody_else_at_the_address(reply: bytes) -> None:
    """A proxy's 404 or a log-in page says nothing about which instances there are."""
    with peer(saying(reply)) as url:
        instances = at(url, TimeLimits(connect_seconds=1, read_seconds=1, whole_seconds=5))
        assert isinstance(instances.look("standing"), Unreachable)
        assert isinstance(instances.all(), Unreachable)
        with pytest.raises(Transient):
            instances.operation("one")


def test_a_list_that_misses_a_region_is_no_list() -> None:
    """The API answers, and says itself that it could not see everything."""
    warning = {"code": "REGION_UNREACHABLE", "message": "europe-west1 is not reachable", "region": "europe-west1"}
    document = json.dumps({"kind": "sql#instancesList", "items": [], "warnings": [warning]}).encode()
    with peer(saying(answer("200 OK", document))) as url:
        sighting = at(url).all()
    assert isinstance(sighting, Unreachable)
    assert "europe-west1 is not reachable" in sighting.reason


def test_another_project_is_not_an_empty_one(cloud: LocalCloud) -> None:
    """The 404 of a project is not the 404 of an instance."""
    elsewhere = at(cloud.endpoints["sqladmin"], project="another-project")
    assert isinstance(elsewhere.look("standing"), Unreachable)
    assert isinstance(elsewhere.all(), Unreachable)


def test_no_right_to_look(cloud: LocalCloud) -> None:
    instances = at(cloud.endpoints["sqladmin"], project=cloud.project)
    cloud.add_fault("sqladmin", "status", status=403)
    try:
        assert isinstance(instances.look("standing"), Unreachable)
        with pytest.raises(Refused, match="403 forbidden"):
            instances.create("made", "europe-west1")
    finally:
        cloud.clear_faults()


def test_a_gone_instance_is_asked_for_twice(cloud: LocalCloud) -> None:
    """While the list cannot be had, a 404 alone is not believed."""
    instances = at(cloud.endpoints["sqladmin"], project=cloud.project)
    assert instances.look("never-made") == Gone()
    cloud.add_fault("sqladmin", "status", status=503, path="/instances(\\?|$)")
    try:
        assert isinstance(instances.look("never-made"), Unreachable)
    finally:
        cloud.clear_faults()


@pytest.mark.parametrize("weather", [{"kind": "truncate", "after_bytes": 20}, {"kind": "drop", "after_bytes": 10_000}])
def test_an_answer_that_breaks_off(cloud: LocalCloud, weather: dict[str, Any]) -> None:
    instances = at(cloud.endpoints["sqladmin"], project=cloud.project)
    cloud.add_fault("sqladmin", **weather)
    try:
        assert isinstance(instances.look("standing"), Unreachable)
    finally:
        cloud.clear_faults()


def test_one_adapter_serves_many_threads(cloud: LocalCloud) -> None:
    """The client's transport cannot be shared; the adapter can."""
    instances = at(cloud.endpoints["sqladmin"], project=cloud.project)
    expected = instances.look("standing")
    answers: list[Sighting[InstanceSeen]] = []

    def look() -> None:
        answers.extend(instances.look("standing") for _ in range(10))

    threads = [threading.Thread(target=look) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert isinstance(expected, Present)
    assert answers == [expected] * 80


# Credentials


@pytest.mark.parametrize("email", ["", "someone", " someone@local.example", "someone@local.example\n"])
def test_a_local_login_is_an_address(email: str) -> None:
    with pytest.raises(Refused):
        local_credentials(email)


def test_a_login_that_the_api_does_not_know(cloud: LocalCloud) -> None:
    """A token that is refused and cannot be renewed: said plainly, and unreachable rather than gone."""
    credentials = local_credentials("someone@local.example")
    credentials.token = "expired"
    instances = GoogleInstances(
        cloud.project, credentials, database_version="POSTGRES_18", endpoint=cloud.endpoints["sqladmin"]
    )
    sighting = instances.look("standing")
    assert isinstance(sighting, Unreachable)
    assert "does not accept our credentials" in sighting.reason
    with pytest.raises(Refused, match="does not accept our credentials"):
        instances.create("made", "europe-west1")


def test_no_credentials_at_all(monkeypatch: pytest.MonkeyPatch) -> None:
    """One sentence, and what to do next."""
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", "/nonexistent/key.json")
    with pytest.raises(Refused, match="There are no Google credentials") as caught:
        production_credentials()
    assert "gcloud auth" in caught.value.hint
