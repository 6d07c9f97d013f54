"""Moves in the registry on PostgreSQL: a row each, of which only what is decided later changes."""

from collections import defaultdict
from collections.abc import Mapping, Sequence

from sqlalchemy import Connection, exists, insert, select, update

from tenantctl.adapters.postgres import schema
from tenantctl.adapters.postgres.registry_reads import residues
from tenantctl.adapters.postgres.registry_requests import emptiest_instance
from tenantctl.adapters.postgres.registry_rows import columns_of
from tenantctl.adapters.registry_rules import moving_already, next_generation
from tenantctl.model.capacity import Demand
from tenantctl.model.move import Move
from tenantctl.model.tenant import Hosting, Tenant

_LATER = ("verifier", "schema_digest", "undo_because", "fenced_at", "cut_over_at", "ended_at")


def moves_of(connection: Connection, uids: Sequence[str]) -> Mapping[str, Sequence[Move]]:
    """The moves of each of these tenants that has any, oldest first."""
    columns, found = schema.moves.c, defaultdict[str, list[Move]](list)
    question = select(schema.moves).where(columns.tenant_uid.in_(uids)).order_by(columns.generation)
    for row in connection.execute(question):
        found[row.tenant_uid].append(Move(**row._mapping))
    return found


def room_for_move(connection: Connection, tenant: Tenant, region: str, headroom_percent: int) -> Hosting:
    """Where the tenant's next generation goes.

    Raises:
        Refused: it is moving already, or no instance of the region has room.
    """
    columns = schema.moves.c
    is_open = exists(schema.moves).where(columns.tenant_uid == tenant.uid, columns.ended_at.is_(None))
    if connection.scalar(select(is_open)):
        raise moving_already(tenant)
    demand = Demand(tenant.connection_limit, tenant.size, headroom_percent)
    instance = emptiest_instance(connection, region, demand, leaves=tenant.hosting.instance)
    return Hosting(tenant.uid, instance.name, region, next_generation(tenant, residues(connection, tenant.uid)))


def insert_move(connection: Connection, move: Move) -> None:
    """Writes a new move."""
    connection.execute(insert(schema.moves).values(columns_of(move)).inline())


def update_move(connection: Connection, move: Move) -> None:
    """Writes what was decided later."""
    columns = schema.moves.c
    this = (columns.tenant_uid == move.tenant_uid, columns.generation == move.generation)
    connection.execute(update(schema.moves).where(*this).values({name: getattr(move, name) for name in _LATER}))
