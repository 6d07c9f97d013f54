"""Keys that cannot be had, are not kept, are another's, or were lost; and the services that wrap them."""

from dataclasses import replace

from tenantctl.backups.keys import key_name
from tenantctl.model.backup import BackupState
from tenantctl.model.plan import Duty
from tests.faults.crashes import verify
from tests.faults.row import Row
from tests.faults.scene import HOME, PARTNER, Scene, keys_of, vault_of


def one_kms_is_down(scene: Scene) -> None:
    scene.fault(f"/locations/{PARTNER}/.*:encrypt", api="kms")
    scene.sweep()
    assert not any(len(one.regions_holding()) == 2 for one in scene.backups())


def every_kms_is_down_for_a_proof(scene: Scene) -> None:
    assert scene.sweep(Duty.BACKUP) == 0
    scene.fault(":decrypt", api="kms")
    assert scene.sweep() == 5
    assert scene.newest().state is BackupState.COMPLETE


def one_kms_is_down_for_a_restore(scene: Scene) -> None:
    assert scene.sweep() == 0
    scene.fault(f"/locations/{HOME}/.*:decrypt", api="kms")
    assert verify(scene) == 0


def a_wrapping_is_damaged_on_the_way(scene: Scene) -> None:
    scene.fault(":encrypt", "corrupt", api="kms", times=1, after_bytes=60)
    assert scene.sweep() == 0


def a_key_bucket_is_down(scene: Scene) -> None:
    scene.fault(keys_of(PARTNER))
    scene.sweep()
    assert not any(len(one.regions_holding()) == 2 for one in scene.backups())


def a_key_bucket_is_down_for_a_shredding(scene: Scene) -> None:
    scene.fault(f"/upload.*{vault_of('.*')}")
    assert scene.sweep() == 5
    scene.cloud.clear_faults()
    scene.fault(keys_of(PARTNER), method="DELETE")
    scene.sweep_later(hours=25)
    failed = next(one for one in scene.backups() if one.state is BackupState.FAILED)
    assert all(copy.wrapped_key for copy in failed.copies)


def the_buckets_lose_a_key(scene: Scene) -> None:
    assert scene.sweep() == 0
    for region in (HOME, PARTNER):
        scene.world.key_store.remove(region, key_name(scene.uid, scene.newest().id))
    assert verify(scene) == 0
    for copy in scene.newest().copies:
        assert copy.wrapped_key is not None


def the_registry_has_another_backups_key_for_one_region(scene: Scene) -> None:
    assert scene.sweep() == 0
    assert scene.sweep_later(days=1) == 0
    older, newest = scene.backups()[0], scene.newest()
    others = {copy.region: copy.wrapped_key for copy in older.copies}
    with scene.fenced() as writes:
        for copy in newest.copies:
            if copy.region == HOME:
                writes.put_copy(replace(copy, wrapped_key=others[copy.region]))
    assert verify(scene) == 0


KEYS = (
    Row(
        "begin",
        "503 for minutes from one region's KMS",
        "to every wrapping",
        "no copy there",
        one_kms_is_down,
        "trouble",
    ),
    Row(
        "L2",
        "503 for minutes from every KMS",
        "to every unwrapping",
        "the copy is not called lost",
        every_kms_is_down_for_a_proof,
        "trouble",
    ),
    Row(
        "L3",
        "503 for minutes from one region's KMS",
        "to every unwrapping",
        "the other region's opens it",
        one_kms_is_down_for_a_restore,
    ),
    Row(
        "begin",
        "a wrapping is damaged on the way",
        "one bit of the KMS's answer",
        "asked for again",
        a_wrapping_is_damaged_on_the_way,
    ),
    Row(
        "begin",
        "503 for minutes from one region's key bucket",
        "to every request",
        "no copy there",
        a_key_bucket_is_down,
        "trouble",
    ),
    Row(
        "shred",
        "503 for minutes from one region's key bucket",
        "to every removal",
        "not called shredded",
        a_key_bucket_is_down_for_a_shredding,
        "trouble",
    ),
    Row(
        "L3",
        "both key buckets lose a key",
        "removed behind the program's back",
        "the registry's opens it",
        the_buckets_lose_a_key,
    ),
    Row(
        "L3",
        "a wrong key",
        "another backup's in one region's place",
        "the other region's opens it",
        the_registry_has_another_backups_key_for_one_region,
    ),
)
