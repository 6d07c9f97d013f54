"""A bucket's name says which cloud is asked; and what a copy off Google's cloud needs of settings and packages."""

import sys
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from tenantctl.adapters.memory.vault import MemoryVault
from tenantctl.adapters.policy_files import load_backups, policies_folder
from tenantctl.adapters.routed_vault import RoutedVault
from tenantctl.backups.terms import bucket_faults
from tenantctl.bootstrap import CloudWorld
from tenantctl.bootstrap.off_cloud import ensure_off_cloud_buckets, off_cloud_client, off_cloud_vault
from tenantctl.config import Settings, load_settings
from tenantctl.model.backup import RetentionClass, bucket_name
from tenantctl.model.errors import Refused
from tenantctl.model.sighting import Present, Unreachable
from tests.contracts.s3_server import serving_s3
from tests.contracts.vaults import OFF_CLOUD_REGION, TERMS

POLICY = load_backups(policies_folder())
GOOGLES = bucket_name("acme", "europe-west1", RetentionClass.DAILY, 31)
AMAZONS = bucket_name("acme", OFF_CLOUD_REGION, RetentionClass.DAILY, 31)
NOWHERE = "http://127.0.0.1:9"  # discards, where anything listens at all
LOCAL = Settings("test", "registry", "tenantctl", "acme", "a@example.com", NOWHERE, NOWHERE)
PRODUCTION = Settings("test", "registry", "tenantctl", "acme")
ENVIRONMENT = {
    "TENANTCTL_PROJECT": "test",
    "TENANTCTL_REGISTRY_INSTANCE": "registry",
    "TENANTCTL_REGISTRY_DATABASE": "tenantctl",
    "TENANTCTL_BUCKET_PREFIX": "acme",
}


@pytest.fixture
def local() -> Iterator[Settings]:
    """The settings of a local cloud beside which something speaks like S3."""
    with serving_s3() as service:
        yield replace(LOCAL, s3_endpoint=service.url)


@pytest.fixture
def without_boto3(monkeypatch: pytest.MonkeyPatch) -> None:
    """As where the extra was not installed."""
    for name in [name for name in sys.modules if name.startswith("tenantctl.adapters.s3")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "boto3", None)


def memory(*buckets: str) -> MemoryVault:
    vault = MemoryVault(lambda: datetime(2026, 1, 1, tzinfo=UTC))
    for bucket in buckets:
        vault.make_bucket(bucket, TERMS)
    return vault


# Which cloud


def test_each_bucket_is_asked_where_it_lies() -> None:
    """Every method goes one way or the other, and the vault of a region is made once."""
    google, amazon, made = memory(GOOGLES), memory(AMAZONS), []

    def make(region: str) -> MemoryVault:
        made.append(region)
        return amazon

    vault = RoutedVault(google, make)
    for bucket, there, elsewhere in ((GOOGLES, google, amazon), (AMAZONS, amazon, google)):
        seen = vault.put(bucket, "put", b"1")
        with vault.upload(bucket, "streamed") as upload:
            upload.write(b"2")
            upload.seal()
        assert vault.look(bucket, "put") == Present(seen)
        assert b"".join(vault.read(bucket, "streamed")) == b"2"
        assert vault.names(bucket, "") == there.names(bucket, "") == Present(("put", "streamed"))
        assert isinstance(elsewhere.names(bucket, ""), Unreachable)
    assert made == [OFF_CLOUD_REGION]


def test_a_region_bears_its_cloud() -> None:
    """So that what a bucket says can be held against the policy's word and the copy's."""
    vault = RoutedVault(memory(GOOGLES), lambda _region: memory(AMAZONS))
    assert vault.look_at_bucket(GOOGLES) == Present(TERMS)
    assert vault.look_at_bucket(AMAZONS) == Present(replace(TERMS, region=f"aws:{TERMS.region}"))


def test_where_no_vault_can_be_had_nothing_is_gone() -> None:
    """A look is unreachable, a write is refused, and Google's copies are made all the same."""

    def make(region: str) -> MemoryVault:
        raise Refused(f"{region} cannot be had.")

    vault = RoutedVault(memory(GOOGLES), make)
    unreachable = Unreachable(f"{OFF_CLOUD_REGION} cannot be had.")
    assert vault.look_at_bucket(AMAZONS) == vault.look(AMAZONS, "o") == vault.names(AMAZONS, "") == unreachable
    with pytest.raises(Refused):
        vault.put(AMAZONS, "o", b"1")
    with pytest.raises(Refused), vault.upload(AMAZONS, "o"):
        pass
    with pytest.raises(Refused):
        vault.read(AMAZONS, "o")
    assert vault.put(GOOGLES, "o", b"1").size == 1


# What it needs


