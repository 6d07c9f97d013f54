"""What must be true in the end, whatever went wrong: written once, and asserted after every fault of the table."""

import hashlib
import time
from collections.abc import Iterator
from typing import Any

from tenantctl.backups.keys import open_identity
from tenantctl.backups.manifest import Manifest
from tenantctl.backups.stream import opened
from tenantctl.model.backup import (
    Backup,
    BackupState,
    Copy,
    CopyState,
    Residue,
    ResidueKind,
    VerificationLevel,
)
from tenantctl.model.journal import broken_links
from tenantctl.model.sighting import Present
from tenantctl.sweeps.observe import observe_and_plan
from tests.faults.scene import Scene
from tests.localcloud.clouds import storage_client
from tests.localcloud.company import VERIFY_INSTANCE

SETTLES_WITHIN = 6  # runs, each after the longest time for which a tenant in trouble is put off
HANGING_UP_SECONDS = 30.0
READING = (
    "SELECT application_name, state, query FROM pg_stat_activity"
    " WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'"
    " AND xact_start IS NOT NULL"
)
CLAIM_TO_EXIST = {BackupState.COMPLETE, BackupState.SHORT}


def ends_well(scene: Scene, lasting: frozenset[str]) -> None:
    """The trouble is over: the tenant comes to rest, and all that is on record of it is true.

    Args:
        scene: Where something went wrong.
        lasting: The alarms that stay open as the record of a loss.
    """
    scene.lift()
    codes = [scene.sweep_later(minutes=6)]
    while codes[-1] and len(codes) < SETTLES_WITHIN:
        codes.append(scene.sweep_later(hours=6, minutes=30))
    assert codes[-1] == 0, (codes, scene.world.registry.alarms(scene.uid))
    # Within a day each copy that may have come to be is looked at once more, and the next nightly backup is made.
    assert scene.sweep_later(hours=25) == 0, scene.world.registry.alarms(scene.uid)
    _nothing_is_left_to_do(scene)
    assert scene.alarms() == lasting - _made_up_for(scene), (scene.alarms(), lasting)
    _the_journal_is_whole(scene)
    held = dict(_objects(scene))
    for backup in scene.backups():
        for copy in backup.copies:
            _tells_the_truth(backup, copy, held)
    _every_object_is_on_record(scene, held)
    for number, (backup, copy) in enumerate(_claimed(scene)):
        _restores(scene, backup, copy, f"s_{backup.id}_{number}")


def _made_up_for(scene: Scene) -> frozenset[str]:
    """What a later success has closed: the rotation may have come to a restore of this tenant in the meantime."""
    failed = [one.verified_at for one in scene.backups() if one.state is BackupState.FAILED and one.verified_at]
    restored = [one.verified_at for one in scene.backups() if one.verified_level is VerificationLevel.RESTORED]
    is_proved = failed and any(at is not None and at > max(failed) for at in restored)
    return frozenset({"verification-failed"}) if is_proved else frozenset()


def _nothing_is_left_to_do(scene: Scene) -> None:
    registry = scene.world.registry
    assert observe_and_plan(scene.world, registry.tenant(scene.uid)).steps == ()
    assert registry.lease_of(scene.uid) is None
    assert len(scene.newest().regions_holding()) == scene.world.policies.backups.copies_min
    names = scene.world.scratch.names(VERIFY_INSTANCE)
    assert isinstance(names, Present)
    mine = {f"s_{backup.id}" for backup in scene.backups()}
    assert not [name for name in names.value if name in mine], "a verification left its database behind"
    assert not [one for one in _open(scene) if one.kind is ResidueKind.SCRATCH]
    deadline = time.monotonic() + HANGING_UP_SECONDS
    with scene.session() as session:
        while left := session.execute(READING).fetchall():  # a server hears only now that a client has gone
            assert time.monotonic() < deadline, f"somebody is still reading the tenant's database: {left}"
            session.rollback()
            time.sleep(0.05)


def _the_journal_is_whole(scene: Scene) -> None:
    registry = scene.world.registry
    assert list(broken_links(registry.entries(scene.uid), registry.head(scene.uid))) == []


def _objects(scene: Scene) -> Iterator[tuple[tuple[str, str], Any]]:
    """(bucket, name) → object of all that any bucket holds of the tenant, by the store's own word."""
    store = storage_client(scene.cloud)
    for bucket in store.list_buckets():
        for blob in store.list_blobs(bucket.name, prefix=f"{scene.uid}/", versions=True):
            yield (bucket.name, blob.name), blob
    store.close()


def _tells_the_truth(backup: Backup, copy: Copy, held: dict[tuple[str, str], Any]) -> None:
    """What the registry says of a copy is what its bucket shows."""
    blob = held.get((copy.bucket, copy.object_name))
    match copy.state:
        case CopyState.WRITTEN:
            assert blob is not None, copy
            assert (blob.size, blob.crc32c) == (copy.size, copy.crc32c), copy
        case CopyState.ABSENT | CopyState.LAPSED:
            assert blob is None, copy
        case CopyState.INTENDED:
            raise AssertionError(f"nobody looked whether {copy} came to be")
        case CopyState.LOST:
            pass  # gone, or not what it was: the alarm that stays open says so
    assert backup.state is not BackupState.BEGUN, backup


def _every_object_is_on_record(scene: Scene, held: dict[tuple[str, str], Any]) -> None:
    """Each object belongs to a place of the residue inventory that is still open."""
    places = {one.place for one in _open(scene) if one.kind is ResidueKind.COPY}
    keys = {one.id for one in _open(scene) if one.kind is ResidueKind.KEY}
    for bucket, name in held:
        if bucket.endswith("-keys"):
            backup_id = name.split("/")[1].removesuffix(".key")
            assert f"key/{backup_id}/{bucket.removeprefix('tenantctl-local-').removesuffix('-keys')}" in keys, name
        else:
            assert f"gs://{bucket}/{name.rsplit('/', 1)[0]}/dump.zst.age" in places, name


def _open(scene: Scene) -> list[Residue]:
    return [one for one in scene.world.registry.residues(scene.uid) if one.lapsed_at is None]


def _claimed(scene: Scene) -> Iterator[tuple[Backup, Copy]]:
    """The copies of backups that are said to exist."""
    for backup in scene.backups():
        if backup.state in CLAIM_TO_EXIST:
            for copy in backup.copies:
                if copy.state is CopyState.WRITTEN:
                    yield backup, copy


def _restores(scene: Scene, backup: Backup, copy: Copy, name: str) -> None:
    """A copy restores, with the checksums that the customer's tables have."""
    world, sha256 = scene.world, hashlib.sha256()

    def checked() -> Iterator[bytes]:
        for chunk in world.vault.read(copy.bucket, copy.object_name):
            sha256.update(chunk)
            yield chunk

    manifest = Manifest.from_bytes(b"".join(world.vault.read(copy.bucket, copy.manifest_name)))
    assert manifest.describes(backup)
    assert manifest.tables == scene.truth
    world.scratch.create(VERIFY_INSTANCE, name)
    try:
        world.scratch.restore(VERIFY_INSTANCE, name, opened(checked(), open_identity(world, backup)))
        assert world.scratch.digests(VERIFY_INSTANCE, name) == scene.truth
    finally:
        world.scratch.drop(VERIFY_INSTANCE, name)
    assert sha256.hexdigest() == backup.sha256
