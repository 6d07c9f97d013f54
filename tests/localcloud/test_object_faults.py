"""Each kind of fault as a client of the object store meets it, and what it leaves behind."""

import secrets

import google_crc32c
import pytest
import requests
from google.api_core import exceptions
from google.cloud.storage.exceptions import DataCorruption, InvalidResponse

from tenantctl.localcloud.faults import Fault
from tests.localcloud.object_service import ObjectService, serving

UNIT = 256 * 1024
OBJECT = "/o/a"  # faults name it, because the client also asks for its bucket, on a thread of its own


@pytest.fixture
def service(tmp_path):
    with serving(tmp_path) as running:
        bucket = running.client().bucket("vault")
        bucket.soft_delete_policy.retention_duration_seconds = 0
        bucket.create(location="europe-west1")
        yield running


def put(service: ObjectService, name: str, content: bytes) -> None:
    service.client().bucket("vault").blob(name).upload_from_string(content)


def test_a_status_fault_answers_in_googles_shape(service):
    """The unmodified client raises its own error for it, and without the fault all is well again."""
    put(service, "a", b"a")
    service.faults.add(Fault("storage", "status", path=OBJECT, status=503, times=2))
    blob = service.client().bucket("vault").blob("a")
    with pytest.raises(exceptions.ServiceUnavailable) as refused:
        blob.reload(retry=None)
    assert refused.value.errors[0]["reason"] == "backendError"
    with pytest.raises(exceptions.ServiceUnavailable):
        blob.download_as_bytes(retry=None)
    assert blob.download_as_bytes() == b"a"


def test_a_passing_outage_is_ridden_out_by_the_client(service):
    """Retries of the client meet the same store as a real one's."""
    service.faults.add(Fault("storage", "status", method="POST", path="^/upload/", status=503, times=1))
    put(service, "a", b"a")
    assert service.client().bucket("vault").blob("a").download_as_bytes() == b"a"


def test_a_delay_holds_the_answer_back(service):
    """A client that waits less gives up."""
    put(service, "a", b"a" * 100)
    service.faults.add(Fault("storage", "delay", path=OBJECT, seconds=5, times=1))
    with pytest.raises(requests.exceptions.Timeout):
        service.client().bucket("vault").blob("a").reload(retry=None, timeout=0.2)
    service.faults.add(Fault("storage", "delay", path=OBJECT, seconds=5, times=1, after_bytes=10))
    with pytest.raises(requests.exceptions.RequestException, match="timed out"):
        requests.get(f"{service.url}/storage/v1/b/vault/o/a?alt=media", timeout=0.2)
    service.faults.add(Fault("storage", "delay", path=OBJECT, seconds=0.2, times=1, after_bytes=10))
    assert requests.get(f"{service.url}/storage/v1/b/vault/o/a?alt=media", timeout=30).content == b"a" * 100


def test_a_drop_at_once_reaches_nothing(service):
    """The connection breaks, and the store has not seen the request."""
    service.faults.add(Fault("storage", "drop", method="POST", path="^/upload/", times=1))
    with pytest.raises(requests.exceptions.ConnectionError):
        service.api("POST", "/upload/storage/v1/b/vault/o?uploadType=media&name=a", data=b"a")
    assert service.client().bucket("vault").get_blob("a") is None


def test_a_drop_in_the_middle_of_an_upload_leaves_no_object(service):
    """Half an upload in one request is nothing."""
    service.faults.add(Fault("storage", "drop", method="POST", path="^/upload/", times=1, after_bytes=UNIT))
    with pytest.raises(requests.exceptions.ConnectionError):
        service.api("POST", "/upload/storage/v1/b/vault/o?uploadType=media&name=a", data=b"a" * UNIT * 8)
    assert service.client().bucket("vault").get_blob("a") is None


def test_a_drop_after_the_work_is_a_lost_answer(service):
    """The object is there, and the client was never told: what makes retries need a precondition."""
    service.faults.add(Fault("storage", "drop", method="POST", path="^/upload/", times=1, after_bytes=1 << 30))
    with pytest.raises(requests.exceptions.ConnectionError):
        service.api("POST", "/upload/storage/v1/b/vault/o?uploadType=media&name=a", data=b"sent")
    assert service.client().bucket("vault").blob("a").download_as_bytes() == b"sent"
    service.faults.add(Fault("storage", "drop", method="DELETE", times=1, after_bytes=1 << 30))
    with pytest.raises(requests.exceptions.ConnectionError):
        service.api("DELETE", "/storage/v1/b/vault/o/a")
    assert service.client().bucket("vault").get_blob("a") is None


