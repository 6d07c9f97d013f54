"""The vaults in S3 with Object Lock, through Amazon's own client.

Object Lock demands versioning, and with it nothing is ever overwritten or deleted in S3: a write over a name puts a
newer version before the older one, a deletion puts a marker before it, and both leave the locked version where it is.
So here *an object is the first version of its name*. What somebody puts over it, or hides it with, changes nothing: it
is seen and read all the same. It is *gone* only when S3 lists no version of that name any more, which is when its bytes
are gone, and not when a marker hides them. Our own writes demand that there is nothing of that name
(`If-None-Match: *`), and look for what a marker hides before.

Each object is locked by its bucket's default retention, in compliance mode, which nobody can shorten or lift: not its
owner, not Amazon's root user. Governance mode, which some can lift, counts as no lock. The bucket's own terms are read
in `terms.py`. What S3 states as CRC-32C of an object is that of all its bytes, also of one that came in parts (see
`multipart.py`); of an object that somebody wrote otherwise it is empty here, which no manifest says.
"""

import base64
import contextlib
import itertools
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING, Any, Final

import google_crc32c

from tenantctl.adapters.retry import Patience
from tenantctl.adapters.s3.answers import AlreadyThere, explaining
from tenantctl.adapters.s3.multipart import PART_SIZE, MultipartUpload
from tenantctl.adapters.s3.terms import bucket_seen
from tenantctl.adapters.watch import TimeLimits, Watch
from tenantctl.model.errors import NotFound, Refused, TenantctlError, Transient
from tenantctl.model.sighting import Gone, Present, Sighting, Unreachable
from tenantctl.ports.vault import BucketSeen, ObjectListed, ObjectSeen, Upload

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

CONTENT_TYPE: Final = "application/octet-stream"
CHUNK_SIZE: Final = 4 * 1024 * 1024


