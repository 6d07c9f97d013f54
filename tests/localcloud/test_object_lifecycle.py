"""Lifecycle, soft delete and versions of a running store, under its clock."""

from datetime import timedelta

import pytest
from google.api_core import exceptions

from tests.localcloud.object_service import ObjectService, serving

DAY = timedelta(days=1)


@pytest.fixture
def service(tmp_path):
    with serving(tmp_path) as running:
        yield running


def make_bucket(service: ObjectService, *, soft_delete_days: int = 0, age: int | None = None, **settings: object):
    bucket = service.client().bucket("vault")
    bucket.soft_delete_policy.retention_duration_seconds = soft_delete_days * 86_400
    if age is not None:
        bucket.add_lifecycle_delete_rule(age=age)
    for name, value in settings.items():
        setattr(bucket, name, value)
    bucket.create(location="europe-west1")
    return bucket


def files_of(folder) -> int:
    return sum(1 for path in (folder / "objects" / "bytes").glob("*/*") if path.is_file())


def test_lifecycle_deletes_late_but_surely(service, tmp_path):
    """An object goes 36 hours after its age is reached, not before, and its bytes with it."""
    bucket = make_bucket(service, age=30)
    bucket.blob("copy").upload_from_string(b"bytes")
    service.clock.advance(30 * DAY + timedelta(hours=35))
    assert service.sweep() == 0
    assert bucket.get_blob("copy") is not None
    service.clock.advance(timedelta(hours=2))
    assert service.sweep() == 1
    assert bucket.get_blob("copy") is None
    assert files_of(tmp_path) == 0
    assert service.sweep() == 0


def test_the_lag_can_be_chosen(tmp_path):
    """A store without lag does what is due at once."""
    with serving(tmp_path, lifecycle_lag=timedelta(0)) as service:
        bucket = make_bucket(service, age=1)
        bucket.blob("copy").upload_from_string(b"")
        assert service.sweep() == 0
        service.clock.advance(DAY)
        assert service.sweep() == 1


def test_lifecycle_waits_for_retention_and_holds(service):
    """It never deletes what a request could not; when nothing keeps the object any more, it goes."""
    bucket = make_bucket(service, age=1, retention_period=10 * 86_400)
    for name in ("retained", "held"):
        bucket.blob(name).upload_from_string(b"")
    held = bucket.get_blob("held")
    held.temporary_hold = True
    held.patch()
    service.clock.advance(5 * DAY)
    assert service.sweep() == 0
    service.clock.advance(5 * DAY)
    assert service.sweep() == 1
    assert [blob.name for blob in bucket.list_blobs()] == ["held"]
    held.temporary_hold = False
    held.patch()
    assert service.sweep() == 1
    assert list(bucket.list_blobs()) == []


def test_a_rewritten_object_starts_its_age_anew(service):
    """So a copy made to repair another outlives it."""
    bucket = make_bucket(service, age=10)
    bucket.blob("copy").upload_from_string(b"")
    service.clock.advance(8 * DAY)
    bucket.blob("repaired").rewrite(bucket.blob("copy"))
    service.clock.advance(4 * DAY)
    assert service.sweep() == 1
    assert [blob.name for blob in bucket.list_blobs()] == ["repaired"]


def test_a_class_is_set_by_lifecycle(service):
    """SetStorageClass changes the class once, and nothing else."""
    bucket = make_bucket(service)
    bucket.add_lifecycle_set_storage_class_rule("ARCHIVE", age=1)
    bucket.patch()
    bucket.blob("copy").upload_from_string(b"x")
    service.clock.advance(3 * DAY)
    assert service.sweep() == 0
    blob = bucket.get_blob("copy")
    assert (blob.storage_class, blob.metageneration) == ("ARCHIVE", 1)


def test_soft_deleted_objects_stay_for_their_time(service, tmp_path):
    """Deleted by lifecycle or by request they are still there, can be listed and restored, and then they are gone."""
    bucket = make_bucket(service, soft_delete_days=7, age=1)
    bucket.blob("copy").upload_from_string(b"bytes")
    service.clock.advance(3 * DAY)
    assert service.sweep() == 1
    assert bucket.get_blob("copy") is None
    (deleted,) = bucket.list_blobs(soft_deleted=True)
    assert deleted.hard_delete_time - deleted.soft_delete_time == 7 * DAY
    found = bucket.get_blob("copy", generation=deleted.generation, soft_deleted=True)
    assert found.soft_delete_time == deleted.soft_delete_time
    with pytest.raises(exceptions.NotFound):
        bucket.blob("copy", generation=deleted.generation).download_as_bytes()

    restored = bucket.restore_blob("copy", generation=deleted.generation)
    assert restored.generation != deleted.generation
    assert bucket.blob("copy").download_as_bytes() == b"bytes"
    bucket.blob("copy").delete()
    service.clock.advance(7 * DAY)
    assert service.sweep() == 2
    assert list(bucket.list_blobs(soft_deleted=True)) == []
    with pytest.raises(exceptions.NotFound):
        bucket.restore_blob("copy", generation=deleted.generation)
    assert files_of(tmp_path) == 0


