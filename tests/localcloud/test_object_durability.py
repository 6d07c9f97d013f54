"""What is acknowledged survives kill -9; memory stays flat whatever the size of an object."""

import hashlib
import secrets
import threading
from pathlib import Path

import psutil  # type: ignore[import-untyped]
import pytest
import requests

from tests.localcloud.object_service import StoreProcess, client_of, serving, serving_process

UNIT = 256 * 1024
UPLOAD = "/upload/storage/v1/b/vault/o"
LARGE_BYTES = 300 << 20


def write_until_killed(store: StoreProcess, acknowledged: dict[str, str], enough: threading.Event) -> None:
    session = requests.Session()
    for number in range(100_000):
        name, content = f"{threading.get_ident()}-{number}", secrets.token_bytes(40_000)
        try:
            answer = session.post(f"{store.url}{UPLOAD}?uploadType=media&name={name}", data=content, timeout=30)
        except requests.exceptions.RequestException:
            return
        assert answer.status_code == 200
        acknowledged[name] = hashlib.sha256(content).hexdigest()
        if len(acknowledged) >= 60:
            enough.set()


@pytest.mark.parametrize("round_", range(2))
def test_acknowledged_objects_survive_a_crash_under_load(tmp_path, round_):
    """Killed while three clients write: every object that one was told of is there, whole; no bytes are left over."""
    acknowledged: dict[str, str] = {}
    enough = threading.Event()
    with serving_process(tmp_path) as store:
        client_of(store.url).create_bucket("vault")
        writers = [threading.Thread(target=write_until_killed, args=(store, acknowledged, enough)) for _ in range(3)]
        for writer in writers:
            writer.start()
        assert enough.wait(timeout=60)
        store.kill()
        for writer in writers:
            writer.join(timeout=60)
    with serving_process(tmp_path) as store:
        bucket = client_of(store.url).bucket("vault")
        names = {blob.name for blob in bucket.list_blobs()}
        assert set(acknowledged) <= names
        for name, digest in acknowledged.items():
            assert hashlib.sha256(bucket.blob(name).download_as_bytes()).hexdigest() == digest
        assert len(files_of(tmp_path)) == len(names)


def test_an_upload_goes_on_after_a_crash(tmp_path):
    """The session, and every byte that a 308 named, are still there in the next process."""
    content = secrets.token_bytes(UNIT * 3 + 7)
    with serving_process(tmp_path) as store:
        client_of(store.url).create_bucket("vault")
        begun = requests.post(f"{store.url}{UPLOAD}?uploadType=resumable&name=dump", json={}, timeout=30)
        path = begun.headers["Location"].removeprefix(store.url)
        headers = {"Content-Range": f"bytes 0-{UNIT * 2 - 1}/*"}
        first = requests.put(store.url + path, data=content[: UNIT * 2], headers=headers, timeout=30)
        assert first.headers["Range"] == f"bytes=0-{UNIT * 2 - 1}"
        store.kill()
    with serving_process(tmp_path) as store:
        asked = requests.put(store.url + path, headers={"Content-Range": "bytes */*"}, timeout=30)
        assert asked.headers["Range"] == f"bytes=0-{UNIT * 2 - 1}"
        headers = {"Content-Range": f"bytes {UNIT * 2}-{len(content) - 1}/{len(content)}"}
        last = requests.put(store.url + path, data=content[UNIT * 2 :], headers=headers, timeout=30)
        assert last.status_code == 200
        assert client_of(store.url).bucket("vault").blob("dump").download_as_bytes() == content


def test_locks_and_holds_survive_a_crash(tmp_path):
    """A crash never frees what was kept."""
    with serving_process(tmp_path) as store:
        bucket = client_of(store.url).bucket("vault")
        bucket.retention_period = 3600
        bucket.create()
        bucket.lock_retention_policy()
        bucket.blob("copy").upload_from_string(b"sealed")
        store.kill()
    with serving(tmp_path) as service:
        refused = service.api("DELETE", "/storage/v1/b/vault/o/copy")
        assert refused.json()["error"]["errors"][0]["reason"] == "retentionPolicyNotMet"
        assert service.client().get_bucket("vault").retention_policy_locked


def test_bytes_without_a_row_are_swept_away_at_the_start(tmp_path):
    """What a crash left between writing and committing."""
    with serving(tmp_path) as service:
        service.client().create_bucket("vault")
        service.client().bucket("vault").blob("copy").upload_from_string(b"kept")
    stray = tmp_path / "objects" / "bytes" / "ab" / "abandoned"
    stray.parent.mkdir(exist_ok=True)
    stray.write_bytes(b"left over")
    with serving(tmp_path) as service:
        assert not stray.exists()
        assert service.client().bucket("vault").blob("copy").download_as_bytes() == b"kept"


def test_memory_stays_flat_for_a_large_object(tmp_path):
    """300 MB up in one stream, and down again, while the process grows by a few pieces only."""
    piece = secrets.token_bytes(1 << 20)
    with serving_process(tmp_path) as store:
        client_of(store.url).create_bucket("vault")
        process = psutil.Process(store.process.pid)
        before, highest = process.memory_info().rss, 0
        with client_of(store.url).bucket("vault").blob("large").open("wb", chunk_size=32 << 20) as stream:
            for _ in range(LARGE_BYTES // len(piece)):
                stream.write(piece)
                highest = max(highest, process.memory_info().rss)
        received = 0
        address = f"{store.url}/storage/v1/b/vault/o/large?alt=media"
        with requests.get(address, stream=True, timeout=30) as response:
            for chunk in response.iter_content(1 << 20):
                received += len(chunk)
                highest = max(highest, process.memory_info().rss)
    assert received == LARGE_BYTES
    assert highest - before < 40 << 20


def files_of(folder: Path) -> list[Path]:
    return [path for path in (folder / "objects" / "bytes").glob("*/*") if path.is_file()]
