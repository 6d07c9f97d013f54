"""From the bytes of a request to an event: plain CloudEvents in both forms, and Pub/Sub's envelope around them.

Whatever cannot be understood is `Undeliverable` with its fault, never an error. What is kept as a dead letter is the
text of `unwrapped`, which `event_of` reads again.
"""

import base64
import json
from collections.abc import Mapping
from typing import Any, Final, NoReturn
from urllib.parse import unquote

from pydantic import ValidationError

from tenantctl.billing.cards import card_data_in
from tenantctl.entrypoints.service.wire import CloudEvent, Push
from tenantctl.model.billing import Fault, SubscriptionEvent, SubscriptionKind, Undeliverable

PREFIX: Final = "ce-"
FAULTS_SHOWN: Final = 5


def unwrapped(body: bytes, headers: Mapping[str, str]) -> str:
    """The event as the text of one JSON document, whichever form it came in; what is not JSON as it is."""
    text = body.decode("utf-8", errors="replace").replace("\x00", "\N{REPLACEMENT CHARACTER}")
    attributes = {name.lower(): unquote(value) for name, value in headers.items()}
    if f"{PREFIX}specversion" in attributes:
        return _joined(attributes, text)
    said = _json_or_none(text)
    if not isinstance(said, dict) or "message" not in said:
        return text
    try:
        message = Push.model_validate(said).message
        content = base64.b64decode(message.data, validate=True).decode().replace("\x00", "\N{REPLACEMENT CHARACTER}")
    except ValueError:  # the envelope is none, or what is in it is neither base64 nor text
        return text
    if f"{PREFIX}specversion" in message.attributes:
        return _joined(message.attributes, content)
    return content


def event_of(text: str) -> SubscriptionEvent:
    """The event that a JSON document says.

    Raises:
        Undeliverable: it says none, or has card data in it.
    """
    said = _json_or_none(text)
    if found := card_data_in(text if said is None else said):
        raise Undeliverable(Fault.CARD_DATA, f"It looks like card data: {found}. Nothing of it was kept.")
    if not isinstance(said, dict):
        raise Undeliverable(Fault.MALFORMED, "It is no JSON object.")
    kind = said.get("type")
    if isinstance(kind, str) and "specversion" in said and kind not in set(SubscriptionKind):
        raise Undeliverable(Fault.UNKNOWN_TYPE, f"There is no event of type {kind[:100]!a}.")
    try:
        event = CloudEvent.model_validate(said)
    except ValidationError as error:
        raise Undeliverable(Fault.MALFORMED, _faults(error)) from None
    data = event.data
    if event.type is SubscriptionKind.TRIAL_STARTED and data.effective_at is None:
        raise Undeliverable(Fault.MALFORMED, "data.effective_at: a trial that starts says when it ends.")
    return SubscriptionEvent(
        source=event.source,
        id=event.id,
        kind=event.type,
        subscription=data.subscription,
        tenant_uid=data.tenant,
        sequence=data.sequence,
        time=event.time,
        cause=data.cause,
        instructing_party=data.instructing_party,
        effective_at=data.effective_at,
    )


def _joined(attributes: Mapping[str, str], content: str) -> str:
    """Attributes and data of the binary form as one document; the data as text where it is no JSON."""
    event: dict[str, Any] = {
        name.removeprefix(PREFIX): value.replace("\x00", "\N{REPLACEMENT CHARACTER}")
        for name, value in attributes.items()
        if name.startswith(PREFIX)
    }
    said = _json_or_none(content)
    return json.dumps({**event, "data": content if said is None else said})


def _json_or_none(text: str) -> Any:
    """The JSON that a text says; None where it says none. NaN and Infinity are none."""
    try:
        return json.loads(text, parse_constant=_no_number)
    except (ValueError, RecursionError):
        return None


def _no_number(name: str) -> NoReturn:
    raise ValueError(name)


def _faults(error: ValidationError) -> str:
    """Which fields are wrong and why, never what stands in them."""
    found = [
        f"{'.'.join(map(str, one['loc'])) or 'event'}: {one['msg']}"
        for one in error.errors(include_url=False, include_context=False, include_input=False)
    ]
    more = f" And {len(found) - FAULTS_SHOWN} more." if len(found) > FAULTS_SHOWN else ""
    return f"{'; '.join(found[:FAULTS_SHOWN])}.{more}"