def test_what_is_soft_deleted_keeps_its_time_when_the_policy_changes(service):
    """Turning soft delete off purges nothing that is already there."""
    bucket = make_bucket(service, soft_delete_days=7)
    bucket.blob("copy").upload_from_string(b"")
    bucket.blob("copy").delete()
    bucket.soft_delete_policy.retention_duration_seconds = 0
    bucket.patch()
    service.clock.advance(6 * DAY)
    assert service.sweep() == 0
    assert len(list(bucket.list_blobs(soft_deleted=True))) == 1
    service.clock.advance(DAY)
    assert service.sweep() == 1


def test_a_pause_of_hard_deletion_blocks_purging(service):
    """Bytes that outlive every promise, until somebody resumes: why an alarm must know of it."""
    bucket = make_bucket(service, soft_delete_days=7)
    bucket.blob("copy").upload_from_string(b"")
    bucket.blob("copy").delete()
    pause = {"softDeletePolicy": {"hardDeletePause": {"enabled": True}}}
    assert service.api("PATCH", "/storage/v1/b/vault", json=pause).status_code == 200
    service.clock.advance(400 * DAY)
    assert service.sweep() == 0
    assert len(list(bucket.list_blobs(soft_deleted=True))) == 1
    service.api("PATCH", "/storage/v1/b/vault", json={"softDeletePolicy": {"hardDeletePause": {"enabled": False}}})
    assert service.sweep() == 1


def test_versions_are_made_noncurrent_even_when_retained(service):
    """A versioned bucket lets a retained object be replaced, and keeps what was replaced: leave versioning off."""
    bucket = make_bucket(service, versioning_enabled=True, retention_period=86_400)
    first = bucket.blob("copy")
    first.upload_from_string(b"first")
    bucket.blob("copy").upload_from_string(b"second")
    bucket.blob("copy").delete()
    assert bucket.get_blob("copy") is None
    versions = list(bucket.list_blobs(versions=True))
    assert len(versions) == 2
    assert all(version.time_deleted is not None for version in versions)
    assert bucket.blob("copy", generation=first.generation).download_as_bytes() == b"first"
    with pytest.raises(exceptions.Forbidden):
        bucket.blob("copy", generation=first.generation).delete()
    service.clock.advance(2 * DAY)
    bucket.blob("copy", generation=first.generation).delete()
    assert len(list(bucket.list_blobs(versions=True))) == 1


def test_noncurrent_versions_go_by_their_own_rules(service):
    """With newer versions on top of them, or so long after they were replaced."""
    bucket = make_bucket(service, versioning_enabled=True)
    bucket.add_lifecycle_delete_rule(number_of_newer_versions=2)
    bucket.patch()
    for content in (b"1", b"2", b"3", b"4"):
        bucket.blob("copy").upload_from_string(content)
    service.clock.advance(2 * DAY)
    assert service.sweep() == 2
    assert [version.download_as_bytes() for version in bucket.list_blobs(versions=True)] == [b"3", b"4"]


def test_bytes_shared_by_copies_go_with_the_last_one(service, tmp_path):
    """A rewrite shares the file of its source; deleting one leaves the other readable."""
    bucket = make_bucket(service)
    bucket.blob("one").upload_from_string(b"shared")
    bucket.blob("two").rewrite(bucket.blob("one"))
    assert files_of(tmp_path) == 1
    bucket.blob("one").delete()
    assert bucket.blob("two").download_as_bytes() == b"shared"
    bucket.blob("two").delete()
    assert files_of(tmp_path) == 0


def test_a_bucket_with_objects_cannot_be_deleted(service):
    """Not even with noncurrent ones; empty it can, and its name is free again."""
    bucket = make_bucket(service, versioning_enabled=True)
    bucket.blob("copy").upload_from_string(b"")
    bucket.blob("copy").delete()
    with pytest.raises(exceptions.Conflict):
        bucket.delete()
    with pytest.raises(exceptions.Conflict):
        make_bucket(service)
    next(iter(bucket.list_blobs(versions=True))).delete()
    bucket.delete()
    make_bucket(service)
