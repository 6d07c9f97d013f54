"""An anchor: what chains of the journal were at one moment, in one small object that nobody can alter.

Its exact bytes are JSON; its digest, which stands in its name, is their SHA-256. Beside it lies the list of the heads
that its root stands for, so that a registry that has lost some of them can be told which. Neither has a name in it.
"""

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Final

from tenantctl.model.calendar import rfc3339
from tenantctl.model.errors import Refused
from tenantctl.model.journal import SEPARATOR, Head
from tenantctl.model.sighting import Present, Sighting, Unreachable

FORMAT: Final = "tenantctl-anchor-1"
ANCHORS: Final = "anchor/"
HEADS: Final = "heads/"
_NAME: Final = re.compile(r"anchor/(\d{4}-\d{2}-\d{2})/(\d{10})-([0-9a-f]{64})\.json")


@dataclass(frozen=True)
class Anchor:
    """One anchor.

    Attributes:
        number: from 1, and greater than that of every anchor before it.
        made_at: when the heads were read, by the registry's clock.
        registry: which registry's heads they are, as it calls itself.
        root: the Merkle root over the heads in the order of their uids, hex.
        chains: how many heads there are.
        entries: the sum of their sequences: how many entries these chains had.
        whole: whether these are the heads of all chains; else of some that an act is to rest on.
        heads_sha256: of the object that lists the heads, as it is stored, hex.
        previous: the digest of the newest anchor that was known before it; blank if there was none.
    """

    number: int
    made_at: datetime
    registry: str
    root: str
    chains: int
    entries: int
    whole: bool
    heads_sha256: str
    previous: str

    def to_bytes(self) -> bytes:
        """The bytes that are locked: JSON with sorted keys, no spaces, a line break at the end."""
        content = {**vars(self), "made_at": self.made_at.astimezone(UTC).isoformat(), "format": FORMAT}
        return (json.dumps(content, sort_keys=True, separators=(",", ":")) + "\n").encode()

    @staticmethod
    def from_bytes(content: bytes) -> "Anchor":
        """The anchor that these bytes are.

        Raises:
            Refused: they are none, or not written as this version writes them.
        """
        try:
            said = json.loads(content)
            said_format = said.pop("format")
            anchor = Anchor(**{**said, "made_at": datetime.fromisoformat(said["made_at"])})
            numbers = (anchor.number, anchor.chains, anchor.entries)
            is_typed = all(type(number) is int for number in numbers) and type(anchor.whole) is bool
            is_one = said_format == FORMAT and is_typed and anchor.to_bytes() == content
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise Refused("This is no anchor that this version can read.") from error
        if not is_one:
            raise Refused("This is no anchor as this version writes them.")
        return anchor

    @property
    def digest(self) -> str:
        """The SHA-256 of its bytes, hex."""
        return hashlib.sha256(self.to_bytes()).hexdigest()

    @property
    def name(self) -> "AnchorName":
        """What its object's name says of it."""
        return AnchorName(self.made_at.astimezone(UTC).date(), self.number, self.digest)

    @property
    def heads_name(self) -> str:
        """The name of the object that lists its heads."""
        return f"{HEADS}{self.number:010d}-{self.heads_sha256}.zst"

    @property
    def sentence(self) -> str:
        """How to speak of it."""
        return f"anchor {self.number} of {rfc3339(self.made_at)}"


@dataclass(frozen=True, order=True)
class AnchorName:
    """What the name of an anchor's object says: a listing is all that is needed to find an unknown one."""

    day: date
    number: int
    digest: str

    @property
    def object_name(self) -> str:
        """The name itself."""
        return f"{prefix_of(self.day)}{self.number:010d}-{self.digest}.json"

    @staticmethod
    def parse(name: str) -> "AnchorName | None":
        """What a name says; None if it is no anchor's."""
        match = _NAME.fullmatch(name)
        return None if match is None else AnchorName(date.fromisoformat(match[1]), int(match[2]), match[3])


@dataclass(frozen=True)
class AnchorOnRecord:
    """An anchor that the registry knows.

    `sealed_at` is when two regions were seen to hold it; `adopted` says that a reconciliation found it in the vaults.
    """

    anchor: Anchor
    sealed_at: datetime | None
    adopted: bool = False


@dataclass(frozen=True)
class Reconciliation:
    """That a registry was compared with the world, and by whom the findings were accepted.

    Attributes:
        at: when.
        actor: who, as the registry itself says.
        registry: which registry, as it calls itself.
        anchor: the digest of the newest anchor then; blank if there was none.
        findings: the digest of what was found.
    """

    at: datetime
    actor: str
    registry: str
    anchor: str
    findings: str


@dataclass(frozen=True)
class RegistrySeen:
    """What the registry knows of its anchors, beside what each region's vault shows of them.

    Attributes:
        identity: what the registry calls itself.
        newest: the newest anchor on record that two regions hold, or that was adopted.
        known: the digests on record of all anchors that can be among those listed.
        reconciled: the newest reconciliation on record.
        listed: region → the names of its anchors, from the day of `newest` on, or all if there is none.
        head: the newest link of the tenant that this was asked for.
        anchored: the link of that tenant that stands in an anchor which two regions hold.
    """

    identity: str
    newest: AnchorOnRecord | None
    known: frozenset[str]
    reconciled: Reconciliation | None
    listed: Mapping[str, Sighting[tuple[AnchorName, ...]]]
    head: Head | None = None
    anchored: Head | None = None

    def unknown(self) -> Iterator[tuple[str, AnchorName]]:
        """(region, name) of each anchor that is listed and not on record, the newest last."""
        for region, listing in self.listed.items():
            if isinstance(listing, Present):
                yield from ((region, name) for name in sorted(listing.value) if name.digest not in self.known)

    def answered(self) -> tuple[str, ...]:
        """The regions whose anchors could be listed."""
        return tuple(region for region, listing in self.listed.items() if isinstance(listing, Present))

    def silent(self) -> tuple[str, ...]:
        """A clause for each region whose anchors could not be listed."""
        return tuple(
            f"{region}: {listing.reason if isinstance(listing, Unreachable) else 'its bucket does not exist'}"
            for region, listing in self.listed.items()
            if not isinstance(listing, Present)
        )


def prefix_of(day: date) -> str:
    """How the names of a day's anchors begin."""
    return f"{ANCHORS}{day.isoformat()}/"


def leaf_of(head: Head) -> bytes:
    """What is hashed of a head."""
    return SEPARATOR.join((head.tenant_uid, str(head.sequence), head.hash)).encode()


def line_of(head: Head) -> bytes:
    """A head as it stands in the list."""
    return f"{head.tenant_uid} {head.sequence} {head.hash}\n".encode()


def head_of_line(line: bytes) -> Head:
    """The head that a line of the list says.

    Raises:
        Refused: it says none.
    """
    parts = line.decode("ascii", "replace").split()
    if len(parts) != 3 or not parts[1].isdecimal():
        raise Refused("A list of heads has a line that is none.")
    return Head(parts[0], int(parts[1]), parts[2])


def anchor_bucket_name(prefix: str, region: str, age_days: int) -> str:
    """The bucket for anchors in one region; another term is another bucket."""
    return f"{prefix}-{region}-anchors-{age_days}d"
