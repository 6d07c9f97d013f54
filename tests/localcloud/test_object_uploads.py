"""The upload protocols word by word: what the real service answers, and what must never become an object."""

import base64
import hashlib
import json
import secrets
import socket
from datetime import timedelta
from typing import Any

import google_crc32c
import pytest
import requests

from tests.localcloud.object_service import ObjectService, serving

UNIT = 256 * 1024
UPLOAD = "/upload/storage/v1/b/vault/o"


@pytest.fixture
def service(tmp_path):
    with serving(tmp_path) as running:
        running.client().create_bucket("vault", location="europe-west1")
        yield running


def begin(service: ObjectService, name: str = "x", **headers: str) -> str:
    answer = service.api("POST", f"{UPLOAD}?uploadType=resumable&name={name}", json={}, headers=headers)
    assert answer.status_code == 200
    return str(answer.headers["Location"])


def send(url: str, content: bytes, said: str, **headers: str) -> requests.Response:
    return requests.put(url, data=content, headers={"Content-Range": said, **headers}, timeout=30)


def content_of(service: ObjectService, name: str = "x") -> Any:
    blob = service.client().bucket("vault").get_blob(name)
    return None if blob is None else blob.download_as_bytes()


def test_the_session_is_under_the_host_that_was_asked(service):
    """Whatever address the client used, behind whatever forwarding."""
    answer = service.api("POST", f"{UPLOAD}?uploadType=resumable&name=x", json={}, headers={"Host": "store.test:8080"})
    assert answer.headers["Location"].startswith("http://store.test:8080/upload/storage/v1/b/vault/o?")


def test_an_upload_of_unknown_length_ends_with_its_total(service):
    """Parts of 256 KiB with `*`, the last with the number; each answer says how far the store is."""
    url, content = begin(service), secrets.token_bytes(UNIT * 3 + 1)
    assert "Range" not in send(url, b"", "bytes */*").headers
    first = send(url, content[: UNIT * 2], f"bytes 0-{UNIT * 2 - 1}/*")
    assert (first.status_code, first.headers["Range"]) == (308, f"bytes=0-{UNIT * 2 - 1}")
    second = send(url, content[UNIT * 2 : UNIT * 3], f"bytes {UNIT * 2}-{UNIT * 3 - 1}/*")
    assert second.headers["Range"] == f"bytes=0-{UNIT * 3 - 1}"
    assert content_of(service) is None
    last = send(url, content[UNIT * 3 :], f"bytes {UNIT * 3}-{UNIT * 3}/{UNIT * 3 + 1}")
    assert last.status_code == 200
    assert content_of(service) == content
    for question in (f"bytes */{len(content)}", "bytes */*"):
        again = send(url, b"", question)
        assert (again.status_code, again.json()["generation"]) == (200, last.json()["generation"])


def test_an_upload_that_ends_on_a_boundary_is_ended_by_its_total_alone(service):
    """When the client learns only afterwards that there is no more."""
    url, content = begin(service), secrets.token_bytes(UNIT)
    assert send(url, content, f"bytes 0-{UNIT - 1}/*").status_code == 308
    assert send(url, b"", f"bytes */{UNIT}").status_code == 200
    assert content_of(service) == content
    assert send(begin(service, "empty"), b"", "bytes */0").status_code == 200
    assert content_of(service, "empty") == b""


def test_a_session_takes_the_whole_object_at_once(service):
    """Without Content-Range."""
    answer = requests.put(begin(service), data=b"whole", timeout=30)
    assert (answer.status_code, answer.json()["size"]) == (200, "5")


def test_bytes_that_are_sent_again_are_skipped(service):
    """After a lost answer the client repeats a part, or begins before it."""
    url, content = begin(service), secrets.token_bytes(UNIT * 3)
    send(url, content[: UNIT * 2], f"bytes 0-{UNIT * 2 - 1}/*")
    repeated = send(url, content[: UNIT * 2], f"bytes 0-{UNIT * 2 - 1}/*")
    assert repeated.headers["Range"] == f"bytes=0-{UNIT * 2 - 1}"
    last = send(url, content[UNIT:], f"bytes {UNIT}-{UNIT * 3 - 1}/{UNIT * 3}")
    assert last.status_code == 200
    assert content_of(service) == content
    assert last.json()["md5Hash"] == base64.b64encode(hashlib.md5(content).digest()).decode()


