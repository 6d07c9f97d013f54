"""Requests: a new tenant, a new intent, a new instance. Each is one transaction, with its entry in the journal."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, case, insert, select, update
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.exc import IntegrityError

from tenantctl.adapters.postgres import registry_reads, schema
from tenantctl.adapters.postgres.registry_claims import IS_LEASED, UNKNOWN_DUTY
from tenantctl.adapters.postgres.registry_engine import violated
from tenantctl.adapters.postgres.registry_rows import columns_of, instance_of, intent_of, tenant_of
from tenantctl.adapters.registry_rules import (
    REQUEST_EVENTS,
    TRIAL_ENDED,
    WANTED_BY,
    body_text,
    database_residue,
    emptiest_or_refuse,
    instance_differs,
    name_taken,
    requested_body,
    superseded,
    uid_used,
    unknown_instance,
)
from tenantctl.model.capacity import Demand
from tenantctl.model.lifecycle import State
from tenantctl.model.tenant import Instance, InstanceRole, InstanceState, Intent, IntentKind, Tenant
from tenantctl.model.work import Danger
from tenantctl.ports.registry import NewTenant

_tenants = schema.tenants.c
_FIRST_INTENT = 1
_FIRST_GENERATION = 1
# Made once: every request runs through these two.
_APPENDING = insert(schema.journal).inline()
_ASKING = insert(schema.intents).returning(schema.intents)


def request_tenant(connection: Connection, new: NewTenant) -> Tenant:
    """Places and writes a tenant; two requests for one region wait for each other, so neither overfills an instance."""
    demand = Demand(new.connection_limit, new.size, new.headroom_percent)
    instance = None if new.waits else emptiest_instance(connection, new.region, demand, only=new.instance)
    tenant = _insert_tenant(connection, new, instance)
    connection.execute(
        insert(schema.intents).values(
            tenant_uid=new.uid,
            id=tenant.intent_id,
            kind=IntentKind.CREATE.value,
            cause=new.cause,
            instructing_party=new.instructing_party,
            effective_at=tenant.intent_effective_at,
        )
    )
    connection.execute(
        insert(schema.placements).values(
            tenant_uid=new.uid, generation=tenant.hosting.generation, explanation=dict(new.explanation)
        )
    )
    if instance is not None:
        residue = database_residue(tenant.hosting, tenant.created_at)
        connection.execute(insert(schema.residues).values(columns_of(residue)))
    body = {**new.evidence, **requested_body(tenant)}
    append(connection, new.uid, REQUEST_EVENTS[IntentKind.CREATE], body)
    if new.trial_ends_at is None:
        return tenant
    record_intent(
        connection,
        tenant,
        IntentKind.TRIAL,
        cause=TRIAL_ENDED,
        instructing_party=new.instructing_party,
        effective_at=new.trial_ends_at,
    )
    return registry_reads.tenant(connection, new.uid)


def record_intent(
    connection: Connection,
    tenant: Tenant,
    kind: IntentKind,
    *,
    cause: str,
    instructing_party: str,
    effective_at: datetime | None,
) -> Intent:
    """Compares the newest intent and the state with what was read, and sets.

    While the tenant is leased its due date stays at the lease's end, which the lease's own number of the intent makes
    known to `renew` and `release`.
    """
    effective = schema.now() if effective_at is None else effective_at
    brings_forward = ~IS_LEASED & (_tenants.due_at > effective)
    compare_and_set = (
        update(schema.tenants)
        .where(
            _tenants.uid == tenant.uid,
            _tenants.intent_id == tenant.intent_id,
            _tenants.state == tenant.state.value,
        )
        .values(
            intent_id=_tenants.intent_id + 1,
            intent_effective_at=effective,
            wanted=WANTED_BY[kind].value,
            due_at=case((brings_forward, effective), else_=_tenants.due_at),
            due_duty=case((brings_forward, UNKNOWN_DUTY), else_=_tenants.due_duty),
            danger=case((brings_forward, Danger.TERM.value), else_=_tenants.danger),
        )
        .returning(_tenants.intent_id, _tenants.intent_effective_at)
    )
    row = connection.execute(compare_and_set).first()
    if row is None:
        raise superseded(tenant)
    asked = {"tenant_uid": tenant.uid, "id": row.intent_id, "kind": kind.value, "cause": cause}
    by_whom = {"instructing_party": instructing_party, "effective_at": row.intent_effective_at}
    written = connection.execute(_ASKING, {**asked, **by_whom}).one()
    intent = intent_of(written)
    body = {"intent": intent.id, "effective_at": intent.effective_at.isoformat()}
    append(connection, tenant.uid, REQUEST_EVENTS[kind], body)
    return intent


def add_instance(connection: Connection, instance: Instance) -> None:
    """Writes an instance; one that is known may get other limits, and nothing else."""
    values = {"name": instance.name, "region": instance.region, "role": instance.role.value}
    limits = {name: getattr(instance, name) for name in ("databases_max", "connections_max", "bytes_max")}
    statement = upsert(schema.instances).values(**values, **limits)
    known = connection.execute(
        statement.on_conflict_do_update(
            index_elements=["name"], set_={name: statement.excluded[name] for name in limits}
        ).returning(schema.instances)
    ).one()
    if (known.region, known.role) != (instance.region, instance.role.value):
        raise instance_differs(instance_of(known))


def set_instance_state(connection: Connection, name: str, state: InstanceState) -> None:
    """Has an instance take more tenants, or no more; who is choosing one just now is waited for."""
    columns = schema.instances.c
    statement = update(schema.instances).where(columns.name == name).values(state=state.value)
    if connection.execute(statement).rowcount != 1:
        raise unknown_instance(name)


def append(connection: Connection, uid: str, event: str, body: Mapping[str, Any]) -> None:
    """Adds one entry of a request to a tenant's chain; the database writes the rest of it."""
    values = {"tenant_uid": uid, "event": event, "plan_digest": "", "body": body_text(body)}
    connection.execute(_APPENDING, values)


