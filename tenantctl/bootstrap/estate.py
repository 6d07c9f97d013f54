"""What a project must have before the program can work in it, made through the same APIs that it works with.

In production Terraform makes all of it, but for taking an instance into
service; a local cloud gets it from here when it comes up.
"""

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from tenantctl.adapters.google.estate import (
    ensure_anchor_buckets,
    ensure_buckets,
    ensure_export_bucket,
    ensure_instance,
    ensure_key_buckets,
    ensure_kms_keys,
    ensure_login,
)
from tenantctl.adapters.google.signer import ensure_signing_key
from tenantctl.adapters.postgres import migrations
from tenantctl.backups.terms import off_cloud_copy, regions_with_copies
from tenantctl.bootstrap import CloudWorld
from tenantctl.bootstrap.administration import LOCAL_MIGRATOR
from tenantctl.bootstrap.off_cloud import ensure_off_cloud_buckets
from tenantctl.config import Settings
from tenantctl.custody.certificate_signature import public_pem
from tenantctl.local_folder import PUBLIC_KEY_NAME
from tenantctl.model.errors import Refused
from tenantctl.model.tenant import Instance, InstanceRole

TENANTS_ROLE: Final = "cloudsqlsuperuser"  # what our logins act as on the tenants' instances; no superuser
REGISTRY_INSTANCE: Final = "registry"
REGISTRY_REGION: Final = "us-central1"
REGISTRY_DATABASE: Final = "tenantctl"
LOCAL_REGIONS: Final = ("us-south1", "us-central1", "europe-west1", "europe-west4")
LOCAL_IDENTITIES: Final = ("alice@example.com", "bob@example.com", "carol@example.com")
LOCAL_DATABASES_MAX: Final = 50


def add_instance(world: CloudWorld, instance: Instance) -> None:
    """Takes an instance into service, and makes it first where it does not exist.

    On a local cloud our logins and the region's buckets are made too; in
    production Terraform has made both.

    Raises:
        Refused: it exists in another region, or is known with another role.
        Transient: the API did not come to its end in time; run it again.
    """
    ensure_instance(world.instances, instance.name, instance.region)
    for identity in world.settings.identities:
        ensure_login(world.instances, instance.name, identity, roles=(TENANTS_ROLE,))
    if world.settings.local and instance.role is InstanceRole.TENANTS:
        policy = world.policies
        words, laws = policy.regions.regions, world.jurisdictions
        regions = regions_with_copies(words, instance.region, laws, copies_min=policy.backups.copies_min)
        ensure_buckets(world.storage_client, world.bucket_prefix, regions, policy.backups)
        if (further := off_cloud_copy(policy.backups, world.jurisdictions, instance.region)) is not None:
            ensure_off_cloud_buckets(world.settings, world.bucket_prefix, (further,), policy.backups)
        ensure_key_buckets(world.storage_client, world.bucket_prefix, regions)
        age_days = policy.lifecycle.exports.age_days
        ensure_export_bucket(world.storage_client, world.bucket_prefix, instance.region, age_days)
        ensure_kms_keys(world.kms_client, world.settings.project, regions, now=world.registry.now())
    world.registry.add_instance(instance)


def provision_local(found: Mapping[str, Any], regions: Sequence[str]) -> None:
    """Sets a bare local cloud up as Terraform sets up a project, through the same APIs; may be run again.

    Args:
        found: the local cloud's status.
        regions: the regions to have; none means those of `LOCAL_REGIONS` on a new cloud, and no further ones later.
    """
    settings = _local_settings(found)
    known = {instance["name"] for instance in found["instances"]}
    if not regions and settings.registry_instance not in known:
        regions = LOCAL_REGIONS
    with closing(CloudWorld(settings, paced=False)) as world:
        _unknown_regions(world, regions)
        instances = [*_local_tenants(regions), *_local_verifiers(world, regions)]
        with ThreadPoolExecutor(max_workers=4) as pool:
            registry = pool.submit(_provision_registry, settings)
            made = [pool.submit(ensure_instance, world.instances, one.name, one.region) for one in instances]
            ensure_anchor_buckets(world.storage_client, world.bucket_prefix, world.policies.anchors)
            registry.result()
            wait(made)
            for future in [pool.submit(add_instance, world, instance) for instance in instances]:
                future.result()
        key = ensure_signing_key(world.kms_client, settings.project)
    folder = Path(found["directory"])
    (folder / PUBLIC_KEY_NAME).write_text(public_pem(key))
    settings.write(folder)


def _local_settings(found: Mapping[str, Any]) -> Settings:
    project = found["project"]
    return Settings(
        project=project,
        registry_instance=REGISTRY_INSTANCE,
        registry_database=REGISTRY_DATABASE,
        bucket_prefix=project,
        login=LOCAL_IDENTITIES[0],
        storage_endpoint=found["endpoints"]["storage"],
        sqladmin_endpoint=found["endpoints"]["sqladmin"],
        kms_endpoint=found["endpoints"]["kms"],
        identities=LOCAL_IDENTITIES,
    )


def _unknown_regions(world: CloudWorld, regions: Sequence[str]) -> None:
    words = world.policies.regions.regions
    for region in regions:
        if region not in words or words[region].state == "closed":
            reason = words[region].why if region in words else "the policy does not name it"
            raise Refused(
                f"Region {region} is closed: {reason or 'by the operator'}.", hint="See: tenantctl region list"
            )


def _local_tenants(regions: Sequence[str]) -> list[Instance]:
    return [Instance(f"tenants-{region}-1", region, InstanceRole.TENANTS, LOCAL_DATABASES_MAX) for region in regions]


def _local_verifiers(world: CloudWorld, regions: Sequence[str]) -> list[Instance]:
    """One instance for verifications in each jurisdiction, in the first of its regions that was asked for."""
    first: dict[str, str] = {}
    for region in regions:
        first.setdefault(world.jurisdictions[region], region)
    return [
        Instance(f"verify-{region}-1", region, InstanceRole.VERIFY, LOCAL_DATABASES_MAX) for region in first.values()
    ]


def _provision_registry(settings: Settings) -> None:
    """The registry's instance, its database and schema as the migrator, and everybody's right to work with it."""
    with closing(CloudWorld(replace(settings, login=LOCAL_MIGRATOR), paced=False)) as world:
        ensure_instance(world.instances, settings.registry_instance, REGISTRY_REGION)
        ensure_login(world.instances, settings.registry_instance, LOCAL_MIGRATOR, roles=(TENANTS_ROLE,))
        for identity in settings.identities:
            ensure_login(world.instances, settings.registry_instance, identity, roles=())
        with closing(world.sessions.connect(settings.registry_instance, "postgres")) as session:
            known = session.execute("SELECT 1 FROM pg_database WHERE datname = %s", [settings.registry_database])
            if known.fetchone() is None:
                session.execute(f"SET ROLE {TENANTS_ROLE}".encode())
                session.execute(f'CREATE DATABASE "{settings.registry_database}"'.encode())
        engine = world.registry_engine()
        migrations.upgrade(engine)
        for identity in settings.identities:
            migrations.grant_app(engine, identity.removesuffix(".gserviceaccount.com"))
        engine.dispose()
