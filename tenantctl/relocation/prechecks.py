"""Whether a database can be carried to an instance, and how: while its customer works, or by a dump. Pure.

Logical replication is the way, and a dump with its restore the other one, for what no replication carries. What
neither carries stands in the way, each with its reason.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from tenantctl.model.policy import MovesPolicy
from tenantctl.model.replication import Inspection, Readiness

MEGABYTE: Final = 1_000_000
NAMED_MAX: Final = 5
SLOTS: Final = 2  # of the source: one for the target, one to tell what changes while the copy is compared
FENCE_SECONDS: Final = 5  # to send a customer away, catch up, and let it in again, however large the database is
DUMP_SECONDS: Final = 30  # to begin a dump and end a restore, likewise


@dataclass(frozen=True)
class Reason:
    """Why a database is dumped: in words that name nothing of it, for the record, and in a clause for people."""

    kind: str
    told: str


def reasons_to_dump(found: Inspection, here: Readiness, policy: MovesPolicy) -> Iterator[Reason]:
    """Why replication cannot carry this database; nothing if it can.

    Args:
        found: the database.
        here: the instance that it is on.
        policy: from which size on a table without a key is too large.
    """
    most = policy.whole_rows_megabytes_max
    large = tuple(name for name, size in found.without_identity if size > most * MEGABYTE)
    for names, kind, why in (
        (found.beyond_matching, "rows that nothing tells apart", "neither a primary key nor rows that can be compared"),
        (large, "large tables without a key", f"no primary key and more than {most} MB"),
        (found.unlogged, "unlogged tables", "rows that stand in no log: they are unlogged"),
    ):
        if names:
            yield Reason(kind, f"{_named(names)} {'has' if len(names) == 1 else 'have'} {why}")
    if found.large_objects:
        count = "1 large object stands" if found.large_objects == 1 else f"{found.large_objects} large objects stand"
        yield Reason("large objects", f"{count} in no replicated log")
    if not here.logical:
        yield Reason("a log that is not decoded", "the log of its instance is not written for replication")


def obstacles(
    found: Inspection, here: Readiness, there: Readiness, allowed: frozenset[str], *, dumped: bool
) -> Iterator[str]:
    """Why this database cannot be carried to this instance, in clauses; nothing if it can.

    Args:
        found: the database.
        here: the instance that it is on.
        there: the instance that is to take it.
        allowed: the extensions that the policy allows.
        dumped: whether it is to be dumped, and not replicated.
    """
    if there.server_major < found.server_major:
        yield f"the target has PostgreSQL {there.server_major}, older than {found.server_major}"
    if there.locale != found.locale:
        yield f"its locale is {found.locale}, the target's {there.locale}"
    if missing := sorted(set(found.extensions) - there.extensions):
        yield f"the target has no extension {', '.join(missing)}"
    if refused := sorted(set(found.extensions) - allowed):
        yield f"the policy does not allow the extension {', '.join(refused)}"
    if found.forced:
        yield f"{_named(found.forced)} force row security on their owner, and nobody could read all their rows"
    if found.of_strangers:
        yield f"{_named(found.of_strangers)} belong to neither of the tenant's roles"
    if not dumped:
        for which, instance, slots in (("its instance", here, SLOTS), ("the target", there, 1)):
            if instance.slots_free < slots:
                yield f"{which} has no room for another replication"


def expected_seconds(found: Inspection, policy: MovesPolicy, *, dumped: bool) -> int:
    """How long its customer is out, as it is told beforehand: by the policy's rates, rounded up.

    What is replicated is compared before, except for tables that no key tells the changed rows of.
    """
    if not dumped:
        return math.ceil(FENCE_SECONDS + found.without_keys / MEGABYTE / policy.compare_megabytes_per_second)
    megabytes = found.size / MEGABYTE
    copied = megabytes / policy.dump_megabytes_per_second + megabytes / policy.compare_megabytes_per_second
    return math.ceil(FENCE_SECONDS + DUMP_SECONDS + copied)


def _named(names: Sequence[str]) -> str:
    return f"{', '.join(names[:NAMED_MAX])}{', …' if len(names) > NAMED_MAX else ''}"
