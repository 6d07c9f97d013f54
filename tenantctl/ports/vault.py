"""Vaults: write-once objects in buckets that expire them by themselves."""

from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from tenantctl.model.policy import Term
from tenantctl.model.sighting import Sighting


@dataclass(frozen=True)
class BucketSeen:
    """A live bucket's terms as its store states them; days are None where the bucket has none."""

    region: str
    locked: bool
    lock_days: int | None
    age_days: int | None
    soft_delete_seconds: int
    versioning: bool

    @classmethod
    def locked_for(cls, region: str, term: Term) -> "BucketSeen":
        """What a bucket of locked copies must say of itself."""
        return cls(region, True, term.lock_days, term.age_days, soft_delete_seconds=0, versioning=False)


@dataclass(frozen=True)
class ObjectSeen:
    """An object as its store shows it; `crc32c` is base64 as Cloud Storage states it."""

    size: int
    crc32c: str
    created_at: datetime
    retained_until: datetime | None
    held: bool


@dataclass(frozen=True)
class ObjectListed:
    """An object as it stands in a list."""

    name: str
    seen: ObjectSeen


class Upload(Protocol):
    """One object being written; it exists only once sealed."""

    def write(self, chunk: bytes) -> None:
        """Adds bytes.

        Raises:
            Transient: the store did not take them, and the upload is lost.
        """

    def seal(self) -> ObjectSeen:
        """Ends the upload; from here on the object exists and is locked.

        Raises:
            Transient: the store did not answer; whether the object exists is unknown.
        """


class Vault(Protocol):
    """Write-once objects in the buckets of one project, each bucket in one region.

    1. `put` of the same bytes again is a no-op; other bytes under that name are Refused.
    2. There is no delete and no overwrite: expiry belongs to the bucket.
    3. `look` answers present, gone or unreachable; unreachable is never gone, a missing bucket is unreachable.
    4. What is written without `seal` never becomes an object.
    5. What is under a `hold` outlives its bucket's age, and nobody deletes it, until its `release`. A hold is of one
       object, never changes its retention, and is one however often it is put on.
    """

    def look_at_bucket(self, bucket: str) -> Sighting[BucketSeen]:
        """The bucket's own terms."""

    def look(self, bucket: str, name: str) -> Sighting[ObjectSeen]:
        """One object by name."""

    def put(self, bucket: str, name: str, content: bytes) -> ObjectSeen:
        """Writes a small object at once."""

    def upload(self, bucket: str, name: str) -> AbstractContextManager[Upload]:
        """Streams an object; leaving the block without `seal` leaves nothing behind.

        Raises:
            Refused: an object of this name exists; of this, a `write` or the `seal` may be the first to tell.
        """

    def read(self, bucket: str, name: str) -> Iterator[bytes]:
        """The object's bytes in order, piece by piece, checked against the store's checksum at the end.

        Raises:
            NotFound: it is gone.
            Transient: the store does not answer, or what came is not what it has.
        """

    def hold(self, bucket: str, name: str) -> ObjectSeen:
        """Puts an object under a temporary hold; again is a no-op. Answers what the store shows of it afterwards.

        Raises:
            NotFound: it is gone.
            Transient: the store does not answer, or what became of it is unknown.
            Refused: the store does not let us.
        """

    def release(self, bucket: str, name: str) -> ObjectSeen:
        """Lets an object go on with its term; again is a no-op. Raises as `hold` does."""

    def names(self, bucket: str, prefix: str) -> Sighting[tuple[str, ...]]:
        """The names below a prefix; an empty bucket is Present with none."""

    def objects(self, bucket: str, *, after: str, limit: int) -> Sighting[tuple[ObjectListed, ...]]:
        """A page of all that is in a bucket, by the bytes of their names, from after the last one of the page before.

        Fewer than `limit` are the last ones; an empty bucket is Present with none.
        """
