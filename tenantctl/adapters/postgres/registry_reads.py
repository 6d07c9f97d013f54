"""What the registry is asked: each question is one statement, two where backups come with their copies."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import (
    ARRAY,
    BigInteger,
    ColumnElement,
    Connection,
    Row,
    Text,
    and_,
    any_,
    cast,
    func,
    literal_column,
    or_,
    select,
    true,
    union,
    union_all,
)

from tenantctl.adapters.postgres import schema
from tenantctl.adapters.postgres.registry_rows import (
    backup_of,
    copy_of,
    entry_of,
    instance_of,
    intent_of,
    residue_of,
    tenant_of,
)
from tenantctl.adapters.registry_rules import unknown_backup, unknown_tenant
from tenantctl.model.backup import Backup, Copy, Residue
from tenantctl.model.journal import Entry, Head
from tenantctl.model.lifecycle import DEAD, State
from tenantctl.model.look import NOT_SHOWN
from tenantctl.model.tenant import Instance, InstanceRole, Intent, Tenant
from tenantctl.ports.registry import Alarm, Lease, Waiting

_tenants = schema.tenants.c
# Written out, since of a parameter the planner cannot tell that it means what the conditions of indexes mean.
IS_DEAD = _tenants.state.in_([literal_column(f"'{state.value}'") for state in sorted(DEAD)])
_OLDEST_FIRST = select(schema.backups).order_by(schema.backups.c.begun_at, schema.backups.c.id.collate("C"))


def find(connection: Connection, name_or_uid: str) -> Tenant:
    """The tenant that has not given back this name, else the one of this uid."""
    bears_name = and_(_tenants.name == name_or_uid, ~IS_DEAD)
    question = select(schema.tenants).where(or_(bears_name, _tenants.uid == name_or_uid))
    row = connection.execute(question.order_by(bears_name.desc().nulls_last()).limit(1)).first()
    if row is None:
        former = select(_tenants.uid).where(_tenants.name == name_or_uid).order_by(_tenants.created_at)
        raise unknown_tenant(name_or_uid, connection.scalars(former).all())
    return tenant_of(row)


def tenant(connection: Connection, uid: str) -> Tenant:
    """The tenant of this uid."""
    row = connection.execute(select(schema.tenants).where(_tenants.uid == uid)).first()
    if row is None:
        raise unknown_tenant(uid)
    return tenant_of(row)


def tenants(connection: Connection, states: Sequence[State]) -> Sequence[Tenant]:
    """Tenants by name, then uid, those without a name last."""
    question = select(schema.tenants).order_by(_tenants.name.collate("C").nulls_last(), _tenants.uid.collate("C"))
    if states:
        question = question.where(_tenants.state.in_([state.value for state in states]))
    return [tenant_of(row) for row in connection.execute(question)]


def waiting(connection: Connection) -> Sequence[Waiting]:
    """Those that have no instance yet, in the order in which they were asked for."""
    placements = schema.placements.c
    question = (
        select(schema.tenants, placements.explanation)
        .join(schema.placements, placements.tenant_uid == _tenants.uid)
        .where(_tenants.instance.is_(None), _tenants.state == State.REQUESTED.value)
        .order_by(_tenants.created_at, _tenants.uid.collate("C"))
    )
    return [Waiting(tenant_of(row), row.explanation) for row in connection.execute(question)]


def owner_of(connection: Connection, backup_id: str) -> Tenant:
    """The tenant whose backup has this id."""
    backups = schema.backups.c
    question = select(schema.tenants).join(schema.backups, backups.tenant_uid == _tenants.uid)
    row = connection.execute(question.where(backups.id == backup_id)).first()
    if row is None:
        raise unknown_backup(backup_id)
    return tenant_of(row)


def lease_of(connection: Connection, uid: str) -> Lease | None:
    """The lease that has not ended."""
    question = select(_tenants.uid, _tenants.lease_owner, _tenants.lease_epoch, _tenants.lease_until).where(
        _tenants.uid == uid, _tenants.lease_until > schema.now()
    )
    row = connection.execute(question).first()
    return None if row is None else Lease(*row)


def explanation(connection: Connection, uid: str) -> Mapping[str, Any]:
    """The newest placement's explanation."""
    placements = schema.placements.c
    question = select(placements.explanation).where(placements.tenant_uid == uid)
    return connection.scalars(question.order_by(placements.generation.desc()).limit(1)).first() or {}


def intents(connection: Connection, uid: str) -> Sequence[Intent]:
    """Intents in the order in which they came."""
    question = select(schema.intents).where(schema.intents.c.tenant_uid == uid).order_by(schema.intents.c.id)
    return [intent_of(row) for row in connection.execute(question)]


def backups(connection: Connection, uid: str) -> Sequence[Backup]:
    """Backups, oldest first, each with its copies by region."""
    return backups_of(connection, [uid]).get(uid, [])


def backups_of(connection: Connection, uids: Sequence[str]) -> Mapping[str, Sequence[Backup]]:
    """Those of each of these tenants that has any."""
    rows = connection.execute(_OLDEST_FIRST.where(schema.backups.c.tenant_uid.in_(uids))).all()
    return _with_copies(connection, rows, schema.copies.c.tenant_uid.in_(uids))


