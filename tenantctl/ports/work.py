"""Work: who looks at which tenant, in which order and within which limits; a part of the port `Registry`."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Protocol

from tenantctl.model.lifecycle import State
from tenantctl.model.look import Known
from tenantctl.model.plan import Duty
from tenantctl.model.work import Danger, Limits


@dataclass(frozen=True)
class Lease:
    """The right to work on one tenant until `until`; `epoch` is what stops a worker that slept past it.

    `taken_over` says that another's lease ended without being let go: that
    worker may have died between an effect and its evidence. `failures` is how
    often the tenant has failed in a row before.
    """

    tenant_uid: str
    owner: str
    epoch: int
    until: datetime
    taken_over: bool = field(default=False, compare=False)
    failures: int = field(default=0, compare=False)


@dataclass(frozen=True)
class Parking:
    """That a person has set a tenant aside: since when, why, and until when; None until it is taken up again."""

    since: datetime
    because: str
    until: datetime | None


class WorkState(StrEnum):
    """What can be asked for of the work there is; one tenant may be in several."""

    DUE = "due"  # a worker may take it now
    LEASED = "leased"
    FAILING = "failing"  # its last turn ended in trouble
    STUCK = "stuck"  # so often, or for so long, that a person was told
    PARKED = "parked"


@dataclass(frozen=True)
class WorkItem:
    """One tenant as workers see it.

    Attributes:
        states: which of the states it is in; empty if it waits for its date.
        duty: whose its next step is; None if that is not known yet.
        owner, leased_at, leased_until: of a lease that has not ended.
        failures: how often it has failed in a row; `failing_since` and `error` are of its open trouble.
        stuck_since: since when a person has been told.
    """

    tenant_uid: str
    name: str | None
    state: State
    region: str
    instance: str | None
    states: tuple[WorkState, ...]
    due_at: datetime
    danger: Danger
    duty: Duty | None
    owner: str | None = None
    leased_at: datetime | None = None
    leased_until: datetime | None = None
    failures: int = 0
    failing_since: datetime | None = None
    error: str | None = None
    stuck_since: datetime | None = None
    parking: Parking | None = None

    @property
    def label(self) -> str:
        """What to call the tenant in a sentence."""
        return self.name or self.tenant_uid


@dataclass(frozen=True)
class Later:
    """When a tenant is looked at next, and what it costs to be late then."""

    due_at: datetime
    danger: Danger


class WorkBook(Protocol):
    """Claims, leases, what was set aside, and quotas.

    1. A due tenant goes to one worker at a time; claiming it after its lease's end raises the epoch.
    2. Claims come in the order of `turn_at`, by danger and age, within one region; what is parked is passed over.
    3. Never are more tenants of one instance or region leased by claims with limits than these say, whoever claims;
       a full instance or region keeps nobody from the others.
    """

    def claim(
        self, owner: str, *, lease: timedelta, duty: Duty | None = None, tenant: str | None = None
    ) -> Lease | None:
        """The due tenant whose turn it is, leased to `owner`, whatever is leased already; None if nothing is due.

        `duty` restricts to tenants whose next step is that duty's or unknown;
        `tenant` restricts to one uid.
        """

    def claim_many(
        self, owner: str, *, lease: timedelta, count: int, limits: Limits | None, duty: Duty | None = None
    ) -> Sequence[Lease]:
        """Up to `count` due tenants whose turn it is, within the limits; empty if there is none.

        Fewer than `count` does not mean that there are no more: of one instance or region that is nearly full, the
        next claim may give others.
        """

    def put_off(self, decide: Callable[[Sequence[Known]], Mapping[str, Later]], *, count: int) -> Sequence[str]:
        """Has those tenants looked at later of which `decide` says that nothing is to be done now; their uids.

        It is shown up to `count` that are due, active and wanted so, whose next step nobody knows, and in which nothing
        is out of the ordinary: no lease, failure, parking, alarm, hold, proposal or open move. They are shown to nobody
        else meanwhile, and what is asked of them waits. Those that it does not name stay as they are, for a claim; if
        it raises, all do.
        """

    def renew(self, lease: Lease, *, lease_for: timedelta) -> Lease:
        """The same lease, ending later.

        Raises:
            LeaseLost: it ended, was taken over, or the tenant's intent is newer than the lease.
        """

    def release(
        self,
        lease: Lease,
        *,
        due_at: datetime,
        duty: Duty | None,
        danger: Danger | None = None,
        failures: int | None = None,
    ) -> None:
        """Lets go, due again at `due_at` by `duty`; an intent that came in meanwhile makes it due at once.

        `danger` and `failures` stay as they are where they are None; what came in meanwhile is of the worst danger.

        Raises:
            LeaseLost: somebody else has it; nothing is written.
        """

    def work_items(
        self, *, states: Sequence[WorkState] = (), region: str | None = None, limit: int | None = None
    ) -> Sequence[WorkItem]:
        """The tenants in any of these states, or in any at all if none is named, in the order of their turns."""

    def work_item(self, uid: str) -> WorkItem:
        """One tenant as workers see it, in whichever state.

        Raises:
            NotFound: there is none.
        """

    def retry(self, uid: str) -> None:
        """Has a tenant looked at now, as if it had never failed, and takes up one that was parked; journalled.

        Raises:
            NotFound: there is none.
        """

    def park(self, uid: str, *, because: str, until: datetime | None) -> None:
        """Sets a tenant aside until a moment, or until `unpark`; a lease that runs goes on to its end. Journalled.

        Raises:
            NotFound: there is none.
            Refused: the moment has passed.
        """

    def unpark(self, uid: str) -> bool:
        """Takes up a tenant that was parked, journalled; whether it was.

        Raises:
            NotFound: there is none.
        """

    def alarm_parked(self, *, within: timedelta) -> Sequence[str]:
        """Alarms parked tenants whose destruction is due since longer than `within`; the uids of all of them."""

    def take_token(self, quota: str, *, per_minute: int, burst: int, wait_max: timedelta) -> timedelta | None:
        """Takes one token of a quota that all share, refilled by the registry's clock; how long to wait before its use.

        Whoever takes one of those to come has it, in the order of asking. None, and nothing is taken, if the wait
        would be longer than `wait_max`.
        """
