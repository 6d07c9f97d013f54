"""What stores do on bad days: refuse for minutes, tear connections down, take their time, fill up, fall silent."""

import sys

import pytest

from tenantctl.model.backup import BackupState
from tests.faults.row import Row
from tests.faults.scene import HOME, PARTNER, Scene, vault_of

SHORT = "short-of-copies"
STORES = vault_of(".*")


def one_store_is_down(scene: Scene) -> None:
    scene.fault(vault_of(PARTNER))
    scene.sweep()
    assert scene.backups()[0].regions_holding() == (HOME,)


def both_stores_are_down(scene: Scene) -> None:
    scene.fault(STORES)
    assert scene.sweep() == 5
    assert scene.backups() == []


def one_store_takes_no_upload(scene: Scene) -> None:
    scene.fault(f"/upload.*{vault_of(HOME)}")
    scene.sweep()
    assert scene.backups()[0].regions_holding() == (PARTNER,)


def no_store_takes_an_upload(scene: Scene) -> None:
    scene.fault(f"/upload.*{STORES}")
    assert scene.sweep() == 5
    assert {one.state for one in scene.backups()} == {BackupState.FAILED}


def one_store_takes_no_manifest(scene: Scene) -> None:
    scene.fault(rf"/upload.*{vault_of(PARTNER)}/o\?uploadType=multipart")
    assert scene.sweep() == 5


def one_store_forbids_us(scene: Scene) -> None:
    scene.fault(f"/upload.*{vault_of(PARTNER)}", status=403)
    scene.sweep()
    assert scene.backups()[0].regions_holding() == (HOME,)


def a_shower_of_503(scene: Scene) -> None:
    scene.fault(STORES, times=2)
    scene.fault(f"/upload.*{STORES}", times=1)
    assert scene.sweep() == 0
    assert len(scene.newest().regions_holding()) == 2


def too_many_requests(scene: Scene) -> None:
    scene.fault(f"/upload.*{STORES}", status=429, times=2)
    assert scene.sweep() == 0
    assert len(scene.newest().regions_holding()) == 2


def an_upload_is_cut_once(scene: Scene) -> None:
    scene.fault(f"/upload.*{vault_of(HOME)}", "drop", method="PUT", times=1, after_bytes=1_000_000)
    assert scene.sweep() == 0
    assert len(scene.newest().regions_holding()) == 2


def every_upload_is_cut(scene: Scene) -> None:
    scene.fault(f"/upload.*{vault_of(HOME)}", "drop", method="PUT")
    scene.sweep()
    assert scene.backups()[0].regions_holding() == (PARTNER,)


def the_answer_to_a_seal_is_lost(scene: Scene) -> None:
    scene.fault(f"/upload.*{vault_of(HOME)}", "drop", method="PUT", times=1, after_bytes=1 << 40)
    assert scene.sweep() == 0
    assert len(scene.newest().regions_holding()) == 2


def no_answer_to_a_seal_comes(scene: Scene) -> None:
    scene.fault(f"/upload.*{vault_of(HOME)}", "drop", method="PUT", after_bytes=1 << 40)
    scene.sweep()


def the_answer_to_a_manifest_is_lost(scene: Scene) -> None:
    path = rf"/upload.*{vault_of(HOME)}/o\?uploadType=multipart"
    scene.fault(path, "drop", method="POST", times=1, after_bytes=1 << 40)
    assert scene.sweep() == 0
    assert len(scene.newest().regions_holding()) == 2


def one_copy_is_slow(scene: Scene) -> None:
    scene.fault(f"/upload.*{vault_of(PARTNER)}", "delay", seconds=0.5)
    assert scene.sweep() == 0
    assert len(scene.newest().regions_holding()) == 2


def a_look_is_not_answered(scene: Scene) -> None:
    assert scene.sweep() == 0
    lost = scene.newest().id
    scene.fault(f"^/storage.*{vault_of(PARTNER)}/o/.*{lost}", status=503)
    assert scene.sweep_later(hours=25) == 5
    assert len(next(one for one in scene.backups() if one.id == lost).regions_holding()) == 2


