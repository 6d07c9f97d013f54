"""A Pub/Sub topic that announcements are published to, over Pub/Sub's REST interface.

The messages of a tenant bear its uid as their ordering key, so that a subscription with ordering gives them to its
reader in the order in which they were published; whatever comes twice bears the same id.
"""

import base64
import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from google.auth.credentials import AnonymousCredentials, Credentials

from tenantctl.adapters.google.answers import body_of, explained, explaining
from tenantctl.adapters.google.transport import TimeLimits, watched_session
from tenantctl.adapters.watch import Watch
from tenantctl.model.errors import Refused
from tenantctl.model.outbox import CONTENT_TYPE, Announcement, cloud_event, cloud_event_text

ENDPOINT: Final = "https://pubsub.googleapis.com"
EMULATOR: Final = "PUBSUB_EMULATOR_HOST"
LIMITS: Final = TimeLimits(connect_seconds=3, read_seconds=10, whole_seconds=20)  # a transaction waits meanwhile


class GoogleTopic:
    """One topic.

    Args:
        name: as Pub/Sub names it: projects/PROJECT/topics/TOPIC.
        credentials: makes those of who publishes; not asked where an emulator is.
        environment: says where an emulator is, if one is.
    """

    def __init__(
        self, name: str, credentials: Callable[[], Credentials], environment: Mapping[str, str] = os.environ
    ) -> None:
        parts = name.split("/")
        if len(parts) != 4 or parts[::2] != ["projects", "topics"] or not all(parts):
            raise Refused(f"{name!r} is no topic.", hint="Name it in full: projects/PROJECT/topics/TOPIC")
        emulator = environment.get(EMULATOR)
        self._name, self._endpoint = name, f"http://{emulator}" if emulator else ENDPOINT
        who = AnonymousCredentials() if emulator else credentials()  # type: ignore[no-untyped-call]
        self._session = watched_session(who, self._endpoint)

    def send(self, announcements: Sequence[Announcement]) -> None:
        """Publishes all of them, in their order, in one request.

        Raises:
            Transient: it may go through later; some may have been published.
            Refused: Pub/Sub says no.
        """
        doing = f"publish to {self._name}"
        said = {"messages": [_message(one) for one in announcements]}
        with explaining(doing), Watch(LIMITS.whole_seconds):
            url = f"{self._endpoint}/v1/{self._name}:publish"
            answer = self._session.request("POST", url, json=said, timeout=LIMITS.for_requests)  # type: ignore[no-untyped-call]
            if not answer.ok:
                raise explained(answer.status_code, body_of(answer), doing)


def _message(told: Announcement) -> dict[str, Any]:
    event = cloud_event(told)
    attributes = {"content-type": CONTENT_TYPE, "ce-type": event["type"], "ce-id": event["id"]}
    data = base64.b64encode(cloud_event_text(told).encode()).decode()
    return {"data": data, "attributes": attributes, "orderingKey": told.tenant_uid}
