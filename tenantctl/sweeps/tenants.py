"""The sweep over the fleet: every step of every room, given to the one engine."""

from collections.abc import Iterator
from typing import Final

from tenantctl.backups.audit import LookAtCopies, ProveLapse
from tenantctl.backups.copy_holds import HoldCopies, ReleaseCopies
from tenantctl.backups.keys import ShredKey
from tenantctl.backups.repair import RepairCopy
from tenantctl.backups.restore import SweepScratch, VerifyBackup
from tenantctl.backups.restore_data import RestoreData
from tenantctl.backups.steps import BackUp
from tenantctl.backups.verification import ReadCopy
from tenantctl.engine.actions import Actions
from tenantctl.engine.ending import Ending
from tenantctl.engine.executor import Progress
from tenantctl.engine.lease import not_claimed
from tenantctl.engine.observing import Observer, Unobserved, observed
from tenantctl.engine.worker import Planner, Turn, Worker, new_owner
from tenantctl.evidence.steps import AnchorJournal, Irreversible
from tenantctl.model.plan import Do, Duty, Plan
from tenantctl.model.tenant import Tenant
from tenantctl.offboarding import destruction
from tenantctl.offboarding import steps as leaving
from tenantctl.onboarding import steps as arriving
from tenantctl.onboarding.adopting import AdoptDatabase
from tenantctl.onboarding.former import CloseFormer, ProveFormerGone
from tenantctl.ports.world import World
from tenantctl.relocation import steps as moving
from tenantctl.relocation.cut_over import CutOver
from tenantctl.relocation.dumping import CopyByDump, SendAway
from tenantctl.relocation.retiring import RetireSource
from tenantctl.sweeps.observe import observe_and_plan, quiet_plans

ACTIONS: Final[Actions] = {
    Do.PLACE: arriving.Place(),
    Do.CREATE_ROLES: arriving.CreateRoles(),
    Do.CREATE_DATABASE: arriving.CreateDatabase(),
    Do.ADOPT_DATABASE: AdoptDatabase(),
    Do.PREPARE_DATABASE: arriving.PrepareDatabase(),
    Do.RESTORE_DATA: RestoreData(),
    Do.OPEN_LOGINS: arriving.OpenLogins(),
    Do.MARK_ACTIVE: arriving.MarkActive(),
    Do.MARK_WITHDRAWN: arriving.MarkWithdrawn(),
    Do.BACK_UP: BackUp(),
    Do.REPAIR_COPY: RepairCopy(),
    Do.READ_COPY: ReadCopy(),
    Do.VERIFY_BACKUP: VerifyBackup(),
    Do.LOOK_AT_COPIES: LookAtCopies(),
    Do.SHRED_KEY: Irreversible(ShredKey()),
    Do.HOLD_COPIES: HoldCopies(),
    Do.RELEASE_COPIES: Irreversible(ReleaseCopies()),
    Do.SWEEP_SCRATCH: SweepScratch(),
    Do.PROVE_LAPSE: ProveLapse(),
    Do.CLOSE_FORMER: CloseFormer(),
    Do.PROVE_FORMER_GONE: ProveFormerGone(),
    Do.MARK_DEACTIVATING: leaving.MarkDeactivating(),
    Do.CLOSE_LOGINS: leaving.CloseLogins(),
    Do.RECORD_OPENING: leaving.RecordOpening(),
    Do.RECORD_CLOSING: leaving.RecordClosing(),
    Do.MARK_DEACTIVATED: leaving.MarkDeactivated(),
    Do.RESTORE_ROW_SECURITY: leaving.RestoreRowSecurity(),
    Do.MARK_REINSTATED: leaving.MarkReinstated(),
    Do.PUT_NOTICE: leaving.PutNotice(),
    Do.PROPOSE_BATCH: leaving.ProposeBatch(),
    Do.MAKE_TARGET: moving.MakeTarget(),
    Do.COPY_SCHEMA: moving.CopySchema(),
    Do.SEND_AWAY: SendAway(),
    Do.COPY_BY_DUMP: CopyByDump(),
    Do.START_REPLICATION: moving.StartReplication(),
    Do.STOP_REPLICATION: moving.StopReplication(),
    Do.BEGIN_MOVE_ANEW: moving.BeginMoveAnew(),
    Do.CUT_OVER: CutOver(),
    Do.MARK_MOVED: moving.MarkMoved(),
    Do.END_MOVE: moving.EndMove(),
    Do.DROP_TARGET: moving.DropTarget(),
    Do.MARK_MOVE_UNDONE: moving.MarkMoveUndone(),
    Do.RETIRE_SOURCE: Irreversible(RetireSource()),
    Do.ANCHOR_JOURNAL: AnchorJournal(),
    Do.MARK_ERASING: Irreversible(destruction.MarkErasing(), rests_on_anchor=True),
    Do.MARK_DESTROYING: Irreversible(destruction.MarkDestroying(), rests_on_anchor=True),
    Do.DROP_DATABASE: Irreversible(destruction.DropDatabase()),
    Do.DROP_ROLES: Irreversible(destruction.DropRoles()),
    Do.MARK_DESTROYED: destruction.MarkDestroyed(),
    Do.BLANK_NAMES: Irreversible(destruction.BlankNames()),
    Do.MARK_FORGOTTEN: Irreversible(destruction.MarkForgotten()),
}
assert set(ACTIONS) == set(Do), "each step has its action"


def sweep(
    world: World,
    *,
    duty: Duty | None = None,
    tenant: str | None = None,
    ending: Ending | None = None,
    progress: Progress = lambda step: None,
    observer: Observer | None = None,
    at_once: int = 1,
) -> Iterator[Turn]:
    """Works through what is due, so many tenants at once, until nothing is, or the worker is told to end."""
    actions = ACTIONS if observer is None else observed(ACTIONS, observer)
    watched = observer or Unobserved()
    worker = Worker(
        world,
        observe_and_plan,
        actions,
        new_owner(),
        duty,
        tenant,
        ending or Ending(),
        watched,
        at_once,
        quiet_plans,
    )
    return worker.turns(progress=progress)


def carry_out(world: World, asked: Planner, tenant: Tenant, *, progress: Progress = lambda step: None) -> Turn:
    """Carries out a plan that a person asked for, and then whatever else is due, under one lease.

    Raises:
        Transient: another worker has the tenant just now.
        Refused: it is parked.
    """
    pending = [asked]

    def planner(of_world: World, of_tenant: Tenant) -> Plan:
        return pending.pop()(of_world, of_tenant) if pending else observe_and_plan(of_world, of_tenant)

    world.registry.make_due(tenant.uid)
    worker = Worker(world, planner, ACTIONS, new_owner(), None, tenant.uid)
    for turn in worker.turns(progress=progress):
        return turn
    raise not_claimed(world, tenant)