@pytest.mark.parametrize("after", [1, UNIT - 1, UNIT, UNIT * 3 + 5, UNIT * 4, 1 << 30])
def test_the_client_resumes_an_upload_whose_connection_breaks(service, after):
    """Wherever a part breaks off, the stream goes on and the object is whole."""
    content = secrets.token_bytes(UNIT * 9 + 13)
    service.faults.add(Fault("storage", "drop", method="PUT", times=1, after_bytes=after))
    with service.client().bucket("vault").blob("dump").open("wb", chunk_size=UNIT * 4) as stream:
        stream.write(content)
    assert service.faults.list() == ()
    assert service.client().bucket("vault").blob("dump").download_as_bytes() == content


def test_a_drop_in_the_middle_of_a_download_is_seen(service):
    """Fewer bytes than promised are an error, also in the middle of an object that is sent in pieces."""
    put(service, "a", b"a" * (3 << 20))
    service.faults.add(Fault("storage", "drop", method="GET", path="alt=media", times=1, after_bytes=2 << 20))
    with pytest.raises(requests.exceptions.RequestException):
        service.api("GET", "/storage/v1/b/vault/o/a?alt=media")
    assert len(service.api("GET", "/storage/v1/b/vault/o/a?alt=media").content) == 3 << 20


@pytest.mark.parametrize("kept", [0, 10, (1 << 20) + 1])
def test_a_truncated_answer_is_shorter_than_it_promised(service, kept):
    """Content-Length says the whole, the body ends before."""
    put(service, "a", b"a" * (2 << 20))
    service.faults.add(Fault("storage", "truncate", path=OBJECT, times=1, after_bytes=kept))
    with requests.get(f"{service.url}/storage/v1/b/vault/o/a?alt=media", stream=True, timeout=30) as response:
        assert response.headers["Content-Length"] == str(2 << 20)
        received: list[bytes] = []
        with pytest.raises(requests.exceptions.RequestException):
            received.extend(response.iter_content(1024))
    assert len(b"".join(received)) <= kept
    service.faults.add(Fault("storage", "truncate", path=OBJECT, times=1, after_bytes=5))
    with pytest.raises(requests.exceptions.RequestException):
        service.api("GET", "/storage/v1/b/vault/o/a")


def test_a_corrupted_download_is_caught_by_its_checksum(service):
    """One wrong bit, and the client refuses what it got."""
    put(service, "a", b"a" * (3 << 20))
    service.faults.add(Fault("storage", "corrupt", method="GET", path="alt=media", times=1, after_bytes=(2 << 20) + 7))
    with pytest.raises(DataCorruption):
        service.client().bucket("vault").blob("a").download_as_bytes()
    assert service.client().bucket("vault").blob("a").download_as_bytes() == b"a" * (3 << 20)


def test_a_corrupted_answer_in_memory_has_one_wrong_byte(service):
    """A document shorter than the offset has its last byte harmed."""
    put(service, "a", b"a")
    sound = service.api("GET", "/storage/v1/b/vault/o/a").content
    service.faults.add(Fault("storage", "corrupt", path=OBJECT, times=1, after_bytes=1 << 30))
    harmed = service.api("GET", "/storage/v1/b/vault/o/a").content
    assert harmed[:-1] == sound[:-1]
    assert harmed[-1] != sound[-1]


def test_a_corrupted_upload_is_refused(service):
    """The byte changes on its way into the store; the checksum that came along tells."""
    service.faults.add(Fault("storage", "corrupt", path="^/upload/", times=1, after_bytes=5))
    with pytest.raises(exceptions.BadRequest):
        put(service, "a", b"0123456789")
    service.faults.add(Fault("storage", "corrupt", method="PUT", path="^/upload/", times=1, after_bytes=5))
    stream = service.client().bucket("vault").blob("a").open("wb", chunk_size=UNIT)
    stream.write(b"0123456789" * UNIT)
    with pytest.raises(InvalidResponse) as refused:
        stream.close()
    assert refused.value.response.status_code == 400
    assert service.client().bucket("vault").get_blob("a") is None


def test_a_corrupted_upload_without_a_checksum_is_stored_as_it_came(service):
    """Only who compares the answer's checksum notices."""
    service.faults.add(Fault("storage", "corrupt", path="^/upload/", times=1, after_bytes=0))
    answer = service.api("POST", "/upload/storage/v1/b/vault/o?uploadType=media&name=a", data=b"abc").json()
    assert service.client().bucket("vault").blob("a").download_as_bytes() == b"`bc"
    assert answer["crc32c"] != google_crc32c.value(b"abc")


def test_a_lost_object_is_gone_without_a_trace(service):
    """The disaster that an audit must find: no request can do it, retention or not."""
    client = service.client()
    bucket = client.bucket("vault")
    bucket.retention_period = 3600
    bucket.patch()
    put(service, "a", b"a")
    assert service.lose("vault", "a")
    assert not service.lose("vault", "a")
    assert bucket.get_blob("a") is None
    assert list(client.list_blobs("vault", versions=True)) == []
