"""Rows of the registry's tables as the model's types, and back."""

from collections.abc import Mapping
from dataclasses import fields
from operator import itemgetter
from typing import Any, Final

from sqlalchemy import Row

from tenantctl.model.backup import (
    Backup,
    BackupState,
    Copy,
    CopyState,
    Residue,
    ResidueKind,
    RetentionClass,
    VerificationLevel,
)
from tenantctl.model.journal import Entry
from tenantctl.model.lifecycle import State
from tenantctl.model.move import Move
from tenantctl.model.tenant import (
    Hosting,
    Instance,
    InstanceRole,
    InstanceState,
    Intent,
    IntentKind,
    Origin,
    Tenant,
    Wanted,
)

# Of everything that is read these are the most, by far.
_OF_COPIES: Final = tuple(field.name for field in fields(Copy))
_STATE_OF_COPY: Final = _OF_COPIES.index("state")
_LEVEL_OF_COPY: Final = _OF_COPIES.index("verified_level")
_VALUES_OF_COPY: Final = itemgetter(*_OF_COPIES)


def tenant_of(row: Row[Any]) -> Tenant:
    """A row of `tenants`.

    Raises:
        ValueError: its state is none that this program knows.
    """
    return Tenant(
        uid=row.uid,
        name=row.name,
        state=State(row.state),
        wanted=Wanted(row.wanted),
        intent_id=row.intent_id,
        intent_effective_at=row.intent_effective_at,
        time_zone=row.time_zone,
        hosting=Hosting(row.uid, row.instance or "", row.region, row.generation),
        connection_limit=row.connection_limit,
        extensions=tuple(row.extensions),
        created_at=row.created_at,
        due_at=row.due_at,
        logins_closed_at=row.logins_closed_at,
        destroy_after=row.destroy_after,
        destroyed_at=row.destroyed_at,
        restored_from=_origin(row),
        restored_at=row.restored_at,
        kept_in=row.kept_in,
        size=row.size,
    )


def intent_of(row: Row[Any]) -> Intent:
    """A row of `intents`."""
    return Intent(**{**row._mapping, "kind": IntentKind(row.kind)})


def instance_of(row: Row[Any], databases: int = 0, connections: int = 0, bytes_seen: int = 0) -> Instance:
    """A row of `instances`, with what the tenants placed on it take."""
    return Instance(
        name=row.name,
        region=row.region,
        role=InstanceRole(row.role),
        databases_max=row.databases_max,
        databases=databases,
        connections_max=row.connections_max,
        bytes_max=row.bytes_max,
        connections=connections,
        bytes_seen=bytes_seen,
        state=InstanceState(row.state),
    )


def copy_of(row: Row[Any]) -> Copy:
    """A row of `copies`, alone or with something else of its backup."""
    values = [*_VALUES_OF_COPY(row._mapping)]
    values[_STATE_OF_COPY] = CopyState(values[_STATE_OF_COPY])
    values[_LEVEL_OF_COPY] = _level(values[_LEVEL_OF_COPY])
    return Copy(*values)


def backup_of(row: Row[Any], copies: tuple[Copy, ...]) -> Backup:
    """A row of `backups`, with its copies."""
    typed = {
        "retention_class": RetentionClass(row.retention_class),
        "state": BackupState(row.state),
        "verified_level": _level(row.verified_level),
        "forced_row_security": tuple(row.forced_row_security),
        "copies": copies,
    }
    return Backup(**{**row._mapping, **typed})


def residue_of(row: Row[Any]) -> Residue:
    """A row of `residues`."""
    return Residue(**{**row._mapping, "kind": ResidueKind(row.kind)})


def entry_of(row: Row[Any]) -> Entry:
    """A row of `journal`."""
    return Entry(**row._mapping)


def columns_of(record: Backup | Copy | Residue | Move) -> Mapping[str, Any]:
    """The fields of a record as values for the columns of the same names; a backup's copies are rows of their own."""
    values = {field.name: getattr(record, field.name) for field in fields(record) if field.name != "copies"}
    return {name: list(value) if isinstance(value, tuple) else value for name, value in values.items()}


def _origin(row: Row[Any]) -> Origin | None:
    if row.restored_from_backup is None:
        return None
    return Origin(row.restored_from_backup, row.restored_from_tenant)


def _level(text: str | None) -> VerificationLevel | None:
    return None if text is None else VerificationLevel(text)
