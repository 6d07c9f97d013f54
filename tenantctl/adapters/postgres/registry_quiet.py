"""Tenants about which nothing is to be done: read together, decided on, and put off, in one transaction.

Their rows are locked meanwhile and nobody leases them: nothing is done that a lease would have to guard. A worker that
is paused in between is cut off by the server, and all is as it was.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from sqlalchemy import Connection, Row, text

from tenantctl.adapters.postgres import decisions_sql, registry_looks, registry_moves, registry_reads
from tenantctl.adapters.postgres.registry_rows import tenant_of
from tenantctl.model.decisions import Standing
from tenantctl.model.look import Known
from tenantctl.model.work import Danger
from tenantctl.ports.work import Later

# As a claim does, it goes from region to region by the index of lanes, whose condition stands here word for word.
_SHOWN: Final = text(f"""
    WITH RECURSIVE homes (region) AS (
        (SELECT region FROM registry.tenants WHERE state <> 'forgotten' OR name IS NOT NULL ORDER BY region LIMIT 1)
        UNION ALL
        SELECT (SELECT region FROM registry.tenants
                WHERE region > homes.region AND (state <> 'forgotten' OR name IS NOT NULL) ORDER BY region LIMIT 1)
        FROM homes WHERE homes.region IS NOT NULL
    )
    SELECT shown.* FROM homes CROSS JOIN LATERAL (
        SELECT * FROM registry.tenants AS one
        WHERE region = homes.region AND due_duty = '' AND danger = {Danger.BACKUP.value}
        AND due_at <= registry.tenantctl_now() AND (state <> 'forgotten' OR name IS NOT NULL)
        AND state = 'active' AND wanted = 'living' AND lease_owner IS NULL AND failures = 0 AND parked_at IS NULL
        AND NOT EXISTS (SELECT FROM registry.alarms WHERE tenant_uid = one.uid AND cleared_at IS NULL)
        AND NOT EXISTS (SELECT FROM registry.holds WHERE tenant_uid = one.uid AND ended_at IS NULL)
        AND NOT EXISTS (SELECT FROM registry.moves WHERE tenant_uid = one.uid AND ended_at IS NULL)
        AND NOT EXISTS (SELECT FROM registry.proposals WHERE tenant_uid = one.uid AND spent_at IS NULL)
        ORDER BY due_at LIMIT :count FOR UPDATE SKIP LOCKED
    ) AS shown LIMIT :count
""")  # noqa: S608 - a number of ours
_PUT_OFF: Final = text("""
    UPDATE registry.tenants AS one SET due_at = later.due_at, danger = later.danger
    FROM unnest(CAST(:uids AS text[]), CAST(:due_at AS timestamptz[]), CAST(:danger AS smallint[]))
        AS later (uid, due_at, danger)
    WHERE one.uid = later.uid
""")


def put_off(
    connection: Connection, decide: Callable[[Sequence[Known]], Mapping[str, Later]], count: int
) -> Sequence[str]:
    """Shows, decides, and writes; the transaction is the caller's."""
    shown = connection.execute(_SHOWN, {"count": count}).all()
    later = decide(_known(connection, shown)) if shown else {}
    uids = [row.uid for row in shown if row.uid in later]
    if uids:
        moments, dangers = [later[uid].due_at for uid in uids], [later[uid].danger.value for uid in uids]
        connection.execute(_PUT_OFF, {"uids": uids, "due_at": moments, "danger": dangers})
    return uids


def _known(connection: Connection, shown: Sequence[Row[Any]]) -> Sequence[Known]:
    """What is known of the tenants of these rows, in one statement for each kind of thing."""
    uids = [row.uid for row in shown]
    backups, at_rest = registry_looks.backups_for_a_look(connection, uids)
    residues = registry_reads.residues_for_a_look(connection, uids)
    moves, notices = registry_moves.moves_of(connection, uids), decisions_sql.notices_of(connection, uids)
    freezes = decisions_sql.open_freezes(connection, None)
    return [
        Known(
            tenant_of(row),
            tuple(backups.get(row.uid, ())),
            at_rest.get(row.uid),
            tuple(residues.get(row.uid, ())),
            tuple(moves.get(row.uid, ())),
            Standing(
                freezes=tuple(freeze for freeze in freezes if freeze.covers(row.region)),
                notices=tuple(notices.get(row.uid, ())),
            ),
        )
        for row in shown
    ]
