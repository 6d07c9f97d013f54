"""Keys and key stores in memory, with the same contracts as the real ones: what a test breaks, it breaks by name.

Wrapping is real (AES-256-GCM), so that a test which mixes up regions or contexts fails here as it would there.
"""

import base64
import os
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, Final

import google_crc32c
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from tenantctl.model.errors import NotFound, Refused, Transient
from tenantctl.model.sighting import Gone, Present, Sighting, Unreachable
from tenantctl.ports.keys import CONTENT_MAX, KeyDestroyed, KeyResting, KeySeen, forgets
from tenantctl.ports.vault import BucketSeen, ObjectSeen

_NONCE: Final = 12


@dataclass
class _Version:
    key: bytes | None = field(default_factory=lambda: AESGCM.generate_key(256))
    state: str = "ENABLED"


class MemoryKeys:
    """The port `Keys` in memory.

    Args:
        regions: those that have a key; `make_key` adds one.

    Attributes:
        unreachable: regions whose service does not answer; a test adds and removes them.
    """

    def __init__(self, regions: Iterable[str] = ()) -> None:
        self.unreachable: set[str] = set()
        self._versions: dict[str, list[_Version]] = {}
        self._lock = threading.RLock()
        for region in regions:
            self.make_key(region)

    # What only a test can do

    def make_key(self, region: str) -> None:
        """Make a region's key; one that is there stays as it is."""
        self._versions.setdefault(region, [_Version()])

    def drop_key(self, region: str) -> None:
        """Lose a region's key, as no request can."""
        del self._versions[region]

    def rotate(self, region: str) -> None:
        """Let a new version take over."""
        self._versions[region].append(_Version())

    def set_state(self, region: str, number: int, state: str) -> None:
        """Set a version's state; `DESTROYED` cannot be undone."""
        version = self._versions[region][number - 1]
        version.state = state
        if state == "DESTROYED":
            version.key = None

    # The port

    def wrap(self, region: str, plaintext: bytes, *, context: str) -> bytes:
        """Wraps with the region's newest version."""
        with self._lock:
            versions = self._reach(region)
            number = len(versions)
            if len(plaintext) > CONTENT_MAX:
                raise Refused(f"A key wraps up to {CONTENT_MAX} bytes, not {len(plaintext)}.")
            nonce = os.urandom(_NONCE)
            sealed = AESGCM(_usable(region, number, versions)).encrypt(nonce, plaintext, context.encode())
            return number.to_bytes(4, "big") + nonce + sealed

    def unwrap(self, region: str, wrapped: bytes, *, context: str) -> bytes:
        """Unwraps with the version that wrapped it."""
        with self._lock:
            versions = self._reach(region)
            number = int.from_bytes(wrapped[:4], "big")
            if 1 <= number <= len(versions) and len(wrapped) >= 4 + _NONCE:
                key = _usable(region, number, versions)
                try:
                    return AESGCM(key).decrypt(wrapped[4 : 4 + _NONCE], wrapped[4 + _NONCE :], context.encode())
                except InvalidTag:
                    pass
            raise Refused(f"The key of {region} does not unwrap this: it was wrapped elsewhere, or changed.")

    def look(self, region: str) -> Sighting[KeySeen]:
        """The region's key."""
        with self._lock:
            try:
                versions = self._reach(region)
            except NotFound:
                return Gone()
            except Transient as error:
                return Unreachable(error.sentence)
            states = {str(number): version.state for number, version in enumerate(versions, 1)}
            return Present(KeySeen(str(len(versions)), states, timedelta(days=90), None, timedelta(days=30)))

    def _reach(self, region: str) -> list[_Version]:
        if region in self.unreachable:
            raise Transient(f"The keys of {region} do not answer.")
        if region not in self._versions:
            raise NotFound(f"There is no key in {region}.")
        return self._versions[region]


def _usable(region: str, number: int, versions: list[_Version]) -> bytes:
    version = versions[number - 1]
    sentence = f"Version {number} of the key of {region} is {version.state}."
    if version.key is None:
        raise KeyDestroyed(sentence)
    if version.state != "ENABLED":
        raise KeyResting(sentence)
    return version.key