def test_a_gap_is_refused(service):
    """Bytes beyond what the store has cannot be taken; nothing is kept of them."""
    url = begin(service)
    assert send(url, b"x" * UNIT, f"bytes {UNIT}-{UNIT * 2 - 1}/*").status_code == 503
    assert "Range" not in send(url, b"", "bytes */*").headers


@pytest.mark.parametrize(
    ("length", "said"),
    [
        (10, "bytes 0-9/*"),
        (10, "bytes 0-9/20"),
        (10, "bytes 0-10/11"),
        (10, "bytes 9-0/10"),
        (10, "bytes 0-9/5"),
        (10, "octets 0-9/10"),
        (10, "bytes 0-9"),
    ],
)
def test_a_range_that_cannot_be_is_refused(service, length, said):
    """Parts are multiples of 256 KiB but for the last, and numbers fit the body."""
    assert send(begin(service), b"x" * length, said).status_code == 400


def test_a_total_that_contradicts_the_beginning_is_refused(service):
    """What X-Upload-Content-Length announced."""
    url = begin(service, **{"X-Upload-Content-Length": "5"})
    assert send(url, b"123456", "bytes 0-5/6").status_code == 400
    assert send(url, b"12345", "bytes 0-4/*").status_code == 400
    assert send(url, b"12345", "bytes 0-4/5").status_code == 200


def test_an_upload_that_breaks_off_keeps_whole_units(service):
    """The connection is lost in the middle: what came in counts down to 256 KiB, and the rest can follow."""
    url, content = begin(service), secrets.token_bytes(UNIT * 4 + 9)
    host, port = service.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port))) as connection:
        head = f"PUT {url.removeprefix(service.url)} HTTP/1.1\r\nHost: {host}\r\nContent-Length: {len(content)}\r\n"
        head += f"Content-Range: bytes 0-{len(content) - 1}/{len(content)}\r\n\r\n"
        connection.sendall(head.encode() + content[: UNIT * 2 + 5])
        asked = send(url, b"", "bytes */*")  # takes the upload over while the first request still waits
    kept = 0 if "Range" not in asked.headers else int(asked.headers["Range"].split("-")[1]) + 1
    assert asked.status_code == 308
    assert kept in (0, UNIT, UNIT * 2)
    rest = send(url, content[kept:], f"bytes {kept}-{len(content) - 1}/{len(content)}")
    assert rest.status_code == 200
    assert content_of(service) == content


def test_a_cancelled_upload_is_gone(service, tmp_path):
    """499, as the real service says, also to whoever goes on; its bytes are removed."""
    url = begin(service)
    send(url, b"x" * UNIT, f"bytes 0-{UNIT - 1}/*")
    assert requests.delete(url, timeout=30).status_code == 499
    assert send(url, b"x", f"bytes {UNIT}-{UNIT}/{UNIT + 1}").status_code == 499
    assert requests.delete(url, timeout=30).status_code == 499
    assert content_of(service) is None
    assert list((tmp_path / "objects" / "bytes").glob("*/*")) == []


def test_an_upload_is_forgotten_after_a_week(service, tmp_path):
    """404, and its bytes go."""
    url = begin(service)
    send(url, b"x" * UNIT, f"bytes 0-{UNIT - 1}/*")
    service.clock.advance(timedelta(days=7, seconds=1))
    assert send(url, b"", "bytes */*").status_code == 404
    assert list((tmp_path / "objects" / "bytes").glob("*/*")) == []
    assert send(f"{service.url}{UPLOAD}?upload_id=unheard", b"", "bytes */*").status_code == 404


def test_a_refused_end_gets_the_same_answer_again(service):
    """The upload stays open: repeating its last part neither makes the object nor loses the reason."""
    service.client().bucket("vault").blob("x").upload_from_string(b"there")
    answer = service.api("POST", f"{UPLOAD}?uploadType=resumable&name=x&ifGenerationMatch=0", json={})
    url = answer.headers["Location"]
    for _ in range(2):
        refused = send(url, b"new", "bytes 0-2/3")
        assert (refused.status_code, refused.json()["error"]["errors"][0]["reason"]) == (412, "conditionNotMet")
    assert content_of(service) == b"there"
    service.client().bucket("vault").blob("x").delete()
    assert send(url, b"", "bytes */3").status_code == 200
    assert content_of(service) == b"new"


