"""The vaults in Cloud Storage, through Google's own client.

There is no delete and no overwrite in this module: each write demands that no object of its name exists, and expiry
belongs to the bucket. All that is ever changed of an object is its *temporary* hold: an event-based one would start its
retention anew. *Gone* is answered only when the API itself says that there is no such object and its bucket is
seen to be there; whatever else comes in the way, a missing bucket included, is *unreachable*.
"""

import base64
import hashlib
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import timedelta
from typing import Final, NoReturn

import google_crc32c
from google.auth.credentials import Credentials
from google.cloud.storage import Blob, Bucket, Client
from google.cloud.storage.exceptions import DataCorruption

from tenantctl.adapters.google.answers import AlreadyThere, explaining
from tenantctl.adapters.google.listing import listed
from tenantctl.adapters.google.resumable import CHUNK_UNIT, ResumableUpload
from tenantctl.adapters.google.transport import TimeLimits, Watch, watched_session
from tenantctl.adapters.retry import Patience
from tenantctl.model.errors import Damaged, NotFound, Refused, TenantctlError, Transient
from tenantctl.model.sighting import Gone, Present, Sighting, Unreachable
from tenantctl.ports.vault import BucketSeen, ObjectListed, ObjectSeen, Upload

CHUNK_SIZE: Final = 64 * CHUNK_UNIT  # 16 MiB: fewer requests, while all of a backup's uploads together hold about two
CONTENT_TYPE: Final = "application/octet-stream"
_ONE_DAY: Final = timedelta(days=1)
_SOFT_DELETE_UNSTATED: Final = 7 * 86_400  # Cloud Storage's default: unless a bucket says 0, assume the worst


def storage_client(project: str, credentials: Credentials, endpoint: str | None = None) -> Client:
    """Google's client on connections that end in time.

    Args:
        project: the project that the buckets belong to.
        credentials: who is calling.
        endpoint: the URL of a local cloud's object store; None in production.
    """
    return Client(
        project=project,
        credentials=credentials,
        _http=watched_session(credentials, endpoint),
        client_options={"api_endpoint": endpoint} if endpoint else None,
    )


