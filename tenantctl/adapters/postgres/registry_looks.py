"""What a look at many tenants together is shown of each: the rules of `model/look.py`, where the rows lie.

A tenant of a year has a hundred copies that rest, and hundreds of backups that are over. None of them is read: partial
indexes (0017_looks.sql), whose conditions stand here word for word, lead to what exists, and of that a sum is answered.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from sqlalchemy import Connection, Row, text

from tenantctl.adapters.postgres import registry_reads
from tenantctl.model.backup import Backup
from tenantctl.model.look import RECENTLY, AtRest

_OF_EACH: Final = text("""
    SELECT uid, asked.ids || others.unlike AS shown, others.*
    FROM unnest(CAST(:uids AS text[])) AS uid
    CROSS JOIN LATERAL (
        SELECT coalesce(array_agg(id), '{}') AS ids FROM (
            SELECT id FROM registry.backups
            WHERE tenant_uid = uid AND begun_at > registry.tenantctl_now() - CAST(:recently AS interval)
            UNION SELECT id FROM registry.backups WHERE tenant_uid = uid AND state = 'begun'
            UNION (SELECT id FROM registry.backups WHERE tenant_uid = uid AND state = 'complete'
                   ORDER BY begun_at DESC FETCH FIRST 1 ROW WITH TIES)
            UNION (SELECT id FROM registry.backups
                   WHERE tenant_uid = uid AND verified_level = 'L3' AND verified_at IS NOT NULL
                   ORDER BY verified_at DESC FETCH FIRST 1 ROW WITH TIES)
            UNION (SELECT id FROM registry.backups
                   WHERE tenant_uid = uid AND state = 'failed' AND verified_at IS NOT NULL
                   ORDER BY verified_at DESC FETCH FIRST 1 ROW WITH TIES)
        ) AS of_any_age
    ) AS asked
    CROSS JOIN LATERAL (
        SELECT coalesce(array_agg(id) FILTER (WHERE NOT at_rest), '{}') AS unlike,
            min(seen_at) FILTER (WHERE at_rest) AS seen_at, min(read_at) FILTER (WHERE at_rest) AS read_at,
            min(lapses_at) FILTER (WHERE at_rest) AS lapses_at,
            min(key_lapses_at) FILTER (WHERE at_rest) AS key_lapses_at
        FROM (
            SELECT id, of_copies.*, are_at_rest AND state = 'complete' AS at_rest
            FROM (
                SELECT backup_id, min(seen_at) AS seen_at, min(lapses_at) AS lapses_at,
                    min(coalesce(verified_at, written_at, intended_at)) AS read_at,
                    CASE WHEN bool_or(wrapped_key IS NOT NULL) THEN max(lapses_at) END AS key_lapses_at,
                    bool_and(state = 'written' AND coalesce(seen_at < lapses_at, false) AND hold_asked_at IS NULL)
                        AS are_at_rest,
                    bool_and(state = 'absent' AND wrapped_key IS NULL AND hold_asked_at IS NULL) AS are_settled
                FROM registry.copies
                WHERE tenant_uid = uid
                AND (state <> 'lapsed' OR wrapped_key IS NOT NULL OR hold_asked_at IS NOT NULL)
                GROUP BY backup_id
            ) AS of_copies JOIN registry.backups ON id = backup_id
            WHERE NOT are_settled AND id <> ALL (asked.ids)
        ) AS of_each
    ) AS others
""")


def backups_for_a_look(
    connection: Connection, uids: Sequence[str]
) -> tuple[Mapping[str, Sequence[Backup]], Mapping[str, AtRest]]:
    """What `model/look.py:for_a_look` makes of the backups of each of these tenants."""
    rows = connection.execute(_OF_EACH, {"uids": list(uids), "recently": RECENTLY}).all()
    shown = registry_reads.backups_by_id(connection, [identity for row in rows for identity in row.shown])
    return shown, {row.uid: _at_rest(row) for row in rows if row.seen_at is not None}


def _at_rest(row: Row[Any]) -> AtRest:
    return AtRest(row.seen_at, row.read_at, row.lapses_at, row.key_lapses_at)
