"""The registry: the tenants, what is wanted of them, who works on which, and what is known of their bytes."""

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

from tenantctl.model.backup import Backup, Copy, Residue
from tenantctl.model.decisions import Act, CapCount, Freeze, Hold
from tenantctl.model.journal import Entry, Head
from tenantctl.model.lifecycle import Event, State
from tenantctl.model.tenant import Instance, InstanceRole, InstanceState, Intent, IntentKind, Origin, Tenant
from tenantctl.ports.anchors import AnchorBook
from tenantctl.ports.audits import AuditBook
from tenantctl.ports.moves import MoveBook, MoveWrites
from tenantctl.ports.work import Lease, WorkBook

__all__ = ["Alarm", "FencedWrites", "Lease", "NewTenant", "Registry", "Waiting"]


@dataclass(frozen=True)
class Alarm:
    """Something that a person must be told, open until what caused it is gone."""

    tenant_uid: str
    code: str
    reason: str
    since: datetime


@dataclass(frozen=True)
class NewTenant:
    """What a request for a tenant says; the registry adds instance, generation and times.

    `explanation` is the placement's own JSON object, stored as it is; `evidence`
    is journalled with the request, and is JSON too. One that `waits` gets no
    instance yet, and its region is the one that it hopes for. From `trial_ends_at`
    on it is leaving. `size` is of the data that it comes with, in bytes. Where an
    `instance` is named, it goes there or nowhere.
    """

    uid: str
    name: str
    region: str
    time_zone: str
    connection_limit: int
    extensions: tuple[str, ...]
    explanation: Mapping[str, Any]
    cause: str
    instructing_party: str
    restored_from: Origin | None = None
    evidence: Mapping[str, Any] = field(default_factory=dict)
    kept_in: str | None = None
    size: int = 0
    headroom_percent: int = 0
    waits: bool = False
    trial_ends_at: datetime | None = None
    instance: str = ""


@dataclass(frozen=True)
class Waiting:
    """A tenant that waits for room, and the explanation that was stored when it was asked for."""

    tenant: Tenant
    explanation: Mapping[str, Any]


class FencedWrites(MoveWrites, Protocol):
    """The writes of one transaction on one leased tenant; all of them happen, or none."""

    @property
    def tenant(self) -> Tenant:
        """The tenant as it stands in this transaction, its row locked."""

    @property
    def now(self) -> datetime:
        """The registry's time at the start of this transaction."""

    def move(self, event: Event, **evidence: Any) -> None:
        """Takes the tenant along the transition table and journals the row's comment with `evidence`.

        Raises:
            Refused: the table has no such transition.
        """

    def record_closing(self, closed_at: datetime, destroy_after: datetime) -> None:
        """Writes both at once. Once written, `destroy_after` only ever moves later."""

    def doubt_closing(self) -> None:
        """Forgets `logins_closed_at` alone, which did not last; `destroy_after` stands, and only ever moves later."""

    def clear_closing(self) -> None:
        """Forgets `logins_closed_at` and `destroy_after`: the customer came back."""

    def rehost(self, region: str, origin: Origin, explanation: Mapping[str, Any]) -> None:
        """Places the tenant anew, in its next generation, on a region's emptiest instance, to be filled from a backup.

        The new database has its line in the residue inventory from here on; that of the generation before stays open.

        Raises:
            NoRoom: no instance of the region has room.
        """

    def place(self, region: str, explanation: Mapping[str, Any], *, headroom_percent: int) -> None:
        """Gives a tenant that waited its instance, in a region, and its line in the residue inventory.

        Raises:
            NoRoom: no instance of the region has room.
            Refused: it is placed already.
        """

    def record_size(self, size: int) -> None:
        """Writes how many bytes the database was seen to have."""

    def record_restored(self) -> None:
        """Writes that the database was filled from its origin, and seen to be whole."""

    def journal(self, event: str, **body: Any) -> None:
        """Appends to the tenant's chain; values must be JSON."""

    def put_backup(self, backup: Backup) -> None:
        """Writes a backup's row and those of its copies, new or changed.

        Raises:
            Refused: another backup of the tenant, begun or complete, has this slot.
        """

    def put_copy(self, copy: Copy) -> None:
        """Writes one copy's row."""

    def put_residue(self, residue: Residue) -> None:
        """Writes one line of the residue inventory; a line that has lapsed stays as it is."""

    def raise_alarm(self, code: str, reason: str) -> None:
        """Opens an alarm, or renews the reason of the one that is open; journalled when opened."""

    def clear_alarm(self, code: str) -> None:
        """Closes an alarm if it is open; journalled when it was."""

    def blank_names(self) -> None:
        """Removes name and place of the tenant; the journal and the uid stay."""

    def freezes(self) -> Sequence[Freeze]:
        """The open freezes that cover the tenant's region, as this transaction sees them."""

    def holds(self) -> Sequence[Hold]:
        """The tenant's open holds; none can be placed before this transaction ends."""

    def cap_count(self, act: Act) -> CapCount:
        """What the cap of an act in the tenant's region is held against; nobody else counts until this ends."""

    def count_act(self, act: Act, batch: str | None = None) -> None:
        """Counts an act on the tenant, let through by the batch of this digest if by one.

        Raises:
            Refused: that batch has let this tenant through already.
        """

    def spend(self, digest: str) -> None:
        """Makes use of what two people approved.

        Raises:
            Refused: they have not, it lapsed, or it was made use of already.
        """

    def put_notice(self, kind: str, *, closing: datetime, destroy_after: datetime) -> None:
        """Puts a notice into the outbox, once for each kind and closing; journalled when put."""

    def want_erased(self) -> None:
        """Sets what is wanted of the tenant to its erasure, after which nothing newer is taken."""