def test_a_copy_goes_to_something_that_speaks_like_s3_beside_a_local_cloud(local: Settings) -> None:
    """Its buckets are made as the policy says, and the world's vault finds them by their names."""
    made = ensure_off_cloud_buckets(local, "acme", [OFF_CLOUD_REGION], POLICY)
    assert AMAZONS in made
    assert len(made) == len(RetentionClass)
    assert ensure_off_cloud_buckets(local, "acme", [OFF_CLOUD_REGION], POLICY) == ()
    vault = CloudWorld(local).vault
    for retention_class, term in POLICY.classes.items():
        bucket = bucket_name("acme", OFF_CLOUD_REGION, retention_class, term.age_days)
        sighting = vault.look_at_bucket(bucket)
        assert isinstance(sighting, Present)
        assert not list(bucket_faults(sighting.value, OFF_CLOUD_REGION, term))
        assert vault.put(bucket, "t/b/manifest.json", b"{}").retained_until is not None


def test_who_only_looks_writes_nothing_there_either(local: Settings) -> None:
    ensure_off_cloud_buckets(local, "acme", [OFF_CLOUD_REGION], POLICY)
    vault = CloudWorld(local, looks_only=True).vault
    assert vault.names(AMAZONS, "") == Present(())
    with pytest.raises(Refused, match="only looks"):
        vault.put(AMAZONS, "o", b"1")


@pytest.mark.parametrize("endpoint", [None, "https://s3.example.com"])
def test_a_local_cloud_sends_nothing_off_this_machine(endpoint: str | None) -> None:
    with pytest.raises(Refused, match="A local cloud has no aws:eu-west-1"):
        off_cloud_client(replace(LOCAL, s3_endpoint=endpoint), OFF_CLOUD_REGION)


def test_a_local_cloud_sends_nobodys_credentials(local: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "somebodys")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    client: Any = off_cloud_client(local, OFF_CLOUD_REGION)
    assert client._request_signer._credentials.access_key == "local"


def test_production_uses_the_credentials_that_amazons_client_finds(monkeypatch: pytest.MonkeyPatch) -> None:
    """And takes nobody else's bucket for its own."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "ours")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    with pytest.raises(Refused, match="the account"):
        off_cloud_client(PRODUCTION, OFF_CLOUD_REGION)
    client: Any = off_cloud_client(replace(PRODUCTION, s3_owner="123456789012"), OFF_CLOUD_REGION)
    assert client._request_signer._credentials.access_key == "ours"
    assert client.meta.endpoint_url == "https://s3.eu-west-1.amazonaws.com"


@pytest.mark.usefixtures("without_boto3")
def test_without_amazons_client_the_extra_is_named() -> None:
    """A write is refused, a look sees nothing; and no copy in Google's cloud is any the worse."""
    settings = replace(LOCAL, s3_endpoint=NOWHERE)
    with pytest.raises(Refused, match="not installed") as caught:
        off_cloud_vault(settings, OFF_CLOUD_REGION, patience_seconds=0)
    assert caught.value.hint == "pip install tenantctl[s3]"
    assert isinstance(CloudWorld(settings).vault.look_at_bucket(AMAZONS), Unreachable)


def test_amazons_client_is_not_imported_where_no_bucket_is_off_googles_cloud() -> None:
    """In a process of its own, since this one has it."""
    import subprocess

    program = (
        "import sys; from tenantctl.bootstrap import CloudWorld; from tenantctl.config import Settings;"
        f"world = CloudWorld({LOCAL!r}); world.vault; world.jurisdictions;"
        "sys.exit('boto3' in sys.modules or 'botocore' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


def test_the_settings_of_s3_come_from_the_environment() -> None:
    settings = load_settings(ENVIRONMENT)
    assert (settings.s3_endpoint, settings.s3_owner) == (None, None)
    said = {"TENANTCTL_S3_ENDPOINT": "https://s3.example.com", "TENANTCTL_S3_OWNER": "123456789012"}
    settings = load_settings({**ENVIRONMENT, **said})
    assert (settings.s3_endpoint, settings.s3_owner) == ("https://s3.example.com", "123456789012")
    for name in said:
        with pytest.raises(Refused, match=f"{name} .*is blank"):
            load_settings({**ENVIRONMENT, name: ""})


def test_a_local_cloud_is_told_of_its_s3_by_the_environment(tmp_path: Path) -> None:
    replace(LOCAL, identities=("a@example.com",)).write(tmp_path)
    folder = {"TENANTCTL_LOCAL_DIR": str(tmp_path)}
    assert load_settings(folder).s3_endpoint is None
    assert load_settings({**folder, "TENANTCTL_S3_ENDPOINT": NOWHERE}).s3_endpoint == NOWHERE


def test_regions_off_googles_cloud_lie_under_a_law() -> None:
    """Copies stay under the law that their tenant's data is kept under, and are verified under it."""
    world = CloudWorld(LOCAL)
    assert world.jurisdictions["aws:eu-central-1"] == world.jurisdictions["europe-west1"] == "EU"
    assert world.jurisdictions["aws:eu-west-2"] == world.jurisdictions["europe-west2"] == "UK"
    assert world.jurisdictions["aws:us-east-2"] == world.jurisdictions["us-south1"] == "US"
