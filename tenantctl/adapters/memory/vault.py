"""A vault in memory, with the same contract as the real one: what a test breaks, it breaks by name.

Locks, holds and lifecycle are the bucket's own, and run on the clock that the test gives. `expire` is the bucket's
lifecycle at work, late by `lifecycle_lag` as the real one may be.
"""

import base64
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

import google_crc32c

from tenantctl.model.errors import NotFound, Refused, Transient
from tenantctl.model.sighting import Gone, Present, Sighting, Unreachable
from tenantctl.ports.vault import BucketSeen, ObjectListed, ObjectSeen, Upload

PIECE_SIZE = 256 * 1024


@dataclass
class _Object:
    content: bytes
    seen: ObjectSeen


@dataclass
class _Bucket:
    terms: BucketSeen
    objects: dict[str, _Object] = field(default_factory=dict)


class MemoryVault:
    """The port `Vault` in memory.

    Args:
        clock: the time, UTC.
        lifecycle_lag: how late `expire` deletes.

    Attributes:
        unreachable: regions whose buckets do not answer; a test adds and removes them.
    """

    def __init__(self, clock: Callable[[], datetime], *, lifecycle_lag: timedelta = timedelta(hours=36)) -> None:
        self.unreachable: set[str] = set()
        self._clock, self._lag = clock, lifecycle_lag
        self._buckets: dict[str, _Bucket] = {}
        self._lock = threading.RLock()

    # What only a test can do

    def make_bucket(self, name: str, terms: BucketSeen) -> None:
        """Make a bucket with these terms; changes the terms of one that is there."""
        with self._lock:
            self._buckets.setdefault(name, _Bucket(terms)).terms = terms

    def drop_bucket(self, name: str) -> None:
        """Lose a bucket with all that is in it."""
        with self._lock:
            del self._buckets[name]

    def lose(self, bucket: str, name: str) -> None:
        """Lose an object without a trace, as no request can."""
        with self._lock:
            del self._buckets[bucket].objects[name]

    def damage(self, bucket: str, name: str) -> None:
        """Flip a bit of an object whose checksum the store goes on stating."""
        with self._lock:
            found = self._buckets[bucket].objects[name]
            found.content = bytes([found.content[0] ^ 1]) + found.content[1:]

    def expire(self) -> int:
        """Let every bucket's lifecycle delete what is due, and return how many objects went."""
        now, gone = self._clock(), 0
        with self._lock:
            for bucket in self._buckets.values():
                due = [name for name, found in bucket.objects.items() if self._is_due(bucket, found.seen, now)]
                for name in due:
                    del bucket.objects[name]
                gone += len(due)
        return gone

    def delete(self, bucket: str, name: str) -> None:
        """Delete as somebody with every right would: what is locked or held stays.

        Raises:
            Refused: the object is locked or held.
        """
        with self._lock:
            seen = self._buckets[bucket].objects[name].seen
            if seen.held or (seen.retained_until is not None and self._clock() < seen.retained_until):
                raise Refused(f"{bucket}/{name} is kept: {seen}")
            del self._buckets[bucket].objects[name]

    # The port

    def look_at_bucket(self, bucket: str) -> Sighting[BucketSeen]:
        """The bucket's own terms."""
        with self._lock:
            if bucket not in self._buckets:
                return Gone()
            terms = self._buckets[bucket].terms
        return Unreachable(f"{terms.region} does not answer") if terms.region in self.unreachable else Present(terms)

    def look(self, bucket: str, name: str) -> Sighting[ObjectSeen]:
        """One object by name."""
        with self._lock:
            try:
                found = self._reach(bucket).objects.get(name)
            except (Transient, NotFound) as error:
                return Unreachable(error.sentence)
            return Gone() if found is None else Present(found.seen)

    def put(self, bucket: str, name: str, content: bytes) -> ObjectSeen:
        """Writes a small object at once."""
        with self._lock:
            found = self._reach(bucket).objects.get(name)
            if found is not None and found.content == content:
                return found.seen
            return self._place(bucket, name, content)

    def upload(self, bucket: str, name: str) -> AbstractContextManager[Upload]:
        """Streams an object; leaving the block without `seal` leaves nothing behind."""
        return self._upload(bucket, name)

    @contextmanager
    def _upload(self, bucket: str, name: str) -> Iterator[Upload]:
        with self._lock:
            if name in self._reach(bucket).objects:
                raise Refused(f"{bucket}/{name} exists, and a vault's objects are written once.")
        upload = _MemoryUpload(self, bucket, name)
        try:
            yield upload
        finally:
            upload.ended = True

    def read(self, bucket: str, name: str) -> Iterator[bytes]:
        """The object's bytes; opened at once, read as they are asked for."""
        with self._lock:
            found = self._reach(bucket).objects.get(name)
            if found is None:
                raise NotFound(f"There is no {bucket}/{name}.")
            content, seen = found.content, found.seen
        return self._pieces(bucket, name, content, seen)

    def hold(self, bucket: str, name: str) -> ObjectSeen:
        """Puts an object under a hold."""
        return self._hold(bucket, name, held=True)

    def release(self, bucket: str, name: str) -> ObjectSeen:
        """Lets it go on with its term."""
        return self._hold(bucket, name, held=False)

    def names(self, bucket: str, prefix: str) -> Sighting[tuple[str, ...]]:
        """The names below a prefix, in order."""
        with self._lock:
            try:
                objects = self._reach(bucket).objects
            except (Transient, NotFound) as error:
                return Unreachable(error.sentence)
            return Present(tuple(sorted(name for name in objects if name.startswith(prefix))))

    def objects(self, bucket: str, *, after: str, limit: int) -> Sighting[tuple[ObjectListed, ...]]:
        """A page of all that is in a bucket, from after a name."""
        with self._lock:
            try:
                there = sorted(
                    (name, found.seen) for name, found in self._reach(bucket).objects.items() if name > after
                )
            except (Transient, NotFound) as error:
                return Unreachable(error.sentence)
            return Present(tuple(ObjectListed(name, seen) for name, seen in there[:limit]))

    def _hold(self, bucket: str, name: str, *, held: bool) -> ObjectSeen:
        with self._lock:
            if bucket not in self._buckets:
                raise Transient(f"Whether {bucket}/{name} exists cannot be told: there is no such bucket.")
            found = self._reach(bucket).objects.get(name)
            if found is None:
                raise NotFound(f"There is no {bucket}/{name}.")
            found.seen = replace(found.seen, held=held)
            return found.seen

    def _reach(self, bucket: str) -> _Bucket:
        if bucket not in self._buckets:
            raise NotFound(f"There is no bucket {bucket}.")
        found = self._buckets[bucket]
        if found.terms.region in self.unreachable:
            raise Transient(f"{found.terms.region} does not answer.")
        return found

    def _place(self, bucket: str, name: str, content: bytes) -> ObjectSeen:
        with self._lock:
            into = self._reach(bucket)
            if name in into.objects:
                raise Refused(f"{bucket}/{name} exists, and a vault's objects are written once.")
            now = self._clock()
            seen = ObjectSeen(
                size=len(content),
                crc32c=_crc32c_of(content),
                created_at=now,
                retained_until=None if into.terms.lock_days is None else now + timedelta(days=into.terms.lock_days),
                held=False,
            )
            into.objects[name] = _Object(content, seen)
            return seen

    def _pieces(self, bucket: str, name: str, content: bytes, seen: ObjectSeen) -> Iterator[bytes]:
        for start in range(0, len(content), PIECE_SIZE):
            with self._lock:
                self._reach(bucket)
            yield content[start : start + PIECE_SIZE]
        if _crc32c_of(content) != seen.crc32c:
            raise Transient(f"What was read of {bucket}/{name} is not what the store has.")

    def _is_due(self, bucket: _Bucket, seen: ObjectSeen, now: datetime) -> bool:
        if bucket.terms.age_days is None or seen.held:
            return False
        if seen.retained_until is not None and now < seen.retained_until:
            return False
        return seen.created_at + timedelta(days=bucket.terms.age_days) + self._lag <= now


class _MemoryUpload:
    """The port `Upload` in memory."""

    def __init__(self, vault: MemoryVault, bucket: str, name: str) -> None:
        self.ended = False
        self._vault, self._bucket, self._name = vault, bucket, name
        self._content = bytearray()

    def write(self, chunk: bytes) -> None:
        """Adds bytes."""
        self._check_open()
        self._content += chunk

    def seal(self) -> ObjectSeen:
        """Ends the upload."""
        self._check_open()
        self.ended = True
        return self._vault._place(self._bucket, self._name, bytes(self._content))

    def _check_open(self) -> None:
        if self.ended:
            raise Transient(f"The upload of {self._bucket}/{self._name} is lost.", hint="Begin a new one.")
        with self._vault._lock:
            try:
                self._vault._reach(self._bucket)
            except Transient:
                self.ended = True
                raise


def _crc32c_of(content: bytes) -> str:
    return base64.b64encode(google_crc32c.Checksum(content).digest()).decode()