class GoogleVault:
    """The port `Vault` on Cloud Storage.

    Args:
        client: as `storage_client` makes it.
        limits: for each request.
        patience: for each chunk of a stream; whole calls are repeated by a decorator, not here.
        chunk_size: bytes of a stream that are moved at once; a multiple of `CHUNK_UNIT`.
    """

    def __init__(
        self,
        client: Client,
        *,
        limits: TimeLimits | None = None,
        patience: Patience | None = None,
        chunk_size: int = CHUNK_SIZE,
    ) -> None:
        self._client = client
        self._limits = limits or TimeLimits()
        self._patience = patience or Patience()
        self._chunk_size = chunk_size

    def look_at_bucket(self, bucket: str) -> Sighting[BucketSeen]:
        """The bucket's own terms; gone only if the API itself says so."""
        try:
            return Present(self._bucket_seen(bucket))
        except NotFound:
            return Gone()
        except TenantctlError as error:
            return Unreachable(error.sentence)

    def look(self, bucket: str, name: str) -> Sighting[ObjectSeen]:
        """One object by name."""
        try:
            return Present(_object_seen(self._fetch(bucket, name)))
        except NotFound:
            return self._gone_from(bucket)
        except TenantctlError as error:
            return Unreachable(error.sentence)

    def put(self, bucket: str, name: str, content: bytes) -> ObjectSeen:
        """Writes a small object at once; the same bytes again are a no-op."""
        blob = self._client.bucket(bucket).blob(name)
        doing = f"write {_address(bucket, name)}"
        try:
            with explaining(doing), Watch(self._limits.whole_seconds):
                blob.upload_from_string(
                    content,
                    content_type=CONTENT_TYPE,
                    if_generation_match=0,
                    checksum="crc32c",
                    timeout=self._limits.for_requests,
                    retry=None,
                )
        except AlreadyThere:
            return self._same_as(bucket, name, content)
        except DataCorruption as error:
            _refuse_corrupted(bucket, name, error)
        seen = _object_seen(blob)
        if (seen.size, seen.crc32c) != (len(content), _crc32c_of(content)):
            _refuse_corrupted(bucket, name, None)
        return seen

    def upload(self, bucket: str, name: str) -> AbstractContextManager[Upload]:
        """Streams an object; leaving the block without `seal` leaves nothing behind."""
        return self._upload(bucket, name)

    @contextmanager
    def _upload(self, bucket: str, name: str) -> Iterator[Upload]:
        blob = self._client.bucket(bucket).blob(name)
        doing = f"begin an upload of {_address(bucket, name)}"
        with explaining(doing), Watch(self._limits.whole_seconds):
            session = blob.create_resumable_upload_session(
                content_type=CONTENT_TYPE,
                if_generation_match=0,
                checksum=None,
                timeout=self._limits.for_requests,
                retry=None,
            )

        def refuse_if_there() -> None:
            # The store compares the precondition when the upload ends: looking before that spares sending much in
            # vain. What is small goes with one request, which is no more than the look would be.
            with explaining(doing), Watch(self._limits.whole_seconds):
                if blob.exists(timeout=self._limits.for_requests, retry=None):
                    raise AlreadyThere(f"{_address(bucket, name)} exists, and a vault's objects are written once.")

        bytes_on_their_way = ResumableUpload(
            self._client._http,
            session,
            _address(bucket, name),
            chunk_size=self._chunk_size,
            limits=self._limits,
            patience=self._patience,
            before_long=refuse_if_there,
        )
        try:
            yield _GoogleUpload(self, bucket, name, bytes_on_their_way)
        finally:
            bytes_on_their_way.abandon()

    def read(self, bucket: str, name: str) -> Iterator[bytes]:
        """The object's bytes; opened at once, read as they are asked for."""
        blob = self._patience.call(self._existing, bucket, name)
        return self._chunks(bucket, name, blob.generation, _object_seen(blob))

    def hold(self, bucket: str, name: str) -> ObjectSeen:
        """Puts an object under a temporary hold."""
        return self._set_hold(bucket, name, held=True)

    def release(self, bucket: str, name: str) -> ObjectSeen:
        """Ends the temporary hold of an object."""
        return self._set_hold(bucket, name, held=False)

    def names(self, bucket: str, prefix: str) -> Sighting[tuple[str, ...]]:
        """The names below a prefix, in order."""
        try:
            found = [blob.name for blob in listed(self._client, self._limits, bucket, prefix)]
            if not found:
                self._bucket_seen(bucket)  # nothing listed means nothing there only if there is a there
        except TenantctlError as error:
            return Unreachable(error.sentence)
        return Present(tuple(sorted(found)))

    def objects(self, bucket: str, *, after: str, limit: int) -> Sighting[tuple[ObjectListed, ...]]:
        """A page of all that is in a bucket, as the list itself shows each object."""
        try:
            page = listed(self._client, self._limits, bucket, after=after, count=limit)
            found = tuple(ObjectListed(blob.name, _object_seen(blob)) for blob in page)
            if not found:
                self._bucket_seen(bucket)
        except TenantctlError as error:
            return Unreachable(error.sentence)
        return Present(found)

    def _fetch(self, bucket: str, name: str) -> Blob:
        blob = self._client.bucket(bucket).blob(name)
        with explaining(f"look at {_address(bucket, name)}"), Watch(self._limits.whole_seconds):
            blob.reload(timeout=self._limits.for_requests, retry=None)
        return blob

    def _existing(self, bucket: str, name: str) -> Blob:
        try:
            return self._fetch(bucket, name)
        except NotFound as error:
            sighting = self._gone_from(bucket)
            if isinstance(sighting, Gone):
                raise
            raise Transient(f"Whether {_address(bucket, name)} exists cannot be told: {sighting.reason}") from error

    def _set_hold(self, bucket: str, name: str, *, held: bool) -> ObjectSeen:
        blob = self._existing(bucket, name)
        if bool(blob.temporary_hold) is not held:
            blob.temporary_hold = held
            doing = f"{'hold' if held else 'release'} {_address(bucket, name)}"
            try:
                with explaining(doing), Watch(self._limits.whole_seconds):
                    # Of this very object, and of nothing that somebody changes of it at the same time.
                    blob.patch(
                        if_metageneration_match=blob.metageneration, timeout=self._limits.for_requests, retry=None
                    )
            except AlreadyThere as error:
                raise Transient(
                    f"{_address(bucket, name)} was changed at the same time.", hint="Look again."
                ) from error
            except NotFound:
                self._existing(bucket, name)  # raises what is true of it
                raise
        return _object_seen(blob)

    def _bucket_seen(self, bucket: str) -> BucketSeen:
        with explaining(f"look at gs://{bucket}"), Watch(self._limits.whole_seconds):
            live = self._client.get_bucket(bucket, timeout=self._limits.for_requests, retry=None)
        if live.name != bucket or not live.location:
            raise Transient(f"The store's answer about gs://{bucket} is not about it.")
        return bucket_seen(live)

    def _gone_from(self, bucket: str) -> Gone | Unreachable:
        """What "no such object" is worth: gone if the bucket itself answers."""
        try:
            self._bucket_seen(bucket)
        except TenantctlError as error:
            return Unreachable(error.sentence)
        return Gone()

    def _same_as(self, bucket: str, name: str, content: bytes) -> ObjectSeen:
        """What is there already, if it is these bytes."""
        try:
            blob = self._fetch(bucket, name)
        except NotFound as error:
            raise Transient(f"{_address(bucket, name)} was there and is gone; look again.") from error
        seen = _object_seen(blob)
        md5 = base64.b64encode(hashlib.md5(content, usedforsecurity=False).digest()).decode()
        if (seen.size, seen.crc32c) != (len(content), _crc32c_of(content)) or blob.md5_hash not in (None, md5):
            raise Refused(f"{_address(bucket, name)} exists with other bytes, and a vault's objects are written once.")
        return seen

    def _chunks(self, bucket: str, name: str, generation: int, seen: ObjectSeen) -> Iterator[bytes]:
        blob = self._client.bucket(bucket).blob(name, generation=generation)
        checksum = google_crc32c.Checksum()
        for start in range(0, seen.size, self._chunk_size):
            end = min(start + self._chunk_size, seen.size) - 1
            chunk = self._patience.call(self._chunk, blob, _address(bucket, name), start, end)
            checksum.update(chunk)
            yield chunk
        if base64.b64encode(checksum.digest()).decode() != seen.crc32c:
            raise Damaged(f"What was read of {_address(bucket, name)} is not what the store has.")

    def _chunk(self, blob: Blob, address: str, start: int, end: int) -> bytes:
        try:
            with explaining(f"read {address}"), Watch(self._limits.whole_seconds):
                chunk: bytes = blob.download_as_bytes(
                    start=start,
                    end=end,
                    raw_download=True,
                    checksum=None,  # of the whole, at the end: the store has none of a range
                    timeout=self._limits.for_requests,
                    retry=None,
                )
        except NotFound:
            self._existing(blob.bucket.name, blob.name)  # raises what is true of it
            raise
        if len(chunk) != end - start + 1:
            raise Damaged(f"{address} was cut short after {start + len(chunk)} bytes.")
        return chunk


