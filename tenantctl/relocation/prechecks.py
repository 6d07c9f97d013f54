"""Whether a database can be carried to an instance while its customer works, and what keeps it from that: pure."""

from collections.abc import Iterator
from typing import Final

from tenantctl.model.replication import Inspection, Readiness

WHOLE_ROWS_BYTES_MAX: Final = 64 * 1024 * 1024  # each change of such a table reads all of it at the target
NAMED_MAX: Final = 5


def obstacles(found: Inspection, there: Readiness, allowed: frozenset[str]) -> Iterator[str]:
    """Why replication cannot carry this database to this instance; nothing if it can.

    Args:
        found: the database.
        there: the instance that is to take it.
        allowed: the extensions that the policy allows.
    """
    yield from _of_the_instance(found, there, allowed)
    large = tuple(name for name, size in found.without_identity if size > WHOLE_ROWS_BYTES_MAX)
    for names, why in (
        (found.beyond_matching, "have neither a primary key nor rows that can be compared"),
        (large, f"have no primary key and more than {WHOLE_ROWS_BYTES_MAX >> 20} MB"),
        (found.unlogged, "are unlogged and have rows"),
        (found.forced, "force row security on their owner"),
        (found.of_strangers, "belong to neither of the tenant's roles"),
    ):
        if names:
            more = ", …" if len(names) > NAMED_MAX else ""
            yield f"{', '.join(names[:NAMED_MAX])}{more} {why}"
    if found.large_objects:
        yield f"{found.large_objects} large objects stand in no replicated log"


def _of_the_instance(found: Inspection, there: Readiness, allowed: frozenset[str]) -> Iterator[str]:
    if there.server_major < found.server_major:
        yield f"the target has PostgreSQL {there.server_major}, older than {found.server_major}"
    if there.locale != found.locale:
        yield f"its locale is {found.locale}, the target's {there.locale}"
    if missing := sorted(set(found.extensions) - there.extensions):
        yield f"the target has no extension {', '.join(missing)}"
    if refused := sorted(set(found.extensions) - allowed):
        yield f"the policy does not allow the extension {', '.join(refused)}"
    if there.slots_free < 1:
        yield "the target has no room for another replication"