def a_store_says_404_of_its_bucket(scene: Scene) -> None:
    assert scene.sweep() == 0
    first = scene.newest().id
    scene.fault(f"^/storage.*{vault_of(PARTNER)}", status=404)
    assert scene.sweep_later(hours=25) != 0
    assert len(next(one for one in scene.backups() if one.id == first).regions_holding()) == 2


def the_store_is_full(scene: Scene) -> None:
    if sys.platform != "linux":
        pytest.skip("only Linux limits the files of a process that runs")
    import resource

    limit, pid = 2_000_000, scene.cloud.status()["pid"]
    before = resource.prlimit(pid, resource.RLIMIT_FSIZE)
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (limit, before[1]))
    try:
        assert scene.sweep() == 5
        assert not any(one.state is BackupState.COMPLETE for one in scene.backups())
    finally:
        resource.prlimit(pid, resource.RLIMIT_FSIZE, before)


WEATHER = (
    Row(
        "begin",
        "503 for minutes from one region",
        "every request to its buckets",
        "one copy in the other, and the next run makes both",
        one_store_is_down,
        SHORT,
    ),
    Row(
        "begin",
        "503 for minutes from both regions",
        "every request to their buckets",
        "nothing begun",
        both_stores_are_down,
        "trouble",
    ),
    Row(
        "upload",
        "503 for minutes to uploads of one region",
        "reads go on",
        "the other copy is whole",
        one_store_takes_no_upload,
        SHORT,
    ),
    Row(
        "upload",
        "503 for minutes to all uploads",
        "reads go on",
        "no object; the attempt failed",
        no_store_takes_an_upload,
        "trouble",
    ),
    Row(
        "manifest",
        "503 for minutes to one region's manifest",
        "copies are sealed, one manifest is missing",
        "completed from the other manifest",
        one_store_takes_no_manifest,
        "trouble",
    ),
    Row("upload", "403 from one region", "to every upload", "the other copy is whole", one_store_forbids_us, SHORT),
    Row("upload", "503 a few times", "to looks and uploads of both regions", "passes unnoticed", a_shower_of_503),
    Row("upload", "429 a few times", "to uploads of both regions", "passes unnoticed", too_many_requests),
    Row(
        "upload",
        "the connection is cut once",
        "torn down after a million bytes",
        "goes on where the store stands",
        an_upload_is_cut_once,
        bulky=True,
    ),
    Row(
        "upload",
        "each connection is cut",
        "torn down at once, in one region",
        "the other copy is whole",
        every_upload_is_cut,
        SHORT,
    ),
    Row(
        "seal",
        "the answer to a seal is lost",
        "the work done, the connection torn down, once",
        "the store is asked, and has it",
        the_answer_to_a_seal_is_lost,
    ),
    Row(
        "seal",
        "no answer to a seal ever comes",
        "the work done, the connection torn down, each time",
        "the copy that nobody counted is found",
        no_answer_to_a_seal_comes,
    ),
    Row(
        "manifest",
        "the answer to a manifest is lost",
        "the work done, the connection torn down, once",
        "the same bytes again change nothing",
        the_answer_to_a_manifest_is_lost,
    ),
    Row(
        "upload",
        "one copy is slow",
        "half a second before each request of one region",
        "both copies are whole",
        one_copy_is_slow,
        bulky=True,
    ),
    Row(
        "audit",
        "a look is not answered",
        "503 to looks at one copy",
        "the copy is not called lost",
        a_look_is_not_answered,
        "trouble",
    ),
    Row(
        "audit",
        "a store says that its buckets are gone",
        "404 to every look in one region",
        "the copies are not called lost",
        a_store_says_404_of_its_bucket,
        SHORT,
    ),
    Row(
        "upload",
        "the stores' disk is full",
        "no file of theirs may pass two million bytes",
        "no object; the attempt failed",
        the_store_is_full,
        "trouble",
        bulky=True,
    ),
)
