"""Writes under a lease: one transaction on one tenant, whose row is locked until it ends.

Changes of the tenant's own row and entries of the journal are gathered and written by `finish`, in one statement each;
the rest is written at once. Nobody sees anything of it before the transaction is committed.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Table, exists, insert, literal, select, update
from sqlalchemy.dialects.postgresql import Insert
from sqlalchemy.dialects.postgresql import insert as upsert

from tenantctl.adapters.decision_rules import (
    NOTICE_WRITTEN,
    check_spendable,
    let_through_before,
    unknown_proposal,
)
from tenantctl.adapters.postgres import decisions_sql, registry_moves, registry_reads, schema
from tenantctl.adapters.postgres.registry_alarms import TenantAlarms
from tenantctl.adapters.postgres.registry_requests import emptiest_instance
from tenantctl.adapters.postgres.registry_rows import columns_of, tenant_of
from tenantctl.adapters.registry_rules import (
    ALARM_CLEARED,
    ALARM_RAISED,
    BLANKED_TIME_ZONE,
    CUT_OVER,
    MOVE_REQUESTED,
    PLACED,
    REHOSTED,
    SLOT_TAKEN_IN,
    begun_move,
    body_text,
    check_change,
    check_subject,
    check_waiting,
    database_residue,
    later_closing,
    lease_lost,
    move_body,
    moved_body,
    next_generation,
    placed_body,
    rehosted_body,
    requested_move_body,
    slot_taken,
)
from tenantctl.model.backup import Backup, Copy, Residue
from tenantctl.model.calendar import rfc3339
from tenantctl.model.capacity import Demand
from tenantctl.model.decisions import Act, CapCount, Freeze, Hold
from tenantctl.model.lifecycle import Event, transition
from tenantctl.model.move import Move
from tenantctl.model.tenant import Origin, Tenant, Wanted
from tenantctl.ports.registry import Lease

_tenants = schema.tenants.c


class PostgresFencedWrites:
    """The writes of one transaction.

    Args:
        connection: in a transaction.
        lease: what the transaction works under.
        plan_digest: what its entries bear.

    Raises:
        LeaseLost: the lease ended or was taken over.
    """

    def __init__(self, connection: Connection, lease: Lease, plan_digest: str) -> None:
        self._connection = connection
        self._lease = lease
        self._plan_digest = plan_digest
        self._alarms = TenantAlarms(connection, lease.tenant_uid)
        self._changes: dict[str, Any] = {}
        self._entries: list[Mapping[str, str]] = []
        held = select(schema.tenants, schema.now().label("now")).where(
            *self._is_ours(), _tenants.lease_until > schema.now()
        )
        row = connection.execute(held.with_for_update(key_share=True)).first()
        if row is None:
            raise lease_lost(lease)
        self._as_read = self._tenant = tenant_of(row)
        self._now: datetime = row.now

    @property
    def tenant(self) -> Tenant:
        """The tenant with the changes of this transaction."""
        return self._tenant

    @property
    def now(self) -> datetime:
        """The registry's time when the row was locked."""
        return self._now

    def move(self, event: Event, **evidence: Any) -> None:
        """Takes the tenant along the transition table."""
        row = transition(self._tenant.state, event)
        if event is Event.DATABASE_GONE:
            self._change(state=row.target, destroyed_at=self._now)
        else:
            self._change(state=row.target)
        self.journal(event.value, **move_body(row, evidence))

    def record_closing(self, closed_at: datetime, destroy_after: datetime) -> None:
        """Writes both dates; a date that stands is only ever moved later."""
        self._change(**later_closing(self._tenant, closed_at, destroy_after))

    def doubt_closing(self) -> None:
        """Forgets one of both dates."""
        self._change(logins_closed_at=None)

    def clear_closing(self) -> None:
        """Forgets both dates."""
        self._change(logins_closed_at=None, destroy_after=None)

    def rehost(self, region: str, origin: Origin, explanation: Mapping[str, Any]) -> None:
        """Places the tenant anew, in its next generation, to be filled from a backup."""
        before = self._tenant.hosting
        demand = Demand(self._tenant.connection_limit, self._tenant.size)
        instance = emptiest_instance(self._connection, region, demand)
        generation = next_generation(self._tenant, registry_reads.residues(self._connection, before.uid))
        hosting = replace(before, instance=instance.name, region=region, generation=generation)
        self._tenant = replace(self._tenant, hosting=hosting, restored_from=origin, restored_at=None)
        self._changes.update(region=region, instance=instance.name, generation=hosting.generation)
        self._changes.update(restored_from_backup=origin.backup_id, restored_from_tenant=origin.tenant_uid)
        self._changes.update(restored_at=None)
        placement = {"tenant_uid": hosting.uid, "generation": hosting.generation, "explanation": dict(explanation)}
        self._connection.execute(insert(schema.placements).values(placement).inline())
        self.put_residue(database_residue(hosting, self._now))
        self.journal(REHOSTED, **rehosted_body(before, hosting, origin))

    def place(self, region: str, explanation: Mapping[str, Any], *, headroom_percent: int) -> None:
        """Gives a tenant that waited its instance."""
        check_waiting(self._tenant)
        demand = Demand(self._tenant.connection_limit, self._tenant.size, headroom_percent)
        instance = emptiest_instance(self._connection, region, demand)
        hosting = replace(self._tenant.hosting, instance=instance.name, region=region)
        self._tenant = replace(self._tenant, hosting=hosting)
        self._changes.update(region=region, instance=instance.name)
        placements = schema.placements
        this = (placements.c.tenant_uid == hosting.uid, placements.c.generation == hosting.generation)
        self._connection.execute(update(placements).where(*this).values(explanation=dict(explanation)))
        self.put_residue(database_residue(hosting, self._now))
        self.journal(PLACED, **placed_body(hosting))

    def record_size(self, size: int) -> None:
        """Writes the size."""
        self._change(size=size)

    def begin_move(self, region: str, *, headroom_percent: int = 0, **asked: Any) -> Move:
        """Chooses an instance, and writes the move."""
        target = registry_moves.room_for_move(self._connection, self._tenant, region, headroom_percent)
        move = begun_move(self._tenant.hosting, target, asked, self._now)
        registry_moves.insert_move(self._connection, move)
        self.put_residue(database_residue(target, self._now))
        self.journal(MOVE_REQUESTED, **requested_move_body(move))
        return move

    def put_move(self, move: Move) -> None:
        """Writes what was decided of a move."""
        check_subject(move.tenant_uid, self._lease)
        registry_moves.update_move(self._connection, move)

    def cut_over(self, move: Move, explanation: Mapping[str, Any]) -> None:
        """Places the tenant where the move leads."""
        self.put_move(replace(move, cut_over_at=self._now))
        hosting = move.target
        self._tenant = replace(self._tenant, hosting=hosting)
        self._changes.update(region=hosting.region, instance=hosting.instance, generation=hosting.generation)
        placement = {"tenant_uid": hosting.uid, "generation": hosting.generation, "explanation": dict(explanation)}
        self._connection.execute(insert(schema.placements).values(placement).inline())
        self.journal(CUT_OVER, **moved_body(move))

    def record_restored(self) -> None:
        """Writes when the database was seen to be whole."""
        self._change(restored_at=self._now)

    def journal(self, event: str, **body: Any) -> None:
        """Gathers an entry."""
        entry = {"tenant_uid": self._lease.tenant_uid, "event": event, "plan_digest": self._plan_digest}
        self._entries.append({**entry, "body": body_text(body)})

    def put_backup(self, backup: Backup) -> None:
        """Writes the backup unless its slot is another's, and its copies."""
        check_subject(backup.tenant_uid, self._lease)
        columns = schema.backups.c
        values = columns_of(backup)
        source = select(*(literal(value, columns[name].type) for name, value in values.items()))
        if backup.state in SLOT_TAKEN_IN:
            others = select(columns.id).where(
                columns.tenant_uid == backup.tenant_uid,
                columns.slot == backup.slot,
                columns.state.in_(sorted(state.value for state in SLOT_TAKEN_IN)),
                columns.id != backup.id,
            )
            source = source.where(~exists(others))
        statement = upsert(schema.backups).from_select(list(values), source)
        if self._connection.execute(_or_update(statement, schema.backups)).rowcount != 1:
            raise slot_taken(backup)
        self._put_copies(backup.copies)

    def put_copy(self, copy: Copy) -> None:
        """Writes one copy."""
        self._put_copies([copy])

    def put_residue(self, residue: Residue) -> None:
        """Writes a line of the inventory that has not lapsed."""
        check_subject(residue.tenant_uid, self._lease)
        statement = upsert(schema.residues).values(columns_of(residue))
        unless_lapsed = schema.residues.c.lapsed_at.is_(None)
        self._connection.execute(_or_update(statement, schema.residues, unless_lapsed))

    def raise_alarm(self, code: str, reason: str) -> None:
        """Renews an open alarm, or opens one."""
        if self._alarms.open(code, reason):
            self.journal(ALARM_RAISED, code=code)

    def clear_alarm(self, code: str) -> None:
        """Closes an alarm that is open."""
        if self._alarms.close(code):
            self.journal(ALARM_CLEARED, code=code)

    def blank_names(self) -> None:
        """Blanks the name, the time zone, the placements' explanations, and what past alarms said."""
        uid = self._lease.tenant_uid
        self._change(name=None, time_zone=BLANKED_TIME_ZONE, kept_in=None)
        placements, alarms = schema.placements, schema.alarms
        self._connection.execute(update(placements).where(placements.c.tenant_uid == uid).values(explanation={}))
        past = (alarms.c.tenant_uid == uid, alarms.c.cleared_at.is_not(None))
        self._connection.execute(update(alarms).where(*past).values(reason=""))

    def freezes(self) -> Sequence[Freeze]:
        """The open freezes of the tenant's region."""
        return decisions_sql.open_freezes(self._connection, self._tenant.hosting.region)

    def holds(self) -> Sequence[Hold]:
        """The tenant's open holds; who places one locks the tenant's row first, which is ours."""
        return decisions_sql.open_holds(self._connection, self._lease.tenant_uid)

    def cap_count(self, act: Act) -> CapCount:
        """What the cap is held against, counted once everybody else who counts has committed."""
        region = self._tenant.hosting.region
        decisions_sql.lock_cap(self._connection, act, region)
        return decisions_sql.cap_count(self._connection, act, region)

    def count_act(self, act: Act, batch: str | None = None) -> None:
        """Counts an act."""
        region = self._tenant.hosting.region
        values = {"tenant_uid": self._lease.tenant_uid, "act": act.value, "region": region, "batch": batch}
        counting = upsert(schema.acts).values(values).on_conflict_do_nothing().returning(schema.acts.c.id)
        if self._connection.execute(counting).first() is None:
            raise let_through_before(self._lease.tenant_uid, batch or "")

    def spend(self, digest: str) -> None:
        """Makes use of an approval, whose row is locked until this ends."""
        columns = schema.proposals.c
        this = columns.digest == digest
        self._connection.execute(select(columns.digest).where(this).with_for_update())
        for proposal in decisions_sql.proposals_where(self._connection, this):
            check_spendable(proposal, now=self._now)
            self._connection.execute(update(schema.proposals).where(this).values(spent_at=schema.now()))
            return
        raise unknown_proposal(digest, [])

    def put_notice(self, kind: str, *, closing: datetime, destroy_after: datetime) -> None:
        """Puts a notice into the outbox."""
        values = {
            "tenant_uid": self._lease.tenant_uid,
            "kind": kind,
            "closing": closing,
            "destroy_after": destroy_after,
        }
        putting = upsert(schema.notices).values(values).on_conflict_do_nothing().returning(schema.notices.c.id)
        row = self._connection.execute(putting).first()
        if row is not None:
            self.journal(NOTICE_WRITTEN, notice=row.id, kind=kind, destroy_after=rfc3339(destroy_after))

    def want_erased(self) -> None:
        """Sets what is wanted."""
        self._change(wanted=Wanted.ERASED)

    def finish(self) -> None:
        """Writes what was gathered; to be called once, before the commit.

        Raises:
            LeaseLost: the row is no longer ours, which its lock should make impossible.
        """
        self._write_changes()
        if self._entries:
            self._connection.execute(insert(schema.journal).values(self._entries).inline())

    def _is_ours(self) -> tuple[Any, ...]:
        lease = self._lease
        return (
            _tenants.uid == lease.tenant_uid,
            _tenants.lease_owner == lease.owner,
            _tenants.lease_epoch == lease.epoch,
        )

    def _change(self, **changes: Any) -> None:
        if "state" in changes and "state" in self._changes:
            self._write_changes()  # the database, too, is shown each transition by itself
        self._tenant = replace(self._tenant, **changes)
        self._changes.update(changes)

    def _write_changes(self) -> None:
        if not self._changes:
            return
        check_change(self._as_read, self._tenant)
        statement = update(schema.tenants).where(*self._is_ours()).values(self._changes)
        if self._connection.execute(statement).rowcount != 1:
            raise lease_lost(self._lease)
        self._changes = {}

    def _put_copies(self, copies: Sequence[Copy]) -> None:
        if not copies:
            return
        for copy in copies:
            check_subject(copy.tenant_uid, self._lease)
        statement = upsert(schema.copies).values([columns_of(copy) for copy in copies])
        if self._connection.execute(_or_update(statement, schema.copies)).rowcount != len(copies):
            raise ValueError(f"a copy of backup {copies[0].backup_id} is another tenant's")


def _or_update(statement: Insert, table: Table, *conditions: Any) -> Insert:
    """The same as an upsert by primary key, which touches no row of another tenant."""
    keys = list(table.primary_key)
    changed = {column.name: statement.excluded[column.name] for column in table.columns if column not in keys}
    where = table.c.tenant_uid == statement.excluded.tenant_uid
    for condition in conditions:
        where &= condition
    upserting = statement.on_conflict_do_update(index_elements=keys, set_=changed, where=where).inline()
    return upserting.execution_options(preserve_rowcount=True)
