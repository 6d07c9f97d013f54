"""Keys of backups: the services that wrap them in each region, and the small stores that keep what was wrapped."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Protocol

from tenantctl.model.errors import NotFound, Refused
from tenantctl.model.sighting import Sighting
from tenantctl.ports.vault import BucketSeen, ObjectSeen


@dataclass(frozen=True)
class KeySeen:
    """A region's wrapping key as its service shows it.

    Attributes:
        primary: the number of the version that wraps now; blank if there is none.
        versions: state of each version by its number, such as `ENABLED`, `DISABLED`, `DESTROY_SCHEDULED`, `DESTROYED`.
        rotation: how often a new version takes over; None if never by itself.
        rotates_at: when that happens next, UTC.
        destroyed_after: how long a version can still be restored once its destruction has been asked for.
    """

    primary: str
    versions: Mapping[str, str]
    rotation: timedelta | None
    rotates_at: datetime | None
    destroyed_after: timedelta

    @property
    def state(self) -> str:
        """The state of the version that wraps now; only `ENABLED` wraps."""
        return self.versions.get(self.primary, "")


class KeyResting(Refused):
    """The version that is needed is disabled or waits for its destruction: who may can bring it back."""


CONTENT_MAX: Final = 64 * 1024  # bytes that can be wrapped or kept under one name: keys, and nothing else


class KeyDestroyed(NotFound):
    """The version that is needed was seen to be destroyed: what it wrapped, no one unwraps in this region any more."""


def forgets(terms: BucketSeen) -> bool:
    """Whether a bucket with these terms keeps nothing of what is removed from it, and lets it be removed."""
    return terms.soft_delete_seconds == 0 and not terms.versioning and terms.lock_days is None


class Keys(Protocol):
    """One wrapping key in each region.

    1. `unwrap` gives what `wrap` of the same region and context was given, also after the key was rotated.
    2. Another context, another region and changed bytes are Refused, and say nothing of what was wrapped.
    3. A destroyed version is KeyDestroyed, a resting one KeyResting, a region that has no key NotFound; all three are
       Refused, none is any of the others, and a service that does not answer is Transient and never any of them.
    4. What was damaged on the way, in either direction, is Transient: it is neither returned nor taken for tampering.
    5. `wrap` changes nothing: it may be repeated, and gives other bytes each time.
    6. `look` answers present, gone or unreachable; unreachable is never gone.
    """

    def wrap(self, region: str, plaintext: bytes, *, context: str) -> bytes:
        """Wraps up to 64 KiB with the region's primary version; `context` is bound to it, and not hidden in it.

        Raises:
            KeyResting: the primary version does not wrap.
            NotFound: the region has no key.
            Refused: the service says no.
            Transient: the service does not answer, or what came is not what it sent.
        """

    def unwrap(self, region: str, wrapped: bytes, *, context: str) -> bytes:
        """Unwraps with whichever version wrapped it.

        Raises:
            KeyResting: that version is disabled, or waits for its destruction.
            KeyDestroyed: that version is destroyed.
            NotFound: the region has no key.
            Refused: it was wrapped in another region or context, or changed; or the service says no.
            Transient: the service does not answer, or what came is not what it sent.
        """

    def look(self, region: str) -> Sighting[KeySeen]:
        """The region's key."""


class KeyStore(Protocol):
    """Wrapped keys, `{tenant_uid}/{backup_id}.key`, in a small bucket of each region, apart from what they open.

    1. `put` of the same bytes again is a no-op; other bytes under that name are Refused: a key that is replaced is a
       backup lost.
    2. `remove` may be repeated: what is not there is removed. After it `look` answers gone. This is the one thing
       here that removes: removing a key in every region is how a backup is shredded.
    3. `look`, `names` and `look_at_bucket` answer present, gone or unreachable; unreachable is never gone, and where
       the bucket is missing nothing is known of its keys.
    4. `read` returns what `put` was given, or raises: what was damaged on the way is Transient.
    5. The bucket keeps nothing of what was removed: no versions, no soft delete, no retention. `look_at_bucket` says
       whether that is still so; where it is not, `remove` is Refused and removes nothing.
    """

    def put(self, region: str, name: str, content: bytes) -> ObjectSeen:
        """Keeps up to 64 KiB.

        Raises:
            NotFound: the region has no bucket.
            Refused: other bytes have that name, or it is too much, or the store says no.
            Transient: the store does not answer.
        """

    def read(self, region: str, name: str) -> bytes:
        """What is kept under a name.

        Raises:
            NotFound: there is none.
            Transient: the store does not answer, or what came is not what it has.
        """

    def remove(self, region: str, name: str) -> None:
        """Removes what is kept under a name, if it is there.

        Raises:
            Refused: the bucket would keep what is removed, or the store says no.
            Transient: the store does not answer, or its bucket is missing; whether it was removed is unknown.
        """

    def look(self, region: str, name: str) -> Sighting[ObjectSeen]:
        """One key by name."""

    def look_at_bucket(self, region: str) -> Sighting[BucketSeen]:
        """The bucket's own terms."""

    def names(self, region: str, prefix: str) -> Sighting[tuple[str, ...]]:
        """The names below a prefix, in order; an empty bucket is Present with none."""
