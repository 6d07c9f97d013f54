"""S3 for tests: moto's server on a socket, put right where it is easier on its clients than S3 is.

What moto does otherwise, and what is put right here (the tests of `test_vault_s3_moto.py` hold moto as it comes to
each line, so that a better moto is noticed):

| S3 | moto 5.2 | here |
|---|---|---|
| refuses bytes whose CRC-32C is not the one sent along | stores them | refuses |
| refuses to complete an upload whose whole has another CRC-32C | completes it | refuses |
| gives a multipart object the bucket's default retention | gives it none | gives it |
| never shortens or lifts a retention in compliance mode | does | does |
| never suspends the versioning of a bucket with Object Lock | does | does |
| looks at the conditions in a bucket's policy | takes each refusal as unconditional | keeps policies aside |
| states a checksum of checksums as one (COMPOSITE, and the number of parts) | on HEAD states it as any | as one |
| answers NoSuchUpload to a part of an upload that it has forgotten | breaks (500) | NoSuchUpload |
| refuses who names another owner of a bucket than it has | looks at no owner | refuses |
| dates what came in parts from when its upload began | from when it was completed | from when it was completed |
| deletes what is past its lifecycle | deletes nothing | deletes nothing |
"""

import base64
import io
import re
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, unquote

import google_crc32c
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from moto.s3.models import s3_backends
from werkzeug.serving import WSGIRequestHandler, make_server

StartResponse = Callable[[str, list[tuple[str, str]]], Any]
Environ = dict[str, Any]
_ACCOUNT = "123456789012"  # moto's own