class S3Vault:
    """The port `Vault` on S3.

    Args:
        client: as `s3_client` makes it.
        owner: the account that the buckets must belong to, since names of buckets are everybody's; None for any.
        limits: for each request.
        patience: for each part of a stream; whole calls are repeated by a decorator, not here.
        part_size: bytes of the first parts of an upload.
        chunk_size: bytes that are read at once.
    """

    def __init__(
        self,
        client: "S3Client",
        *,
        owner: str | None = None,
        limits: TimeLimits | None = None,
        patience: Patience | None = None,
        part_size: int = PART_SIZE,
        chunk_size: int = CHUNK_SIZE,
    ) -> None:
        self._client = client
        self._owner: dict[str, Any] = {"ExpectedBucketOwner": owner} if owner else {}
        self._limits = limits or TimeLimits()
        self._patience = patience or Patience()
        self._part_size, self._chunk_size = part_size, chunk_size

    def look_at_bucket(self, bucket: str) -> Sighting[BucketSeen]:
        """The bucket's own terms; gone only if S3 itself says so."""
        try:
            with Watch(self._limits.whole_seconds):
                return Present(bucket_seen(self._client, bucket, **self._owner))
        except NotFound:
            return Gone()
        except TenantctlError as error:
            return Unreachable(error.sentence)
        except TimeoutError as error:
            return Unreachable(f"S3 could not be asked to look at s3://{bucket}: {error}")

    def look(self, bucket: str, name: str) -> Sighting[ObjectSeen]:
        """One object by name."""
        try:
            return Present(self._seen(bucket, name, self._version(bucket, name)))
        except _NoVersion:
            return Gone()
        except TenantctlError as error:
            return Unreachable(error.sentence)

    def put(self, bucket: str, name: str, content: bytes) -> ObjectSeen:
        """Writes a small object at once; the same bytes again are a no-op."""
        try:
            written = self._put(bucket, name, content)
        except AlreadyThere:
            written = None
        try:
            version = self._existing(bucket, name)
        except _NoVersion as error:
            raise Transient(f"{_address(bucket, name)} was there and is gone; look again.") from error
        seen = self._seen(bucket, name, version)
        if (seen.size, seen.crc32c) != (len(content), _crc32c_of(content)):
            if version == written:
                raise _corrupted(bucket, name)
            raise AlreadyThere(f"{_address(bucket, name)} exists with other bytes; a vault's objects are written once.")
        return seen

    def upload(self, bucket: str, name: str) -> AbstractContextManager[Upload]:
        """Streams an object; leaving the block without `seal` leaves nothing behind."""
        return self._upload(bucket, name)

    @contextmanager
    def _upload(self, bucket: str, name: str) -> Iterator[Upload]:
        try:
            self._version(bucket, name)
        except _NoVersion:
            pass
        else:
            raise AlreadyThere(f"{_address(bucket, name)} exists, and a vault's objects are written once.")
        upload = MultipartUpload(
            self._client,
            self._target(bucket, name),
            _address(bucket, name),
            part_size=self._part_size,
            limits=self._limits,
            patience=self._patience,
        )
        try:
            yield _S3Upload(self, bucket, name, upload)
        finally:
            upload.abandon()

    def read(self, bucket: str, name: str) -> Iterator[bytes]:
        """The object's bytes; opened at once, read as they are asked for."""
        version = self._patience.call(self._existing, bucket, name)
        return self._chunks(bucket, name, version, self._patience.call(self._seen, bucket, name, version))

    def hold(self, bucket: str, name: str) -> ObjectSeen:
        """Puts an object under a legal hold, as S3 calls it; it stands beside the retention, and moves no date."""
        return self._set_hold(bucket, name, held=True)

    def release(self, bucket: str, name: str) -> ObjectSeen:
        """Ends the legal hold of an object."""
        return self._set_hold(bucket, name, held=False)

    def names(self, bucket: str, prefix: str) -> Sighting[tuple[str, ...]]:
        """The names below a prefix of which there is a version, in order."""
        try:
            return Present(tuple(sorted({key for key, _ in self._versions(bucket, prefix)})))
        except TenantctlError as error:
            return Unreachable(error.sentence)

    def objects(self, bucket: str, *, after: str, limit: int) -> Sighting[tuple[ObjectListed, ...]]:
        """A page of all that is in a bucket; S3's lists say little, so that each object is looked at besides."""
        try:
            by_name = itertools.groupby(self._versions(bucket, "", after=after), key=lambda version: version[0])
            page = [(name, [one for _, one in of_name][-1]) for name, of_name in itertools.islice(by_name, limit)]
            return Present(tuple(ObjectListed(name, self._seen(bucket, name, first)) for name, first in page))
        except TenantctlError as error:
            return Unreachable(error.sentence)

    def _versions(self, bucket: str, prefix: str, *, after: str = "") -> Iterator[tuple[str, str]]:
        """Name and id of every version below a prefix, by name, newest first; markers are none."""
        position: dict[str, Any] = {"KeyMarker": after} if after else {}
        while True:
            with explaining(f"list {_address(bucket, prefix)}"), Watch(self._limits.whole_seconds):
                page = self._client.list_object_versions(Bucket=bucket, Prefix=prefix, **position, **self._owner)
            if page.get("Name") != bucket:  # an empty answer reads like an empty list
                raise Transient(f"The answer about s3://{bucket} is not about it.")
            for version in page.get("Versions", ()):
                yield version["Key"], version["VersionId"]
            if not page.get("IsTruncated"):
                return
            position = {"KeyMarker": page["NextKeyMarker"], "VersionIdMarker": page["NextVersionIdMarker"]}

    def _version(self, bucket: str, name: str) -> str:
        """The first version of a name.

        Raises:
            _NoVersion: there is none, and the bucket itself has said so.
        """
        first = None
        for key, version in self._versions(bucket, name):
            if key != name:
                break  # longer names come after it
            first = version
        if first is None:
            raise _NoVersion(f"There is no {_address(bucket, name)}.")
        return first

    def _existing(self, bucket: str, name: str) -> str:
        """The first version of a name.

        Raises:
            NotFound: there is none.
            Transient: that cannot be told.
        """
        try:
            return self._version(bucket, name)
        except _NoVersion:
            raise
        except NotFound as error:
            sentence = f"Whether {_address(bucket, name)} exists cannot be told: {error.sentence}"
            raise Transient(sentence) from error

    def _seen(self, bucket: str, name: str, version: str) -> ObjectSeen:
        doing = f"look at {_address(bucket, name)}"
        with explaining(doing), Watch(self._limits.whole_seconds):
            head: Mapping[str, Any] = self._client.head_object(
                **self._target(bucket, name), VersionId=version, ChecksumMode="ENABLED"
            )
        if "ContentLength" not in head or "LastModified" not in head or head.get("VersionId") != version:
            raise Transient(f"S3's answer when asked to {doing} is cut short.")
        stated = head.get("ChecksumCRC32C", "")
        whole = head.get("ChecksumType", "FULL_OBJECT") == "FULL_OBJECT" and "-" not in stated  # "…-3": of three parts
        return ObjectSeen(
            size=head["ContentLength"],
            crc32c=stated if whole else "",
            created_at=head["LastModified"],
            retained_until=head.get("ObjectLockRetainUntilDate")
            if head.get("ObjectLockMode") == "COMPLIANCE"
            else None,
            held=head.get("ObjectLockLegalHoldStatus") == "ON",
        )

    def _set_hold(self, bucket: str, name: str, *, held: bool) -> ObjectSeen:
        version = self._existing(bucket, name)
        seen = self._seen(bucket, name, version)
        if seen.held is held:
            return seen
        doing = f"{'hold' if held else 'release'} {_address(bucket, name)}"
        with explaining(doing), Watch(self._limits.whole_seconds):
            self._client.put_object_legal_hold(
                **self._target(bucket, name), VersionId=version, LegalHold={"Status": "ON" if held else "OFF"}
            )
        return self._seen(bucket, name, version)

    def _put(self, bucket: str, name: str, content: bytes) -> str | None:
        """Write an object that must not exist; the id of its version."""
        with explaining(f"write {_address(bucket, name)}"), Watch(self._limits.whole_seconds):
            answer = self._client.put_object(
                **self._target(bucket, name),
                Body=content,
                ContentType=CONTENT_TYPE,
                ChecksumAlgorithm="CRC32C",
                ChecksumCRC32C=_crc32c_of(content),
                IfNoneMatch="*",
            )
        return answer.get("VersionId")

    def _seal(self, bucket: str, name: str, upload: MultipartUpload) -> ObjectSeen:
        upload.check_open()
        measures = (upload.size, upload.crc32c)
        doubts: list[Transient] = []
        if upload.begun:
            upload.send_rest()
            make: Callable[[], object] = upload.complete
        else:
            content = upload.gathered()  # an object without bytes cannot come in parts, and a small one need not

            def make() -> object:
                return self._put(bucket, name, content)

        def attempt() -> None:
            try:
                make()
            except Transient as error:
                doubts.append(error)  # it may have been made all the same
                raise

        try:
            self._patience.call(attempt)
        except TenantctlError:
            sighting = self.look(bucket, name) if doubts else None
            if not isinstance(sighting, Present) or (sighting.value.size, sighting.value.crc32c) != measures:
                raise
            return sighting.value
        seen = self._patience.call(lambda: self._seen(bucket, name, self._existing(bucket, name)))
        if (seen.size, seen.crc32c) != measures:
            raise _corrupted(bucket, name)
        return seen

    def _chunks(self, bucket: str, name: str, version: str, seen: ObjectSeen) -> Iterator[bytes]:
        checksum = google_crc32c.Checksum()
        for start in range(0, seen.size, self._chunk_size):
            end = min(start + self._chunk_size, seen.size) - 1
            chunk = self._patience.call(self._chunk, bucket, name, version, start, end)
            checksum.update(chunk)
            yield chunk
        if base64.b64encode(checksum.digest()).decode() != seen.crc32c:
            raise Transient(f"What was read of {_address(bucket, name)} is not what S3 has.")

    def _chunk(self, bucket: str, name: str, version: str, start: int, end: int) -> bytes:
        try:
            with explaining(f"read {_address(bucket, name)}"), Watch(self._limits.whole_seconds):
                answer = self._client.get_object(
                    **self._target(bucket, name), VersionId=version, Range=f"bytes={start}-{end}"
                )
                with contextlib.closing(answer["Body"]) as body:
                    chunk: bytes = body.read()
        except NotFound:
            self._existing(bucket, name)  # raises what is true of it
            raise
        if len(chunk) != end - start + 1:
            raise Transient(f"{_address(bucket, name)} was cut short after {start + len(chunk)} bytes.")
        return chunk

    def _target(self, bucket: str, name: str) -> dict[str, Any]:
        return {"Bucket": bucket, "Key": name, **self._owner}


class _S3Upload:
    """The port `Upload` on S3."""

    def __init__(self, vault: S3Vault, bucket: str, name: str, upload: MultipartUpload) -> None:
        self._vault, self._bucket, self._name, self._upload = vault, bucket, name, upload

    def write(self, chunk: bytes) -> None:
        """Adds bytes."""
        self._upload.write(chunk)

    def seal(self) -> ObjectSeen:
        """Ends the upload, once S3 has found the same checksum of the same bytes."""
        return self._vault._seal(self._bucket, self._name, self._upload)


class _NoVersion(NotFound):
    """The bucket itself lists no version of a name."""


def _crc32c_of(content: bytes) -> str:
    return base64.b64encode(google_crc32c.Checksum(content).digest()).decode()


def _address(bucket: str, name: str) -> str:
    return f"s3://{bucket}/{name}"


def _corrupted(bucket: str, name: str) -> Refused:
    return Refused(
        f"{_address(bucket, name)} was written, and S3 has other bytes than were sent.",
        hint="The object is locked until it expires; write another one under a new name.",
    )
