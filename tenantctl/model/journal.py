"""The journal's chain: what an entry is, how its hash is made, and how a broken chain is found.

Each tenant has one chain. An entry's hash covers its own fields and the hash
before it, so an entry that is edited, cut out or moved breaks the chain from
there on. The database computes the same hash when it writes; see the migration.
"""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

FIRST_LINK: Final = "0" * 64
SEPARATOR: Final = "\x1f"


@dataclass(frozen=True)
class Entry:
    """One line of evidence. `at` and `actor` are the database's own word, never the caller's.

    `body` is the exact JSON text that was written; `previous` and `hash` are hex SHA-256.
    """

    tenant_uid: str
    sequence: int
    at: datetime
    actor: str
    event: str
    plan_digest: str
    body: str
    previous: str
    hash: str

    def expected_hash(self) -> str:
        """The hash that the fields of this entry give."""
        moment = self.at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        fields = (self.previous, self.tenant_uid, str(self.sequence), moment, self.actor)
        content = SEPARATOR.join((*fields, self.event, self.plan_digest, self.body))
        return hashlib.sha256(content.encode()).hexdigest()


@dataclass(frozen=True)
class Head:
    """The newest link of a tenant's chain, which the database keeps apart from the entries."""

    tenant_uid: str
    sequence: int
    hash: str


def broken_links(entries: Sequence[Entry], head: Head | None) -> Iterator[str]:
    """A sentence for each place where one tenant's chain, in order of sequence, does not hold."""
    previous, expected = FIRST_LINK, 1
    for entry in entries:
        where = f"tenant {entry.tenant_uid}, entry {entry.sequence}"
        if entry.sequence != expected:
            yield f"{where}: entry {expected} should stand here"
        if entry.previous != previous:
            yield f"{where}: does not continue the entry before it"
        if entry.hash != entry.expected_hash():
            yield f"{where}: its content was changed after it was written"
        previous, expected = entry.hash, entry.sequence + 1
    if head is None:
        if entries:
            yield f"tenant {entries[-1].tenant_uid}: the head of its chain is missing"
    elif (head.sequence, head.hash) != (expected - 1, previous):
        yield f"tenant {head.tenant_uid}: the chain ends at entry {expected - 1}, its head says {head.sequence}"