@dataclass
class S3Service:
    """A running server, and what only a test can do to it.

    Attributes:
        url: where it is.
        strict: whether moto is put right.
        trouble: a status that is answered to every request whose method and path match, instead of what was asked.
        policies: what was set as the buckets' policies.
        requests: every request that came, as `METHOD /path?query`.
    """

    strict: bool
    url: str = ""
    trouble: list[tuple[int, re.Pattern[str]]] = field(default_factory=list)
    policies: dict[str, bytes] = field(default_factory=dict)
    requests: list[str] = field(default_factory=list)

    @property
    def backend(self) -> Any:
        """What moto knows."""
        return s3_backends[_ACCOUNT]["aws"]

    def fail(self, status: int, matching: str = "") -> None:
        """Answer so from now on, to requests that match `METHOD /path?query`."""
        self.trouble.append((status, re.compile(matching)))

    def lose(self, bucket: str, name: str) -> None:
        """Lose every version of an object, as no request can."""
        self.backend.buckets[bucket].keys.pop(name)

    def damage(self, bucket: str, name: str) -> None:
        """Flip a bit of an object whose checksum the store goes on stating."""
        key = self.backend.buckets[bucket].keys.get(name)
        content = key.value
        stated = (key.checksum_value, key.etag)
        key.value = bytes([content[0] ^ 1]) + content[1:]
        key.checksum_value, key._etag = stated

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        """Serve one request."""
        path, query = environ["PATH_INFO"], environ.get("QUERY_STRING", "")
        line = f"{environ['REQUEST_METHOD']} {unquote(path)}?{query}"
        self.requests.append(line)
        for status, matching in self.trouble:
            if matching.search(line):
                environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
                start_response(f"{status} Trouble", [("Content-Type", "text/plain"), ("Content-Length", "0")])
                return []
        if self.strict and environ["REQUEST_METHOD"] == "PUT" and query == "policy":
            self.policies[path.strip("/")] = environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"]))
            start_response("204 No Content", [])
            return []
        refusal = self._refusal(environ, query) if self.strict else None
        if refusal is not None:
            return _refuse(start_response, *refusal)
        begin = self._stating_composites(path, start_response) if self.strict else start_response
        answer: list[bytes] = list(_MOTO(environ, begin))
        if self.strict and environ["REQUEST_METHOD"] == "POST" and "uploadId" in parse_qs(query):
            self._lock_by_default(path)
        return answer

    def _refusal(self, environ: Environ, query: str) -> tuple[str, str] | None:
        """The status and code with which S3 refuses what moto does, or breaks at; None if it does not refuse."""
        if environ.get("HTTP_X_AMZ_EXPECTED_BUCKET_OWNER", _ACCOUNT) != _ACCOUNT:
            return "403 Forbidden", "AccessDenied"
        upload = parse_qs(query).get("uploadId", [None])[0]
        bucket = self.backend.buckets.get(environ["PATH_INFO"].split("/")[1])
        if upload is not None and bucket is not None and upload not in bucket.multiparts:
            return "404 Not Found", "NoSuchUpload"
        return None if self._checksum_is_right(environ, query) else ("400 Bad Request", "BadDigest")

    def _stating_composites(self, path: str, start_response: StartResponse) -> StartResponse:
        """The same, with the type of an object's checksum added where moto leaves it out."""

        def start(status: str, headers: list[tuple[str, str]]) -> Any:
            key = self._key(path)
            if getattr(key, "checksum_type", None) == "COMPOSITE":  # a marker has none
                headers = [header for header in headers if not header[0].lower().startswith("x-amz-checksum-")]
                headers += [
                    ("x-amz-checksum-crc32c", f"{key.checksum_value}-{key.checksum_parts}"),
                    ("x-amz-checksum-type", "COMPOSITE"),
                ]
            return start_response(status, headers)

        return start

    def _checksum_is_right(self, environ: Environ, query: str) -> bool:
        stated = environ.get("HTTP_X_AMZ_CHECKSUM_CRC32C")
        if stated is None:
            return True
        if environ["REQUEST_METHOD"] == "PUT":
            body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
            environ["wsgi.input"] = io.BytesIO(body)
            return bool(crc32c(body) == stated)
        upload = parse_qs(query).get("uploadId", [""])[0]
        bucket = self.backend.buckets[environ["PATH_INFO"].split("/")[1]]
        parts = bucket.multiparts[upload].parts if upload in bucket.multiparts else None
        return parts is None or bool(crc32c(b"".join(parts[number].value for number in sorted(parts))) == stated)

    def _lock_by_default(self, path: str) -> None:
        bucket, key = self.backend.buckets[path.split("/")[1]], self._key(path)
        if key is not None and key.lock_mode is None and bucket.has_default_lock:
            key.lock_mode, key.lock_until = bucket.default_lock_mode, bucket.default_retention()

    def _key(self, path: str) -> Any:
        _, bucket, name = [*path.encode("latin-1").decode().split("/", 2), ""][:3]
        return self.backend.buckets[bucket].keys.get(name) if bucket in self.backend.buckets else None


def _refuse(start_response: StartResponse, status: str, code: str) -> Iterable[bytes]:
    body = f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>Refused.</Message></Error>".encode()
    start_response(status, [("Content-Type", "application/xml"), ("Content-Length", str(len(body)))])
    return [body]


_MOTO = DomainDispatcherApplication(create_backend_app)


class _Quiet(WSGIRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Say nothing."""


@contextmanager
def serving_s3(*, strict: bool = True) -> Iterator[S3Service]:
    """Serve S3 on a free port, until the block ends; buckets are forgotten then."""
    service = S3Service(strict)
    server = make_server("127.0.0.1", 0, service, threaded=True, request_handler=_Quiet)
    service.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    known: Mapping[str, Any] = dict(service.backend.buckets)
    try:
        yield service
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
        for name in set(service.backend.buckets) - set(known):
            del service.backend.buckets[name]
            s3_backends.bucket_accounts.pop(name, None)  # where moto would look for it, and for ever


def crc32c(content: bytes) -> str:
    """As the APIs write it."""
    return base64.b64encode(google_crc32c.Checksum(content).digest()).decode()
