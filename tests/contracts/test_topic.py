"""The way out, over real HTTP: to a topic as Pub/Sub's REST interface has it, and to billing, which is asked."""

import base64
import json
import os
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import requests
from google.auth.credentials import AnonymousCredentials

from tenantctl.adapters.google.asked_subscriptions import AskedSubscriptions
from tenantctl.adapters.google.topic import EMULATOR, GoogleTopic
from tenantctl.adapters.memory.billing import MemoryBilling
from tenantctl.adapters.memory.decisions import MemoryDecisions
from tenantctl.billing.publishing import publish_all
from tenantctl.entrypoints.service.app import Desk
from tenantctl.entrypoints.service.identity import Gate, IssuedKeys, KeyRing, Role
from tenantctl.model.billing import Outcome, SubscriptionSeen
from tenantctl.model.errors import Refused, Transient
from tenantctl.model.outbox import Told
from tenantctl.model.sighting import Gone, Present, Sighting, Unreachable
from tenantctl.model.tenant import Wanted
from tests.rooms.billing_cases import NOW, UID, registry_with_a_tenant
from tests.rooms.callers import AUDIENCE, BILLING, CALLERS, cloud_event, serving

TOPIC = "projects/acme/topics/tenants"


@dataclass
class Peer:
    """A server on this machine that answers as it is told, and remembers what it was asked."""

    port: int = 0
    status: int = 200
    answer: Any = field(default_factory=dict)
    asked: list[tuple[str, Any]] = field(default_factory=list)

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"


@pytest.fixture
def peer() -> Iterator[Peer]:
    """One for each test."""
    state = Peer()

    class Answers(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            self._answer(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))

        def do_GET(self) -> None:
            self._answer(self.headers.get("Authorization"))

        def _answer(self, said: Any) -> None:
            state.asked.append((self.path, said))
            body = state.answer if isinstance(state.answer, bytes) else json.dumps(state.answer).encode()
            self.send_response(state.status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Nothing is printed."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Answers) as server:
        state.port = server.server_address[1]
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        yield state
        server.shutdown()


def test_what_is_published_bears_its_order_and_its_number(peer: Peer) -> None:
    """All in one request, keyed by tenant; what the topic did not take stays, and goes out with what came after."""
    registry = registry_with_a_tenant()
    billing, ledger = MemoryBilling(registry), registry.shelf.billing
    topic = GoogleTopic(TOPIC, AnonymousCredentials, {EMULATOR: peer.address})
    ledger.announce(UID, Told.STATE, {"from": "requested", "to": "active"}, at=NOW)
    peer.status, peer.answer = 503, {"error": {"message": "later"}}
    with pytest.raises(Transient):
        publish_all(billing, topic.send)
    ledger.announce(UID, Told.PLACE, {"region": "us-south1"}, at=NOW)
    peer.status, peer.answer = 200, {"messageIds": ["1", "2"]}
    assert publish_all(billing, topic.send) == 2
    path, said = peer.asked[-1]
    assert path == f"/v1/{TOPIC}:publish"
    assert [one["orderingKey"] for one in said["messages"]] == [UID, UID]
    events = [json.loads(base64.b64decode(one["data"])) for one in said["messages"]]
    assert [event["sequence"] for event in events] == [f"{number:020d}" for number in (1, 2)]
    assert events[0] == {
        "specversion": "1.0",
        "id": "1",
        "source": "/tenantctl",
        "type": "tenantctl.tenant.state-changed",
        "subject": UID,
        "time": "2026-11-23T12:00:00Z",
        "datacontenttype": "application/json",
        "sequence": f"{1:020d}",
        "data": {"tenant": UID, "from": "requested", "to": "active"},
    }
    assert publish_all(billing, topic.send) == 0


def test_a_topic_is_named_in_full_and_a_no_is_a_no(peer: Peer) -> None:
    """Who may not publish is told so, and not to try again."""
    with pytest.raises(Refused, match="is no topic"):
        GoogleTopic("tenants", AnonymousCredentials, {})
    registry = registry_with_a_tenant()
    registry.shelf.billing.announce(UID, Told.STATE, {}, at=NOW)
    peer.status, peer.answer = 403, {"error": {"message": "no", "errors": [{"reason": "forbidden"}]}}
    topic = GoogleTopic(TOPIC, AnonymousCredentials, {EMULATOR: peer.address})
    with pytest.raises(Refused, match="no"):
        publish_all(MemoryBilling(registry), topic.send)


class Said:
    """What billing said last."""

    def __init__(self, answer: Sighting[SubscriptionSeen]) -> None:
        self._answer = answer

    def look(self, tenant_uid: str) -> Sighting[SubscriptionSeen]:
        return self._answer


ENDED, LASTS = (Present(SubscriptionSeen(lasts, "as it was told")) for lasts in (False, True))


@pytest.mark.parametrize(
    ("told", "status", "answer", "seen"),
    [
        (ENDED, 200, {"lasts": False}, "ended"),
        (ENDED, 200, {"lasts": True}, "lasts"),
        (LASTS, 200, {"lasts": False}, "lasts"),  # whoever resumed it was heard, and is newer
        (Gone(), 404, {"error": "unknown"}, "gone"),
        (ENDED, 404, {"error": "unknown"}, "unreachable"),
        (ENDED, 404, b"<html>no such page</html>", "unreachable"),
        (Gone(), 404, b"<html>no such page</html>", "unreachable"),
        (ENDED, 200, {"lasts": "no"}, "unreachable"),
        (ENDED, 200, {}, "unreachable"),
        (ENDED, 302, {"lasts": False}, "unreachable"),
        (ENDED, 500, {"lasts": False}, "unreachable"),
    ],
)
def test_billing_is_believed_only_where_it_answers(
    peer: Peer, told: Sighting[SubscriptionSeen], status: int, answer: Any, seen: str
) -> None:
    """A page of a proxy, another status, another type: nobody knows, and nothing is destroyed."""
    peer.status, peer.answer = status, answer
    asked = AskedSubscriptions(
        f"http://{peer.address}/tenants/{{tenant}}", Said(told), lambda audience: f"for {audience}"
    )
    match asked.look(UID):
        case Present(found):
            assert seen == ("lasts" if found.lasts else "ended")
        case Gone():
            assert seen == "gone"
        case Unreachable():
            assert seen == "unreachable"
    assert peer.asked in ([], [(f"/tenants/{UID}", f"Bearer for http://{peer.address}")])


def test_billing_that_is_away_is_unreachable() -> None:
    """Not gone."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    asked = AskedSubscriptions(f"http://127.0.0.1:{port}/{{tenant}}", Said(ENDED), None)
    assert isinstance(asked.look(UID), Unreachable)


# The real Pub/Sub, where its emulator is


def emulator_program() -> Path | None:
    """Where this machine has one, if it does, and what it runs on."""
    gcloud = shutil.which("gcloud")
    if gcloud is None or shutil.which("java") is None:
        return None
    program = Path(gcloud).resolve().parents[1] / "platform/pubsub-emulator/bin/cloud-pubsub-emulator"
    return program if program.is_file() else None


EMULATOR_PROGRAM = emulator_program()


@contextmanager
def pubsub_emulator() -> Iterator[str]:
    """Google's emulator of Pub/Sub on a free port; its address."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command, address = [str(EMULATOR_PROGRAM), "--host=127.0.0.1", f"--port={port}"], f"127.0.0.1:{port}"
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
    try:
        while process.poll() is None:
            with suppress(requests.ConnectionError):
                requests.get(f"http://{address}/v1/projects/acme/topics", timeout=5)
                break
            time.sleep(0.2)
        assert process.poll() is None, "the emulator ended"
        yield address
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, 15)
        process.wait(30)


