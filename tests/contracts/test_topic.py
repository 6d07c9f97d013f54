"""The way out, over real HTTP: to a topic as Pub/Sub's REST interface has it, and to billing, which is asked."""

import base64
import json
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from google.auth.credentials import AnonymousCredentials

from tenantctl.adapters.google.asked_subscriptions import AskedSubscriptions
from tenantctl.adapters.google.topic import EMULATOR, GoogleTopic
from tenantctl.adapters.memory.billing import MemoryBilling
from tenantctl.billing.publishing import publish_all
from tenantctl.model.billing import SubscriptionSeen
from tenantctl.model.errors import Refused, Transient
from tenantctl.model.outbox import Told
from tenantctl.model.sighting import Gone, Present, Sighting, Unreachable
from tests.rooms.billing_cases import NOW, UID, registry_with_a_tenant

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