def emptiest_instance(
    connection: Connection, region: str, demand: Demand, *, leaves: str = "", only: str = ""
) -> Instance:
    """The instance that a tenant of a region goes to, never the one that it leaves; its room is kept meanwhile.

    Of those that there are, `only` one is asked, where one is named.

    Raises:
        NoRoom: none has any.
    """
    columns = schema.instances.c
    lock = select(columns.name).where(columns.region == region, columns.role == InstanceRole.TENANTS.value)
    connection.execute(lock.order_by(columns.name).with_for_update(key_share=True)).all()
    # Counted by a statement of its own, so that it sees what those before us in the queue have committed.
    hosting = [one for one in registry_reads.instances(connection, region) if one.role is InstanceRole.TENANTS]
    hosting = [one for one in hosting if only in {"", one.name}]
    return emptiest_or_refuse(region, hosting, demand, leaves=leaves)


def _insert_tenant(connection: Connection, new: NewTenant, instance: Instance | None) -> Tenant:
    statement = insert(schema.tenants).values(
        uid=new.uid,
        name=new.name,
        state=State.REQUESTED.value,
        wanted=WANTED_BY[IntentKind.CREATE].value,
        intent_id=_FIRST_INTENT,
        intent_effective_at=schema.now(),
        time_zone=new.time_zone,
        region=new.region,
        instance=instance.name if instance else None,
        generation=_FIRST_GENERATION,
        connection_limit=new.connection_limit,
        extensions=list(new.extensions),
        due_at=schema.now(),
        restored_from_backup=new.restored_from.backup_id if new.restored_from else None,
        restored_from_tenant=new.restored_from.tenant_uid if new.restored_from else None,
        kept_in=new.kept_in,
        size=new.size,
    )
    try:
        return tenant_of(connection.execute(statement.returning(schema.tenants)).one())
    except IntegrityError as error:
        if violated(error) == "tenants_living_name":
            raise name_taken(new.name) from error
        if violated(error) == "tenants_pkey":
            raise uid_used(new.uid) from error
        raise
