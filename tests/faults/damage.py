"""Bytes that are not what they were: on the wire, on the stores' disks, under another object's name, or gone."""

import sqlite3
from contextlib import closing
from pathlib import Path

from tenantctl.model.backup import BackupState, Copy
from tenantctl.model.plan import Duty
from tests.faults.crashes import verify
from tests.faults.row import Row
from tests.faults.scene import HOME, PARTNER, Scene, vault_of
from tests.localcloud.clouds import storage_client

LOST = frozenset({"copy-lost"})
FAILED = frozenset({"verification-failed"})
HEADER_BYTES = 21  # `age-encryption.org/v1` without its end of line


def flipped_on_the_way_up(scene: Scene) -> None:
    scene.fault(f"/upload.*{vault_of(HOME)}", "corrupt", method="PUT", times=1, after_bytes=300)
    assert scene.sweep() == 0
    assert len(scene.newest().regions_holding()) == 2


def flipped_in_a_manifest_on_the_way_up(scene: Scene) -> None:
    path = rf"/upload.*{vault_of(HOME)}/o\?uploadType=multipart"
    scene.fault(path, "corrupt", method="POST", times=1, after_bytes=30)
    scene.sweep()


def flipped_on_the_way_down(scene: Scene) -> None:
    scene.fault("/download.*dump.zst.age", "corrupt", times=1, after_bytes=400)
    scene.sweep()
    assert len(scene.newest().regions_holding()) == 2


def truncated_on_the_way_down(scene: Scene) -> None:
    scene.fault("/download.*dump.zst.age", "truncate", times=1, after_bytes=400)
    assert scene.sweep() == 0
    assert len(scene.newest().regions_holding()) == 2


def cut_on_the_way_down(scene: Scene) -> None:
    scene.fault("/download.*dump.zst.age", "drop", times=1, after_bytes=400)
    assert scene.sweep() == 0
    assert len(scene.newest().regions_holding()) == 2


def flipped_on_disk(scene: Scene) -> None:
    copy = _copy_to_be_read(scene)
    with _file(scene, copy).open("r+b") as file:
        file.seek(500)
        harmed = bytes([file.read(1)[0] ^ 1])
        file.seek(500)
        file.write(harmed)
    scene.sweep()


def removed_from_disk(scene: Scene) -> None:
    _file(scene, _copy_to_be_read(scene)).unlink()
    scene.sweep()


def flipped_on_disk_before_a_restore(scene: Scene) -> None:
    assert scene.sweep() == 0
    copy = scene.copy_in(HOME)
    path = _file(scene, copy)
    path.write_bytes(path.read_bytes()[:-1] + b"?")
    assert verify(scene) != 0


def a_copy_vanishes(scene: Scene) -> None:
    assert scene.sweep() == 0
    copy = scene.copy_in(PARTNER)
    assert scene.cloud.lose_object(copy.bucket, copy.object_name)
    scene.sweep_later(hours=25)


def both_copies_vanish(scene: Scene) -> None:
    assert scene.sweep() == 0
    for copy in scene.newest().copies:
        for name in (copy.object_name, copy.manifest_name):
            assert scene.cloud.lose_object(copy.bucket, name)
    scene.sweep_later(hours=25)


def a_copy_vanishes_before_it_is_read(scene: Scene) -> None:
    copy = _copy_to_be_read(scene)
    assert scene.cloud.lose_object(copy.bucket, copy.object_name)
    scene.sweep()


def a_manifest_vanishes(scene: Scene) -> None:
    assert scene.sweep() == 0
    copy = scene.copy_in(HOME)
    assert scene.cloud.lose_object(copy.bucket, copy.manifest_name)
    assert verify(scene) == 6
    assert scene.backups()[0].state is BackupState.FAILED


def the_header_is_missing(scene: Scene) -> None:
    copy = _copy_to_be_read(scene)
    _replace(scene, copy, _bytes_of(scene, copy)[HEADER_BYTES:])
    scene.sweep()


