"""A plan is data: steps with their reasons, blockers with theirs, and no clock reading.

Since nothing in it depends on when it was made, only on what was seen, its
digest names it: an approval is the approval of a digest.
"""

import hashlib
import json
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from functools import cached_property

from tenantctl.model.calendar import rfc3339


class Do(StrEnum):
    """The effects a step can have; each has exactly one action."""

    PLACE = "place"
    CREATE_ROLES = "create-roles"
    CREATE_DATABASE = "create-database"
    ADOPT_DATABASE = "adopt-database"
    PREPARE_DATABASE = "prepare-database"
    RESTORE_DATA = "restore-data"
    OPEN_LOGINS = "open-logins"
    MARK_ACTIVE = "mark-active"
    MARK_WITHDRAWN = "mark-withdrawn"
    BACK_UP = "back-up"
    REPAIR_COPY = "repair-copy"
    READ_COPY = "read-copy"
    VERIFY_BACKUP = "verify-backup"
    LOOK_AT_COPIES = "look-at-copies"
    SHRED_KEY = "shred-key"
    HOLD_COPIES = "hold-copies"
    RELEASE_COPIES = "release-copies"
    SWEEP_SCRATCH = "sweep-scratch"
    CLOSE_FORMER = "close-former"
    PROVE_FORMER_GONE = "prove-former-gone"
    MARK_DEACTIVATING = "mark-deactivating"
    RECORD_OPENING = "record-opening"
    CLOSE_LOGINS = "close-logins"
    RECORD_CLOSING = "record-closing"
    MARK_DEACTIVATED = "mark-deactivated"
    RESTORE_ROW_SECURITY = "restore-row-security"
    MARK_REINSTATED = "mark-reinstated"
    PUT_NOTICE = "put-notice"
    PROPOSE_BATCH = "propose-batch"
    MAKE_TARGET = "make-target"
    COPY_SCHEMA = "copy-schema"
    SEND_AWAY = "send-away"
    COPY_BY_DUMP = "copy-by-dump"
    START_REPLICATION = "start-replication"
    STOP_REPLICATION = "stop-replication"
    BEGIN_MOVE_ANEW = "begin-move-anew"
    CUT_OVER = "cut-over"
    MARK_MOVED = "mark-moved"
    END_MOVE = "end-move"
    DROP_TARGET = "drop-target"
    MARK_MOVE_UNDONE = "mark-move-undone"
    RETIRE_SOURCE = "retire-source"
    ANCHOR_JOURNAL = "anchor-journal"
    MARK_DESTROYING = "mark-destroying"
    MARK_ERASING = "mark-erasing"
    DROP_DATABASE = "drop-database"
    DROP_ROLES = "drop-roles"
    MARK_DESTROYED = "mark-destroyed"
    PROVE_LAPSE = "prove-lapse"
    BLANK_NAMES = "blank-names"
    MARK_FORGOTTEN = "mark-forgotten"


class Duty(StrEnum):
    """Who carries a step out: in production each duty is a service account of its own."""

    PROVISION = "provision"
    BACKUP = "backup"
    VERIFY = "verify"
    DEACTIVATE = "deactivate"
    DESTROY = "destroy"
    RESTORE = "restore"
    MOVE = "move"
    AUDIT = "audit"


