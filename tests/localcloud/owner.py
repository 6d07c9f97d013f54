"""The owner of the whole cloud, who tries to be rid of a copy early: with Google's own client, and past it.

The local cloud knows no permissions, so whoever asks has the strongest rights there are. Each try says what the store
answered, as `403 retentionPolicyNotMet`, or `done` where it let it happen.
"""

import http.client
import io
import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from urllib.parse import quote, urlsplit

from google.api_core.exceptions import GoogleAPICallError

from tenantctl.localcloud.client import LocalCloud
from tests.localcloud.clouds import storage_client

RETAINED: Final = "403 retentionPolicyNotMet"
FORBIDDEN: Final = "403 forbidden"
NOT_EMPTY: Final = "409 conflict"
NO_OBJECT_RETENTION: Final = "400 invalid"
DONE: Final = "done"
KEYS: Final = "-keys"  # how the names of the buckets end whose objects are meant to be removed in time
EXPORTS = "-exports-"  # in the names of buckets that lock nothing
_ONE_DAY_SECONDS: Final = 86_400
_SETTINGS: Final = {
    "versioning": {"enabled": True},
    "softDeletePolicy": {"retentionDurationSeconds": str(7 * _ONE_DAY_SECONDS)},
}
_JSON: Final = {"Content-Type": "application/json"}


@dataclass(frozen=True)
class Stored:
    """One object as its bucket lists it; whatever becomes of its bytes changes one of these."""

    bucket: str
    name: str
    generation: int
    metageneration: int = field(compare=False)  # what is written beside the bytes; a hold moves it on
    size: int
    crc32c: str
    created: datetime


@dataclass(frozen=True)
class Try:
    """Something that was tried, what the store must answer, and what it did answer."""

    what: str
    where: str
    expected: str
    answer: str

    @property
    def held(self) -> bool:
        """Whether the store answered as it must."""
        return self.answer == self.expected

    def __str__(self) -> str:
        return f"{self.what} of {self.where}: {self.answer}, not {self.expected}"