def backups_by_id(connection: Connection, ids: Sequence[str]) -> Mapping[str, Sequence[Backup]]:
    """The backups of these ids by tenant, oldest first, each with its copies by region."""
    these = cast(ids, ARRAY(Text))  # one parameter, however many they are
    rows = connection.execute(_OLDEST_FIRST.where(schema.backups.c.id == any_(these))).all()
    return _with_copies(connection, rows, schema.copies.c.backup_id == any_(these))


def _with_copies(
    connection: Connection, rows: Sequence[Row[Any]], copies_of_them: ColumnElement[bool]
) -> Mapping[str, Sequence[Backup]]:
    """The backups of these rows by tenant, in their order, each with its copies by region."""
    copies, found = defaultdict[str, list[Copy]](list), defaultdict[str, list[Backup]](list)
    if not rows:
        return found
    in_order = select(schema.copies).where(copies_of_them).order_by(schema.copies.c.region.collate("C"))
    for row in connection.execute(in_order).all():  # one by one they cost as much again
        copies[row.backup_id].append(copy_of(row))
    for row in rows:
        found[row.tenant_uid].append(backup_of(row, tuple(copies[row.id])))
    return found


def residues(connection: Connection, uid: str) -> Sequence[Residue]:
    """The inventory, oldest first, with what has lapsed."""
    return _residues(connection, schema.residues.c.tenant_uid == uid).get(uid, [])


def open_residues(connection: Connection, uid: str) -> Sequence[Residue]:
    """What of the inventory has not lapsed, oldest first."""
    columns = schema.residues.c
    return _residues(connection, columns.tenant_uid == uid, columns.lapsed_at.is_(None)).get(uid, [])


def residues_for_a_look(connection: Connection, uids: Sequence[str]) -> Mapping[str, Sequence[Residue]]:
    """What has not lapsed of each of these tenants' inventories, oldest first, as `model/look.py` shows it."""
    columns = schema.residues.c
    # Written out, as the index says it.
    kinds = columns.kind.not_in([literal_column(f"'{kind.value}'") for kind in sorted(NOT_SHOWN)])
    return _residues(connection, columns.tenant_uid.in_(uids), columns.lapsed_at.is_(None), kinds)


def _residues(connection: Connection, *conditions: ColumnElement[bool]) -> Mapping[str, Sequence[Residue]]:
    columns, found = schema.residues.c, defaultdict[str, list[Residue]](list)
    question = select(schema.residues).where(*conditions).order_by(columns.made_at, columns.id.collate("C"))
    for row in connection.execute(question):
        found[row.tenant_uid].append(residue_of(row))
    return found


def alarms(connection: Connection, uid: str | None) -> Sequence[Alarm]:
    """Open alarms, oldest first."""
    columns = schema.alarms.c
    question = select(columns.tenant_uid, columns.code, columns.reason, columns.since)
    question = question.where(columns.cleared_at.is_(None))
    if uid is not None:
        question = question.where(columns.tenant_uid == uid)
    in_order = question.order_by(columns.since, columns.tenant_uid.collate("C"), columns.code.collate("C"))
    return [Alarm(*row) for row in connection.execute(in_order)]


def entries(connection: Connection, uid: str) -> Sequence[Entry]:
    """The chain as it stands; whether it holds is the model's to say."""
    question = select(schema.journal).where(schema.journal.c.tenant_uid == uid).order_by(schema.journal.c.sequence)
    return [entry_of(row) for row in connection.execute(question)]


def head(connection: Connection, uid: str) -> Head | None:
    """The chain's newest link."""
    row = connection.execute(select(schema.journal_heads).where(schema.journal_heads.c.tenant_uid == uid)).first()
    return None if row is None else Head(*row)


def chains(connection: Connection) -> Sequence[str]:
    """Every uid with a head or an entry: a head that was cut off does not hide its chain."""
    of_heads, of_entries = select(schema.journal_heads.c.tenant_uid), select(schema.journal.c.tenant_uid)
    return sorted(connection.scalars(union(of_heads, of_entries)))


def instances(
    connection: Connection, region: str | None = None, *, role: InstanceRole | None = None
) -> Sequence[Instance]:
    """Instances by name, of all regions and roles or of one, each with what the tenants placed on it take."""
    columns, coming = schema.instances.c, schema.moves.c
    takes = (_tenants.connection_limit, _tenants.size)
    # Two questions, each with an index of its own: an OR of them would read the whole fleet for every instance.
    there = select(*takes).where(_tenants.region == columns.region, _tenants.instance == columns.name, ~IS_DEAD)
    expected = (
        select(*takes)
        .join(schema.moves, coming.tenant_uid == _tenants.uid)
        .where(
            coming.instance == columns.name,
            coming.cut_over_at.is_(None),
            coming.ended_at.is_(None),
            _tenants.instance.is_distinct_from(columns.name),
            ~IS_DEAD,
        )
    )
    each = union_all(there.correlate(schema.instances), expected.correlate(schema.instances)).subquery()
    placed = select(
        func.count().label("databases"),
        func.coalesce(func.sum(each.c.connection_limit), 0).label("connections"),
        cast(func.coalesce(func.sum(each.c.size), 0), BigInteger).label("bytes_seen"),
    ).lateral()
    question = select(schema.instances, placed).join(placed, true()).order_by(columns.name.collate("C"))
    if region is not None:
        question = question.where(columns.region == region)
    if role is not None:
        question = question.where(columns.role == role.value)
    rows = connection.execute(question)
    return [instance_of(row, row.databases, row.connections, row.bytes_seen) for row in rows]