class OpenGate(Gate):
    """Lets in the emulator, which signs nothing."""

    def admit(self, authorization: str | None, *roles: Role) -> str:
        return BILLING


@pytest.mark.skipif(EMULATOR_PROGRAM is None, reason="Google's Pub/Sub emulator (gcloud, java) is not on this machine")
def test_pushed_by_the_real_pubsub_each_event_is_applied_once(tmp_path: Path) -> None:
    """Published twice, the service ended in between: each is on record once, the newest counts, and we announce."""
    registry = registry_with_a_tenant()
    billing, gate = MemoryBilling(registry), OpenGate(AUDIENCE, CALLERS, KeyRing(lambda: IssuedKeys({}, 0)))
    desk = Desk(registry, MemoryDecisions(registry), billing)
    kinds = ["subscription.cancelled", "subscription.resumed"] * 10
    events = [cloud_event(UID, number, kind) for number, kind in enumerate(kinds, 1)]
    messages = [{"data": base64.b64encode(json.dumps(one).encode()).decode()} for one in [*events, *events]]
    recorded = registry.shelf.billing.events
    with pubsub_emulator() as address:
        base, topic = f"http://{address}/v1/projects/acme", "projects/acme/topics/billing"
        put(f"{base}/topics/billing", {})
        with serving(desk, tmp_path, gate=gate) as service:
            push = {"pushEndpoint": f"{service.url}/v1/billing/events"}
            put(f"{base}/subscriptions/billing", {"topic": topic, "pushConfig": push, "ackDeadlineSeconds": 10})
            ask(f"{base}/topics/billing:publish", {"messages": messages})
            wait_for(lambda: bool(recorded))
        ask(f"{base}/topics/billing:publish", {"messages": messages})
        with serving(desk, tmp_path, gate=gate, port=int(service.url.rpartition(":")[2])):
            wait_for(lambda: len(recorded) == len(events))
        put(f"{base}/topics/tenants", {})
        put(f"{base}/subscriptions/router", {"topic": TOPIC, "enableMessageOrdering": True})
        registry.shelf.billing.announce(UID, Told.STATE, {"to": "active"}, at=NOW)
        publish_all(billing, GoogleTopic(TOPIC, AnonymousCredentials, {EMULATOR: address}).send)
        (pulled,) = ask(f"{base}/subscriptions/router:pull", {"maxMessages": 5})["receivedMessages"]
    assert [one.outcome for _, one in recorded.values() if one.outcome is Outcome.DUPLICATE] == []
    assert (registry.tenant(UID).wanted, registry.alarms(UID)) == (Wanted.LIVING, [])
    assert json.loads(base64.b64decode(pulled["message"]["data"]))["data"] == {"tenant": UID, "to": "active"}


def put(url: str, said: Any) -> None:
    """Makes a topic or a subscription."""
    requests.put(url, json=said, timeout=20).raise_for_status()


def ask(url: str, said: Any) -> Any:
    """Calls a method; its answer."""
    answer = requests.post(url, json=said, timeout=20)
    answer.raise_for_status()
    return answer.json()


def wait_for(is_so: Callable[[], bool]) -> None:
    """Waits for what comes by itself, two minutes at most."""
    for _ in range(600):
        if is_so():
            return
        time.sleep(0.2)
    raise AssertionError("it did not come")
