"""The service is killed between taking an event and answering: pushed again, each event is applied once.

Real processes on real sockets, and a registry in PostgreSQL. What pushes is a loop that does as Pub/Sub does, and where
its emulator is on the machine, Pub/Sub.
"""

import base64
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import requests
from google.auth.credentials import AnonymousCredentials

from tenantctl.adapters.google.topic import EMULATOR, GoogleTopic
from tenantctl.billing.publishing import publish_all
from tenantctl.model.lifecycle import Event
from tenantctl.model.tenant import IntentKind, Wanted
from tests.contracts.postgres import ALICE, PostgresCluster, RegistryDatabase, postgres_cluster
from tests.contracts.pubsub import ask, emulator_program, pubsub_emulator, put, wait_for
from tests.contracts.registry_samples import Office
from tests.contracts.served import OPEN, Served, served
from tests.contracts.withheld import Road, Withheld, road_to
from tests.rooms.callers import Service, cloud_event, keys_file

WRITTEN = b"INSERT INTO registry.billing_events"
KINDS = ["subscription.cancelled", "subscription.resumed"]


@pytest.fixture(scope="module")
def cluster() -> Iterator[PostgresCluster]:
    with postgres_cluster() as running:
        yield running


@dataclass
class Scene:
    """A tenant that billing speaks of, the service before its registry, and the road between the two."""

    office: Office
    database: RegistryDatabase
    road: Road
    service: Served
    uid: str

    def events(self, count: int) -> list[dict[str, Any]]:
        """So many: the tenant is cancelled and resumed in turn."""
        return [cloud_event(self.uid, number, KINDS[(number - 1) % 2]) for number in range(1, count + 1)]

    def recorded(self) -> dict[int, str]:
        """What became of each event that is on record, by its number."""
        with self.database.superuser_session() as session:
            return dict(session.execute("SELECT sequence, outcome FROM billing_events").fetchall())

    def applied(self) -> int:
        """How often the tenant's intent was changed by what billing said."""
        return sum(one.kind is not IntentKind.CREATE for one in self.office.registry.intents(self.uid))


@contextmanager
def scene_in(cluster: PostgresCluster, keys: str) -> Iterator[Scene]:
    """A registry with one tenant that lives, and the service, which reaches it by the road."""
    setup = cluster.cluster.setup
    with (
        cluster.registry_database() as database,
        road_to(Path(setup.sockets) / f".s.PGSQL.{cluster.cluster.port}", WRITTEN) as road,
    ):
        office = database.office()
        tenant, _ = office.led_to(Event.DATABASE_READY)
        address = f"host=127.0.0.1 port={road.port} user={ALICE} dbname={database.name}"
        with served(address, keys) as service:
            yield Scene(office, database, road, service, tenant.uid)


def test_what_was_not_answered_is_pushed_again_and_applied_once(cluster: PostgresCluster, tmp_path: Path) -> None:
    """Killed with nothing on record the event is new, killed with all on record it is known; the newest one counts."""
    with scene_in(cluster, str(keys_file(tmp_path))) as scene:
        deaths = {2: Withheld.QUESTION, 3: Withheld.ANSWER, 5: Withheld.ANSWER}
        outcomes = [push(scene, event, deaths.get(event["data"]["sequence"])) for event in scene.events(6)]
        assert outcomes == ["applied", "applied", "duplicate", "applied", "duplicate", "applied"]
        assert scene.recorded() == dict.fromkeys(range(1, 7), "applied")
        assert scene.applied() == 6
        assert (scene.office.registry.tenant(scene.uid).wanted, scene.office.registry.alarms()) == (Wanted.LIVING, [])


def push(scene: Scene, event: dict[str, Any], withheld: Withheld | None) -> str:
    """Tells of an event until it is answered; the outcome. The service dies of the first delivery, if it is to."""
    service = Service(scene.service.url)
    if withheld is not None:
        scene.road.withhold(withheld)
        with ThreadPoolExecutor(1) as pool:
            delivery = pool.submit(service.tell, event)
            assert scene.road.reached.wait(60), "the service did not commit"
            scene.service.kill()
            assert isinstance(delivery.exception(60), requests.ConnectionError)
        is_on_record = event["data"]["sequence"] in scene.recorded()
        assert is_on_record == (withheld is Withheld.ANSWER)
        scene.service.start()
    answer = service.tell(event)
    service.session.close()
    assert answer.status_code == 200
    return str(answer.json()["outcome"])


@pytest.mark.skipif(
    emulator_program() is None, reason="Google's Pub/Sub emulator (gcloud, java) is not on this machine"
)
def test_pushed_by_the_real_pubsub_each_event_is_applied_once(cluster: PostgresCluster) -> None:
    """Published twice, the service killed in between: each is on record once, the newest counts, and we announce."""
    with scene_in(cluster, OPEN) as scene, pubsub_emulator() as address:
        events = scene.events(20)
        messages = [{"data": base64.b64encode(json.dumps(one).encode()).decode()} for one in [*events, *events]]
        base, topic = f"http://{address}/v1/projects/acme", "projects/acme/topics/billing"
        put(f"{base}/topics/billing", {})
        push = {"pushEndpoint": f"{scene.service.url}/v1/billing/events"}
        put(f"{base}/subscriptions/billing", {"topic": topic, "pushConfig": push, "ackDeadlineSeconds": 10})
        scene.road.withhold(Withheld.ANSWER)
        ask(f"{base}/topics/billing:publish", {"messages": messages})
        assert scene.road.reached.wait(120), "nothing was pushed"
        scene.service.kill()
        assert scene.recorded(), "what was committed is on record, and was not answered"
        ask(f"{base}/topics/billing:publish", {"messages": messages})
        scene.service.start()
        wait_for(lambda: len(scene.recorded()) == len(events))
        registry = scene.office.registry
        # What came in another order changed the intent where it was the newest, and was passed over where it was not.
        assert scene.applied() == list(scene.recorded().values()).count("applied")
        assert scene.recorded()[len(events)] in {"applied", "unchanged"}
        assert (registry.tenant(scene.uid).wanted, registry.alarms()) == (Wanted.LIVING, [])
        put(f"{base}/topics/tenants", {})
        router = {"topic": "projects/acme/topics/tenants", "enableMessageOrdering": True}
        put(f"{base}/subscriptions/router", router)
        sender = GoogleTopic("projects/acme/topics/tenants", AnonymousCredentials, {EMULATOR: address})
        publish_all(scene.office.billing, sender.send)
        pulled = ask(f"{base}/subscriptions/router:pull", {"maxMessages": 5})["receivedMessages"]
    told = [json.loads(base64.b64decode(one["message"]["data"]))["data"] for one in pulled]
    assert [(one["tenant"], one["to"]) for one in told] == [(scene.uid, "active")]