class Registry(AnchorBook, AuditBook, MoveBook, WorkBook, Protocol):
    """What is known and wanted of each tenant.

    1. `now` is the registry's clock, the only one that rules are given.
    2. A claim gives a due tenant to one worker at a time, as `WorkBook` says.
    3. A write under a lease that ended or was taken over raises LeaseLost, and nothing of it is written.
    4. A request compares the newest intent and the state with what was read, and sets: of two at once one is Transient.
    5. Every change is journalled in its own transaction, with the time and the actor as the database sees them.
    6. A name belongs to at most one tenant that is not destroyed or forgotten; a uid is never used again.
    """

    def now(self) -> datetime:
        """The registry's time, UTC."""

    def actor(self) -> str:
        """Who the registry says we are: its `session_user`."""

    def close(self) -> None:
        """Lets go of all connections."""

    # Requests

    def request_tenant(self, new: NewTenant) -> Tenant:
        """Writes a tenant in state requested, due at once, on the emptiest instance of its region, or waiting for one.

        Raises:
            Refused: the name is taken by a living tenant.
            NoRoom: no instance of the region has room; one that waits needs none.
        """

    def record_intent(
        self, tenant: Tenant, kind: IntentKind, *, cause: str, instructing_party: str, effective_at: datetime | None
    ) -> Intent:
        """Sets what is wanted of a tenant from `effective_at` (None: now), and makes the tenant due then.

        Raises:
            Transient: another intent came in, or the state changed, since `tenant` was read.
        """

    def append_entry(self, uid: str, event: str, body: Mapping[str, Any]) -> None:
        """Adds an entry to the chain of a tenant in any state: the evidence of an act that changes nothing of it.

        The forgotten have no lease to be had, and none is needed or disturbed. Values must be JSON.

        Raises:
            NotFound: there is no tenant of this uid.
        """

    def make_due(self, uid: str, at: datetime | None = None) -> None:
        """Has the tenant looked at, at `at` or at once, if it is not due earlier anyway."""

    # What is known

    def find(self, name_or_uid: str) -> Tenant:
        """The living tenant of this name, else the tenant of this uid.

        Raises:
            NotFound: there is neither.
        """

    def tenant(self, uid: str) -> Tenant:
        """The tenant of this uid and no other: how machines resolve, since a name may look like a uid.

        Raises:
            NotFound: there is none.
        """

    def tenants(self, *, states: Sequence[State] = ()) -> Sequence[Tenant]:
        """Tenants by name and uid; of all states, or of those given."""

    def waiting(self) -> Sequence[Waiting]:
        """Those that wait for room, in the order in which they were asked for."""

    def owner_of(self, backup_id: str) -> Tenant:
        """The tenant whose backup has this id, in whichever state.

        Raises:
            NotFound: no backup has it.
        """

    def lease_of(self, uid: str) -> Lease | None:
        """Who holds the tenant now, if anyone."""

    def explanation(self, uid: str) -> Mapping[str, Any]:
        """The placement's explanation as it was stored; empty once blanked."""

    def intents(self, uid: str) -> Sequence[Intent]:
        """The tenant's intents, oldest first."""

    def backups(self, uid: str) -> Sequence[Backup]:
        """The tenant's backups with their copies, oldest first."""

    def residues(self, uid: str) -> Sequence[Residue]:
        """The tenant's residue inventory, oldest first."""

    def open_residues(self, uid: str) -> Sequence[Residue]:
        """The lines of it that have not lapsed, oldest first: few of a long life's many."""

    def alarms(self, uid: str | None = None) -> Sequence[Alarm]:
        """Open alarms, of one tenant or of all."""

    def entries(self, uid: str) -> Sequence[Entry]:
        """The tenant's journal, in order."""

    def head(self, uid: str) -> Head | None:
        """The newest link of the tenant's chain."""

    def chains(self) -> Sequence[str]:
        """The uids that have a journal, the forgotten included."""

    # Instances

    def instances(self, *, role: InstanceRole | None = None) -> Sequence[Instance]:
        """The instances that tenantctl uses, of one role or of all, each with what the tenants placed on it take.

        Those of role verify have none placed on them, and cost nothing to count.
        """

    def add_instance(self, instance: Instance) -> None:
        """Writes an instance, or other limits of one that is known, whose state stays as it is.

        Raises:
            Refused: it is known with another region or role.
        """

    def set_instance_state(self, name: str, state: InstanceState) -> None:
        """Has an instance take more tenants, or no more; the same again is a no-op.

        Raises:
            NotFound: there is no such instance.
        """

    # Work under a lease

    def fenced(self, lease: Lease, *, plan_digest: str = "") -> AbstractContextManager[FencedWrites]:
        """One transaction under the lease: committed at the end of the block, undone by any exception.

        `plan_digest` names the plan that is carried out; every entry that the block journals bears it.

        Raises:
            LeaseLost: the lease ended or was taken over.
        """