@pytest.mark.parametrize("header", ["X-Goog-Hash", "Content-MD5", "metadata"])
def test_checksums_are_checked_wherever_they_stand(service, tmp_path, header):
    """Right ones pass, wrong ones are 400, and no bytes are left behind."""
    for content, status in ((b"right", 200), (b"wrong", 400)):
        md5 = base64.b64encode(hashlib.md5(b"right").digest()).decode()
        crc32c = base64.b64encode(google_crc32c.value(b"right").to_bytes(4, "big")).decode()
        headers = {
            "X-Goog-Hash": {"X-Goog-Hash": f"crc32c={crc32c},md5={md5}"},
            "Content-MD5": {"Content-MD5": md5},
            "metadata": {},
        }[header]
        metadata = {"name": "x", "md5Hash": md5, "crc32c": crc32c} if header == "metadata" else {"name": "x"}
        body = b"--b\r\nContent-Type: application/json\r\n\r\n" + json.dumps(metadata).encode()
        body += b"\r\n--b\r\nContent-Type: text/plain\r\n\r\n" + content + b"\r\n--b--"
        headers["Content-Type"] = "multipart/related; boundary=b"
        answer = service.api("POST", f"{UPLOAD}?uploadType=multipart", data=body, headers=headers)
        assert answer.status_code == status
        assert len(list((tmp_path / "objects" / "bytes").glob("*/*"))) == 1
    blob = service.client().bucket("vault").get_blob("x")
    assert (blob.content_type, blob.crc32c, blob.md5_hash) == ("text/plain", crc32c, md5)


@pytest.mark.parametrize(
    ("query", "body", "content_type"),
    [
        ("uploadType=media", b"x", "text/plain"),
        ("uploadType=media&name=a%0Ab", b"x", "text/plain"),
        ("uploadType=media&name=" + "a" * 1025, b"x", "text/plain"),
        ("uploadType=multipart&name=x", b"x", "text/plain"),
        ("uploadType=multipart&name=x", b"--b\r\n\r\n[]\r\n--b\r\n\r\nx\r\n--b--", "multipart/related; boundary=b"),
        ("uploadType=multipart&name=x", b"--b\r\n\r\n{}\r\n--b--", "multipart/related; boundary=b"),
        ("uploadType=multipart&name=x", b"--b\r\n\r\n{\r\n--b\r\n\r\nx", "multipart/related; boundary=b"),
        ("uploadType=resumable&name=x", b"[]", "application/json"),
        ("uploadType=resumable&name=x", b"{", "application/json"),
        ("uploadType=resumable&name=x", b"\xff", "application/json"),
        ("uploadType=media&name=x&ifGenerationMatch=now", b"x", "text/plain"),
    ],
)
def test_an_upload_that_cannot_be_is_refused(service, tmp_path, query, body, content_type):
    """In Google's shape, and nothing stays of it."""
    answer = service.api("POST", f"{UPLOAD}?{query}", data=body, headers={"Content-Type": content_type})
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, 400)
    assert content_of(service) is None
    assert list((tmp_path / "objects" / "bytes").glob("*/*")) == []


def test_what_the_store_does_not_know_is_said_to_be_so(service):
    """501 in Google's shape for every other call."""
    calls = [
        ("GET", "/storage/v1/b/vault/acl"),
        ("POST", "/storage/v1/b/vault/o/a/moveTo/o/b"),
        ("POST", f"{UPLOAD}?uploadType=carrier-pigeon&name=x"),
        ("GET", "/storage/v1/b/vault/o?filter=x"),
        ("GET", "/elsewhere"),
    ]
    for method, path in calls:
        answer = service.api(method, path)
        assert (answer.status_code, answer.json()["error"]["errors"][0]["reason"]) == (501, "notImplemented")


def test_awkward_names_are_kept(service):
    """Slashes, percent signs, spaces, braces and what looks like a call of the API."""
    client = service.client()
    names = ["a/b//c", "100%25", "a b+c", "{o}/compose", "x/o/y", "é/ü?#&=", "restore", ".hidden"]
    for name in names:
        client.bucket("vault").blob(name).upload_from_string(name.encode())
    assert sorted(blob.name for blob in client.list_blobs("vault")) == sorted(names)
    for name in names:
        assert client.bucket("vault").blob(name).download_as_bytes() == name.encode()
        client.bucket("vault").blob("copy").rewrite(client.bucket("vault").blob(name))
        client.bucket("vault").blob(name).delete()
    assert [blob.name for blob in client.list_blobs("vault")] == ["copy"]
