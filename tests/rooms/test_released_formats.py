"""A backup of every released format is still read: the files beside this test were written once and never change."""

import hashlib
from pathlib import Path

import pytest

from tenantctl.backups.age import Identity
from tenantctl.backups.manifest import Manifest
from tenantctl.backups.stream import opened
from tenantctl.model.errors import Refused

FIXTURES = Path(__file__).parent / "fixtures"
ARCHIVE = b"PGDMP" + b"".join(b"row %d of a sample archive\n" % number for number in range(200))
STORED = {1: "dump.zst", 2: "dump.zst.age"}


def released(number: int) -> tuple[Manifest, bytes, Identity | None]:
    """The manifest, the stored object and the key, if there is one, of a format."""
    folder = FIXTURES / f"format-{number}"
    key = folder / "key.txt"
    identity = Identity.parse(key.read_text()) if key.exists() else None
    return (
        Manifest.from_bytes((folder / "manifest.json").read_bytes()),
        (folder / STORED[number]).read_bytes(),
        identity,
    )


@pytest.mark.parametrize("number", sorted(STORED))
def test_a_released_backup_is_still_read(number: int) -> None:
    manifest, stored, identity = released(number)
    assert b"".join(opened([stored], identity)) == ARCHIVE
    assert (manifest.size, manifest.raw_size) == (len(stored), len(ARCHIVE))
    assert manifest.sha256 == hashlib.sha256(stored).hexdigest()
    assert manifest.recipient == (identity.recipient if identity else None)
    assert {name: digest.rows for name, digest in manifest.tables.items()} == {"public.orders": 200}


@pytest.mark.parametrize("number", sorted(STORED))
def test_a_released_backup_cut_short_is_refused(number: int) -> None:
    _, stored, identity = released(number)
    with pytest.raises(Refused):
        list(opened([stored[:-1]], identity))


def test_a_sealed_backup_does_not_open_for_another_key() -> None:
    _, stored, _ = released(2)
    with pytest.raises(Refused, match="another key"):
        list(opened([stored], Identity.generate()))