class Owner:
    """Whoever owns the project of a local cloud."""

    def __init__(self, cloud: LocalCloud) -> None:
        self._client = storage_client(cloud)
        self._api = http.client.HTTPConnection("127.0.0.1", urlsplit(cloud.endpoints["storage"]).port, timeout=30)

    def buckets(self, *, of_keys: bool = False) -> list[Any]:
        """The buckets of copies, or those of keys."""
        buckets = (bucket for bucket in self._client.list_buckets() if EXPORTS not in bucket.name)
        return [bucket for bucket in buckets if bucket.name.endswith(KEYS) == of_keys]

    def objects(self, bucket: str, **options: bool) -> Iterator[Stored]:
        """What a bucket lists: live, noncurrent or soft-deleted."""
        for blob in self._client.list_blobs(bucket, **options):
            yield Stored(
                bucket, blob.name, blob.generation, blob.metageneration, blob.size, blob.crc32c, blob.time_created
            )

    def everything(self) -> frozenset[Stored]:
        """Every version of every copy and manifest, in every bucket of copies."""
        return frozenset(one for bucket in self.buckets() for one in self.objects(bucket.name, versions=True))

    def left_of(self, prefix: str) -> list[str]:
        """Whatever any bucket still has below a prefix, live or not, soft-deleted or not."""
        found = []
        for bucket in self._client.list_buckets():
            for options in ({}, {"versions": True}, {"soft_deleted": True}):
                blobs = self._client.list_blobs(bucket.name, prefix=prefix, **options)
                found += [f"gs://{bucket.name}/{blob.name} {options}" for blob in blobs]
        return found

    def content(self, bucket: str, name: str) -> bytes:
        """An object's bytes."""
        content: bytes = self._client.bucket(bucket).blob(name).download_as_bytes(raw_download=True)
        return content

    def try_object(self, stored: Stored) -> Iterator[Try]:
        """Everything that could alter or remove an object under lock, through the client and through the API itself."""
        bucket, where = self._client.bucket(stored.bucket), f"gs://{stored.bucket}/{stored.name}"
        blob = bucket.blob(stored.name)
        client: tuple[tuple[str, Callable[[], object]], ...] = (
            ("delete", blob.delete),
            ("overwrite if unchanged", lambda: self._overwrite(stored, if_generation_match=stored.generation)),
        )
        for what, attempt in client:
            yield Try(what, where, RETAINED, _answer(attempt))
        path = f"/storage/v1/b/{stored.bucket}/o/{quote(stored.name, safe='')}"
        itself = path.removeprefix("/storage/v1")
        upload = f"/upload/storage/v1/b/{stored.bucket}/o?uploadType=media&name={quote(stored.name, safe='')}"
        unchanged = f"generation={stored.generation}&ifMetagenerationMatch={stored.metageneration}"
        api: tuple[tuple[str, str, str, str, Any], ...] = (
            ("delete if unchanged", RETAINED, "DELETE", f"{path}?ifGenerationMatch={stored.generation}", None),
            ("delete its generation", RETAINED, "DELETE", f"{path}?{unchanged}", None),
            ("overwrite", RETAINED, "POST", upload, {}),
            ("compose over", RETAINED, "POST", f"{path}/compose", {"sourceObjects": [{"name": stored.name}] * 2}),
            ("rewrite over", RETAINED, "POST", f"{path}/rewriteTo{itself}", {"storageClass": "NEARLINE"}),
            ("copy over", RETAINED, "POST", f"{path}/copyTo{itself}", {}),
            ("lock of its own, until soon", NO_OBJECT_RETENTION, "PATCH", path, _until_soon()),
        )
        for what, expected, method, target, body in api:
            yield Try(what, where, expected, self._ask(method, target, body))

    def try_at_length(self, stored: Stored) -> Iterator[Try]:
        """What takes the client several requests, first of all a hold that is set and released."""
        blob, where = self._client.bucket(stored.bucket).blob(stored.name), f"gs://{stored.bucket}/{stored.name}"
        for held, refusal in ((True, FORBIDDEN), (False, RETAINED)):
            blob.temporary_hold = held
            yield Try(f"temporary hold {'set' if held else 'released'}", where, DONE, _answer(blob.patch))
            yield Try(f"delete, hold {'set' if held else 'released'}", where, refusal, _answer(blob.delete))
        resumable = self._client.bucket(stored.bucket).blob(stored.name, chunk_size=256 * 1024)
        attempts: tuple[tuple[str, Callable[[], object]], ...] = (
            ("resumable overwrite", lambda: resumable.upload_from_file(io.BytesIO(b"something else"))),
            ("compose over, by the client", lambda: blob.compose([blob, blob])),
            ("rewrite over, by the client", lambda: blob.update_storage_class("NEARLINE")),
        )
        for what, attempt in attempts:
            yield Try(what, where, RETAINED, _answer(attempt))

    def try_bucket(self, name: str) -> Iterator[Try]:
        """Everything that would take the lock from a bucket that holds objects, or the bucket from its objects."""
        path = f"/storage/v1/b/{name}"
        tries: tuple[tuple[str, str, Callable[[], str]], ...] = (
            ("shorten the lock", FORBIDDEN, lambda: _answer(lambda: self._retain(name, _ONE_DAY_SECONDS))),
            ("remove the lock", RETAINED, lambda: _answer(lambda: self._retain(name, None))),
            ("replace the settings", RETAINED, lambda: self._ask("PUT", path, {})),
            ("unlock", RETAINED, lambda: self._ask("PATCH", path, {"retentionPolicy": None})),
            ("delete the bucket", NOT_EMPTY, lambda: _answer(self._client.bucket(name).delete)),
        )
        for what, expected, attempt in tries:
            yield Try(what, f"gs://{name}", expected, attempt())

    def try_force(self, name: str) -> Iterator[Try]:
        """The client's own way to delete a bucket with all that is in it."""
        attempt = _answer(lambda: self._client.bucket(name).delete(force=True))
        yield Try("delete the bucket by force", f"gs://{name}", RETAINED, attempt)

    def try_settings(self, stored: Stored) -> Iterator[Try]:
        """The settings that no lock keeps from the owner: each is let happen, frees nothing, and is taken back."""
        bucket = self._client.get_bucket(stored.bucket)
        where = f"gs://{stored.bucket}/{stored.name}"
        its_generation = self._client.bucket(stored.bucket).blob(stored.name, generation=stored.generation)
        for setting, value in _SETTINGS.items():
            for asked, what in ((value, "on"), (bucket._properties.get(setting), "off")):
                answer = self._ask("PATCH", f"/storage/v1/b/{stored.bucket}", {setting: asked})
                yield Try(f"{setting} {what}", where, DONE, answer)
                yield Try(f"delete, {setting} {what}", where, RETAINED, _answer(its_generation.delete))

    def set_lifecycle(self, bucket: str, rules: Iterable[Any]) -> list[Any]:
        """Gives a bucket other lifecycle rules, which a lock does not forbid; what they were."""
        live = self._client.get_bucket(bucket)
        before = list(live.lifecycle_rules)
        live.lifecycle_rules = list(rules)
        live.patch()
        return before

    def close(self) -> None:
        """Lets the connections go."""
        self._client.close()
        self._api.close()

    def _retain(self, name: str, seconds: int | None) -> None:
        bucket = self._client.get_bucket(name)
        bucket.retention_period = seconds
        bucket.patch()

    def _overwrite(self, stored: Stored, **conditions: int) -> None:
        self._client.bucket(stored.bucket).blob(stored.name).upload_from_string(b"something else", **conditions)

    def _ask(self, method: str, target: str, body: Any) -> str:
        """One request without Google's client between; what came of it."""
        self._api.request(method, target, None if body is None else json.dumps(body), _JSON if body is not None else {})
        response = self._api.getresponse()
        content = response.read()
        return DONE if response.status < 300 else _said(content)


def _until_soon() -> Any:
    until = datetime.now(UTC) + timedelta(days=1)
    return {"retention": {"mode": "Unlocked", "retainUntilTime": until.isoformat()}}


def _answer(attempt: Callable[[], object]) -> str:
    """`done`, or the status and Google's word for it."""
    try:
        attempt()
    except GoogleAPICallError as error:
        return _said(error.response.content)
    return DONE


def _said(content: bytes) -> str:
    error = json.loads(content)["error"]
    return f"{error['code']} {error['errors'][0]['reason']}"