def half_of_it_is_there(scene: Scene) -> None:
    copy = _copy_to_be_read(scene)
    content = _bytes_of(scene, copy)
    _replace(scene, copy, content[: len(content) // 2])
    scene.sweep()


def another_backup_bears_its_name(scene: Scene) -> None:
    assert scene.sweep() == 0
    other = _bytes_of(scene, scene.copy_in(HOME))
    scene.later(days=1)
    copy = _copy_to_be_read(scene)
    _replace(scene, copy, other)
    scene.sweep()


def other_bytes_are_seen(scene: Scene) -> None:
    assert scene.sweep() == 0
    copy = scene.copy_in(PARTNER)
    _replace(scene, copy, _bytes_of(scene, copy) + b"!")
    scene.sweep_later(hours=25)


def _copy_to_be_read(scene: Scene) -> Copy:
    """The copy that the next run reads through."""
    assert scene.sweep(Duty.BACKUP) == 0
    return next(copy for copy in scene.newest().copies)


def _file(scene: Scene, copy: Copy) -> Path:
    """The file in which the store keeps a copy."""
    storage = scene.cloud.folder.storage
    with closing(sqlite3.connect(f"file:{storage / 'metadata.sqlite3'}?mode=ro", uri=True)) as rows:
        asked = "SELECT file FROM version WHERE bucket = ? AND name = ? AND state = 'live'"
        (name,) = rows.execute(asked, [copy.bucket, copy.object_name]).fetchone()
    return storage / "bytes" / str(name)[:2] / str(name)


def _bytes_of(scene: Scene, copy: Copy) -> bytes:
    return _file(scene, copy).read_bytes()


def _replace(scene: Scene, copy: Copy, content: bytes) -> None:
    """Puts other bytes in a copy's place, past its lock, so that the store finds nothing wrong with them."""
    assert scene.cloud.lose_object(copy.bucket, copy.object_name)
    with closing(storage_client(scene.cloud)) as store:
        store.bucket(copy.bucket).blob(copy.object_name).upload_from_string(content)


DAMAGE = (
    Row(
        "upload",
        "a bit is flipped on the way up",
        "in a chunk of one region, once",
        "the store's checksum keeps it out; made again from the other copy",
        flipped_on_the_way_up,
    ),
    Row(
        "manifest",
        "a bit is flipped on the way up",
        "in a manifest, once",
        "the store's checksum keeps it out; made again",
        flipped_in_a_manifest_on_the_way_up,
    ),
    Row(
        "L2",
        "a bit is flipped on the way down",
        "in a download, once",
        "the copy is not called lost",
        flipped_on_the_way_down,
        "trouble",
    ),
    Row(
        "L2",
        "a download is truncated",
        "it ends in good order before its length, once",
        "read again",
        truncated_on_the_way_down,
    ),
    Row("L2", "a download is cut", "the connection is torn down in it, once", "read again", cut_on_the_way_down),
    Row(
        "store",
        "a bit is flipped on disk",
        "in the file of the copy that is read next",
        "the copy is lost, and another backup made",
        flipped_on_disk,
        "verification-failed",
        FAILED,
    ),
    Row(
        "store",
        "a copy's file is gone",
        "removed from the store's folder",
        "the copy is lost, and another backup made",
        removed_from_disk,
        "verification-failed",
        FAILED,
    ),
    Row(
        "L3",
        "a byte is wrong on disk",
        "the last one of the copy that is restored",
        "the backup is not called good",
        flipped_on_disk_before_a_restore,
        "verification-failed",
        FAILED,
    ),
    Row(
        "audit",
        "a copy is lost",
        "past its lock, with no trace",
        "seen; another backup made",
        a_copy_vanishes,
        "copy-lost",
        LOST,
    ),
    Row(
        "audit",
        "both copies are lost",
        "with their manifests, past their locks, with no trace",
        "seen; another backup made",
        both_copies_vanish,
        "copy-lost",
        LOST,
    ),
    Row(
        "L2",
        "a copy is lost",
        "before it was read through",
        "seen; another backup made",
        a_copy_vanishes_before_it_is_read,
        "verification-failed",
        FAILED,
    ),
    Row(
        "L3",
        "a manifest is lost",
        "past its lock, with no trace",
        "the backup fails its proof; another is made",
        a_manifest_vanishes,
        "verification-failed",
        FAILED,
    ),
    Row(
        "L2",
        "the header is missing",
        "a copy without its first line in its place",
        "the copy is lost, and another backup made",
        the_header_is_missing,
        "verification-failed",
        FAILED,
    ),
    Row(
        "L2",
        "half of a copy is there",
        "its first half in its place",
        "the copy is lost, and another backup made",
        half_of_it_is_there,
        "verification-failed",
        FAILED,
    ),
    Row(
        "L2",
        "another backup is in a copy's place",
        "sealed for another key",
        "the copy is lost, and another backup made",
        another_backup_bears_its_name,
        "verification-failed",
        FAILED,
    ),
    Row(
        "audit",
        "other bytes are in a copy's place",
        "one byte more",
        "seen; another backup made",
        other_bytes_are_seen,
        "copy-lost",
        LOST,
    ),
)