@dataclass
class _Bucket:
    terms: BucketSeen
    keys: dict[str, tuple[bytes, ObjectSeen]] = field(default_factory=dict)


class MemoryKeyStore:
    """The port `KeyStore` in memory.

    Args:
        regions: those that have a bucket; `make_bucket` adds one.
        clock: the time, UTC.

    Attributes:
        unreachable: regions whose bucket does not answer; a test adds and removes them.
    """

    def __init__(self, regions: Iterable[str], clock: Callable[[], datetime]) -> None:
        self.unreachable: set[str] = set()
        self._clock = clock
        self._buckets: dict[str, _Bucket] = {}
        self._lock = threading.RLock()
        for region in regions:
            self.make_bucket(region)

    # What only a test can do

    def make_bucket(self, region: str, **other: Any) -> None:
        """Make a region's bucket, or set its terms: those of `BucketSeen` that differ from the usual ones."""
        usual = BucketSeen(region, locked=False, lock_days=None, age_days=None, soft_delete_seconds=0, versioning=False)
        terms = replace(usual, **other)
        self._buckets.setdefault(region, _Bucket(terms)).terms = terms

    def drop_bucket(self, region: str) -> None:
        """Lose a region's bucket with all that is in it."""
        del self._buckets[region]

    def damage(self, region: str, name: str) -> None:
        """Flip a bit of a key whose checksum the store goes on stating."""
        content, seen = self._buckets[region].keys[name]
        self._buckets[region].keys[name] = (bytes([content[0] ^ 1]) + content[1:], seen)

    # The port

    def put(self, region: str, name: str, content: bytes) -> ObjectSeen:
        """Keeps a key; the same bytes again are a no-op."""
        with self._lock:
            if region not in self._buckets:
                raise NotFound(f"There is no key bucket in {region}.")
            bucket = self._reach(region)
            if len(content) > CONTENT_MAX:
                raise Refused(f"A key store keeps up to {CONTENT_MAX} bytes under a name, not {len(content)}.")
            if name in bucket.keys:
                if bucket.keys[name][0] != content:
                    raise Refused(f"{region}/{name} exists with other bytes.")
                return bucket.keys[name][1]
            seen = ObjectSeen(len(content), _crc32c_of(content), self._clock(), None, held=False)
            bucket.keys[name] = (content, seen)
            return seen

    def read(self, region: str, name: str) -> bytes:
        """What is kept under a name."""
        with self._lock:
            bucket = self._reach(region)
            if name not in bucket.keys:
                raise NotFound(f"There is no {region}/{name}.")
            content, seen = bucket.keys[name]
        if _crc32c_of(content) != seen.crc32c:
            raise Transient(f"What was read of {region}/{name} is not what the store has.")
        return content

    def remove(self, region: str, name: str) -> None:
        """Removes what is kept under a name, if it is there."""
        with self._lock:
            bucket = self._reach(region)
            if not forgets(bucket.terms):
                raise Refused(f"The key bucket of {region} would keep what is removed from it: {bucket.terms}.")
            bucket.keys.pop(name, None)

    def look(self, region: str, name: str) -> Sighting[ObjectSeen]:
        """One key by name."""
        with self._lock:
            try:
                found = self._reach(region).keys.get(name)
            except Transient as error:
                return Unreachable(error.sentence)
            return Gone() if found is None else Present(found[1])

    def look_at_bucket(self, region: str) -> Sighting[BucketSeen]:
        """The bucket's own terms."""
        with self._lock:
            if region in self.unreachable:
                return Unreachable(f"The key bucket of {region} does not answer.")
            return Present(self._buckets[region].terms) if region in self._buckets else Gone()

    def names(self, region: str, prefix: str) -> Sighting[tuple[str, ...]]:
        """The names below a prefix, in order."""
        with self._lock:
            try:
                keys = self._reach(region).keys
            except Transient as error:
                return Unreachable(error.sentence)
            return Present(tuple(sorted(name for name in keys if name.startswith(prefix))))

    def _reach(self, region: str) -> _Bucket:
        if region in self.unreachable or region not in self._buckets:
            raise Transient(f"The key bucket of {region} does not answer.")
        return self._buckets[region]


def _crc32c_of(content: bytes) -> str:
    return base64.b64encode(google_crc32c.Checksum(content).digest()).decode()