class _GoogleUpload:
    """The port `Upload` on a resumable upload."""

    def __init__(self, vault: GoogleVault, bucket: str, name: str, upload: ResumableUpload) -> None:
        self._vault, self._bucket, self._name, self._upload = vault, bucket, name, upload

    def write(self, chunk: bytes) -> None:
        """Adds bytes."""
        self._upload.write(chunk)

    def seal(self) -> ObjectSeen:
        """Ends the upload, once the store has found the same checksum of the same bytes."""
        ours = base64.b64encode(self._upload.crc32c).decode()
        resource = self._upload.finish(ours)
        blob = self._vault._client.bucket(self._bucket).blob(self._name)
        blob._set_properties(resource)
        seen = _object_seen(blob)
        if (seen.size, seen.crc32c) != (self._upload.size, ours):
            _refuse_corrupted(self._bucket, self._name, None)
        return seen


def bucket_seen(live: Bucket) -> BucketSeen:
    """A bucket's terms. `age_days` is the least age at which a rule without other conditions deletes."""
    ages = [
        rule["condition"]["age"]
        for rule in live.lifecycle_rules
        if rule.get("action", {}).get("type") == "Delete" and set(rule.get("condition", {})) == {"age"}
    ]
    soft_delete = live._properties.get("softDeletePolicy", {})
    stated = soft_delete.get("retentionDurationSeconds", _SOFT_DELETE_UNSTATED)
    period = live.retention_period
    return BucketSeen(
        region=live.location.lower(),
        locked=bool(live.retention_policy_locked),
        lock_days=None if period is None else timedelta(seconds=period) // _ONE_DAY,
        age_days=min(ages, default=None),
        soft_delete_seconds=int(stated),
        versioning=bool(live.versioning_enabled),
    )


def _object_seen(blob: Blob) -> ObjectSeen:
    if blob.size is None or blob.crc32c is None or blob.time_created is None:
        raise Transient(f"The store's answer about {_address(blob.bucket.name, blob.name)} is cut short.")
    retained = [until for until in (blob.retention_expiration_time, blob.retention.retain_until_time) if until]
    return ObjectSeen(
        size=blob.size,
        crc32c=blob.crc32c,
        created_at=blob.time_created,
        retained_until=max(retained, default=None),
        held=bool(blob.temporary_hold or blob.event_based_hold),
    )


def _crc32c_of(content: bytes) -> str:
    checksum = google_crc32c.Checksum(content)
    return base64.b64encode(checksum.digest()).decode()


def _address(bucket: str, name: str) -> str:
    return f"gs://{bucket}/{name}"


def _refuse_corrupted(bucket: str, name: str, error: Exception | None) -> NoReturn:
    raise Refused(
        f"{_address(bucket, name)} was written, and the store has other bytes than were sent.",
        hint="The object is locked until it expires; write another one under a new name.",
    ) from error