DUTY_OF: dict[Do, Duty] = {
    Do.PLACE: Duty.PROVISION,
    Do.CREATE_ROLES: Duty.PROVISION,
    Do.CREATE_DATABASE: Duty.PROVISION,
    Do.ADOPT_DATABASE: Duty.PROVISION,
    Do.PREPARE_DATABASE: Duty.PROVISION,
    Do.RESTORE_DATA: Duty.RESTORE,
    Do.OPEN_LOGINS: Duty.PROVISION,
    Do.MARK_ACTIVE: Duty.PROVISION,
    Do.MARK_WITHDRAWN: Duty.PROVISION,
    Do.BACK_UP: Duty.BACKUP,
    Do.REPAIR_COPY: Duty.RESTORE,  # the one that may both open a key and write: who makes backups opens none
    Do.READ_COPY: Duty.VERIFY,
    Do.VERIFY_BACKUP: Duty.VERIFY,
    Do.LOOK_AT_COPIES: Duty.AUDIT,
    Do.SHRED_KEY: Duty.AUDIT,
    Do.HOLD_COPIES: Duty.AUDIT,
    Do.RELEASE_COPIES: Duty.AUDIT,
    Do.SWEEP_SCRATCH: Duty.VERIFY,
    Do.CLOSE_FORMER: Duty.DEACTIVATE,
    Do.PROVE_FORMER_GONE: Duty.AUDIT,
    Do.MARK_DEACTIVATING: Duty.DEACTIVATE,
    Do.RECORD_OPENING: Duty.DEACTIVATE,
    Do.CLOSE_LOGINS: Duty.DEACTIVATE,
    Do.RECORD_CLOSING: Duty.DEACTIVATE,
    Do.MARK_DEACTIVATED: Duty.DEACTIVATE,
    Do.RESTORE_ROW_SECURITY: Duty.PROVISION,  # a way back is one duty's: it begins with steps that may be done already
    Do.MARK_REINSTATED: Duty.PROVISION,
    Do.PUT_NOTICE: Duty.DEACTIVATE,
    Do.PROPOSE_BATCH: Duty.AUDIT,
    Do.MAKE_TARGET: Duty.MOVE,
    Do.COPY_SCHEMA: Duty.MOVE,
    Do.SEND_AWAY: Duty.MOVE,
    Do.COPY_BY_DUMP: Duty.MOVE,
    Do.START_REPLICATION: Duty.MOVE,
    Do.STOP_REPLICATION: Duty.MOVE,
    Do.BEGIN_MOVE_ANEW: Duty.MOVE,
    Do.CUT_OVER: Duty.MOVE,
    Do.MARK_MOVED: Duty.MOVE,
    Do.END_MOVE: Duty.MOVE,
    Do.DROP_TARGET: Duty.MOVE,
    Do.MARK_MOVE_UNDONE: Duty.MOVE,
    Do.RETIRE_SOURCE: Duty.DESTROY,
    Do.ANCHOR_JOURNAL: Duty.DESTROY,
    Do.MARK_DESTROYING: Duty.DESTROY,
    Do.MARK_ERASING: Duty.DESTROY,
    Do.DROP_DATABASE: Duty.DESTROY,
    Do.DROP_ROLES: Duty.DESTROY,
    Do.MARK_DESTROYED: Duty.DESTROY,
    Do.PROVE_LAPSE: Duty.AUDIT,
    Do.BLANK_NAMES: Duty.AUDIT,
    Do.MARK_FORGOTTEN: Duty.AUDIT,
}
assert set(DUTY_OF) == set(Do), "each step is some duty's"


@dataclass(frozen=True)
class Step:
    """One effect on one subject, with the reason for it.

    `subject` is what the effect is on: the tenant's uid, a backup's slot or its
    id. The step's own action knows which, and what an `argument` means to it.
    """

    do: Do
    subject: str
    reason: str
    argument: str = ""


@dataclass(frozen=True)
class Blocker:
    """Why something that is wanted does not happen yet.

    `since` is the moment from which it has stood in the way; where the rule
    cannot know it, None. `alarm` is set where somebody must be told.
    """

    code: str
    reason: str
    since: datetime | None = None
    alarm: bool = False


@dataclass(frozen=True)
class Plan:
    """What is to be done for one tenant, why, and when to look again.

    `next_look` is the moment from which another plan may come out; None if only
    a request can change anything. `each_alone` says that no step rests on another:
    one that meets trouble does not keep the others from being carried out.
    """

    tenant_uid: str
    purpose: str
    steps: tuple[Step, ...] = ()
    blockers: tuple[Blocker, ...] = ()
    next_look: datetime | None = None
    because: str = field(default="", compare=False)
    each_alone: bool = field(default=False, compare=False)

    @property
    def duty(self) -> Duty | None:
        """The duty of the first step: who must carry this plan on; None if there is nothing to do."""
        return DUTY_OF[self.steps[0].do] if self.steps else None

    @cached_property
    def digest(self) -> str:
        """A name of the plan's content: the first 16 hex digits of the SHA-256 of its canonical JSON."""
        content = {
            "tenant": self.tenant_uid,
            "purpose": self.purpose,
            "steps": [[step.do, step.subject, step.reason, step.argument] for step in self.steps],
            "blockers": [[blocker.code, blocker.reason] for blocker in self.blockers],
        }
        canonical = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        return hashlib.sha256(canonical.encode()).hexdigest()[:16]

    def text(self) -> str:
        """The plan as a person reads it; golden files hold this form."""
        lines = [f"{self.purpose} {self.tenant_uid}  (plan {self.digest})"]
        lines += [f"  {number}. {step.do} {step.subject}: {step.reason}" for number, step in enumerate(self.steps, 1)]
        lines += [f"  blocked: {blocker.code}: {blocker.reason}" for blocker in self.blockers]
        if not self.steps and not self.blockers:
            lines.append(f"  nothing to do{': ' + self.because if self.because else ''}")
        if self.next_look is not None:
            lines.append(f"  next look: {rfc3339(self.next_look)}")
        return "\n".join(lines)
