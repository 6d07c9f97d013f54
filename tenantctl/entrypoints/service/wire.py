"""What goes over the wire, and what of it is documented: pydantic models, at this edge alone."""

import re
from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints

from tenantctl.model.billing import Fault, Outcome, SubscriptionKind
from tenantctl.model.lifecycle import State
from tenantctl.model.tenant import Wanted

YEARS = range(2000, 2200)
SEQUENCE_MAX = 2**53
_RFC3339 = re.compile(r"\d{4}-\d{2}-\d{2}[Tt]")


def _text(moment: object) -> object:
    """A moment is written out: a number could be seconds or milliseconds."""
    if isinstance(moment, str) and _RFC3339.match(moment):
        return moment
    raise ValueError("a moment is text as in RFC 3339: 2026-11-23T02:53:59Z")


def _sane(moment: datetime) -> datetime:
    if moment.year not in YEARS:
        raise ValueError(f"the year must be between {YEARS[0]} and {YEARS[-1]}")
    return moment


Moment = Annotated[AwareDatetime, BeforeValidator(_text), AfterValidator(_sane)]
Word = Annotated[str, StringConstraints(min_length=1, max_length=200, pattern=r"^[!-~]+$")]
Sentence = Annotated[str, StringConstraints(min_length=1, max_length=500, pattern=r"^[^\x00-\x1f\x7f]+$")]


class EventData(BaseModel):
    """What happened to a subscription; what else stands there is ignored, unless it looks like card data."""

    model_config = ConfigDict(extra="ignore", strict=False)

    subscription: Word = Field(description="Billing's own name of the subscription.")
    tenant: Annotated[str, StringConstraints(pattern=r"^[a-z0-9]{1,40}$")] = Field(description="The tenant's uid.")
    sequence: Annotated[int, Field(strict=True, ge=1, le=SEQUENCE_MAX)] = Field(
        description="Counts the events of this subscription from 1, without a gap; the highest says what counts."
    )
    cause: Sentence = Field(description="Why; on record.")
    instructing_party: Sentence = Field(description="Who wants it; on record.")
    effective_at: Moment | None = Field(
        default=None,
        description="From when it counts: the end of a paid period, or of a trial, which must say it.",
    )


class CloudEvent(BaseModel):
    """A CloudEvent 1.0 of billing's, in structured form."""

    model_config = ConfigDict(extra="ignore")

    specversion: Literal["1.0"]
    id: Word
    source: Word
    type: SubscriptionKind
    time: Moment
    datacontenttype: Literal["application/json"] = "application/json"
    data: EventData


class PushedMessage(BaseModel):
    """A message as Pub/Sub pushes it; `data` is base64 of a CloudEvent, or of its data if `attributes` has the rest."""

    data: str = ""
    attributes: dict[str, str] = {}
    messageId: str = ""  # noqa: N815 - Pub/Sub's own name


class Push(BaseModel):
    """Pub/Sub's envelope around a message."""

    message: PushedMessage
    subscription: str = ""


class ReceiptAnswer(BaseModel):
    """What became of an event; all of these are final, and Pub/Sub need not send it again."""

    outcome: Outcome
    reason: str
    tenant: str
    missing: int = Field(description="How many earlier events of this subscription have not come.")


class Problem(BaseModel):
    """Why something was not done."""

    fault: Fault | Literal["denied", "not-found", "try-again"]
    detail: str


class SubscriptionAnswer(BaseModel):
    """The newest event of one subscription."""

    subscription: str
    sequence: int
    kind: SubscriptionKind
    leaves_at: datetime | None
    missing: int


class TenantAnswer(BaseModel):
    """How a tenant stands."""

    uid: str
    state: State
    wanted: Wanted
    leaves_at: datetime | None
    can_resume: bool
    destroy_after: datetime | None
    destroyed_at: datetime | None
    subscriptions: list[SubscriptionAnswer]


class NoticeAnswer(BaseModel):
    """A notice that was delivered."""

    id: int
    tenant: str
    kind: str
    delivered_at: datetime


class HealthAnswer(BaseModel):
    """Whether the service answers, or can work."""

    status: Literal["ok"]


class CountsAnswer(BaseModel):
    """What this process has counted since it began: calls that were denied, and events, by what became of them."""

    denied: dict[str, int]
    events: dict[str, int]


def schema_of_events() -> dict[str, Any]:
    """The request body of an event, as the OpenAPI document says it: the models stand in the document's components."""
    forms = {"oneOf": [{"$ref": "#/components/schemas/CloudEvent"}, {"$ref": "#/components/schemas/Push"}]}
    event = {"schema": {"$ref": "#/components/schemas/CloudEvent"}}
    content = {"application/json": {"schema": forms}, "application/cloudevents+json": event}
    return {"required": True, "content": content}
