"""Where ports meet adapters, and nowhere else: settings in, a world out.

The clients are heavy to import, so each is imported where it is first needed:
a command that asks the policies alone never loads one.
"""

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from functools import cached_property, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from tenantctl.config import Settings, load_settings
from tenantctl.model.errors import Refused
from tenantctl.model.policy import Policies
from tenantctl.model.region import RegionCatalogue
from tenantctl.model.tenant import Instance, InstanceRole

if TYPE_CHECKING:
    from google.auth.credentials import Credentials
    from sqlalchemy import Engine

    from tenantctl.adapters.google.sessions import Sessions
    from tenantctl.ports.databases import Databases, Scratch
    from tenantctl.ports.instances import Instances
    from tenantctl.ports.registry import Registry
    from tenantctl.ports.vault import Vault

DATABASE_VERSION: Final = "POSTGRES_18"
TENANTS_ROLE: Final = "cloudsqlsuperuser"  # what our logins act as on the tenants' instances; no superuser
REGISTRY_INSTANCE: Final = "registry"
REGISTRY_REGION: Final = "us-central1"
REGISTRY_DATABASE: Final = "tenantctl"
LOCAL_REGIONS: Final = ("us-south1", "us-central1", "europe-west1", "europe-west4")
LOCAL_IDENTITIES: Final = ("alice@example.com", "bob@example.com", "carol@example.com")
LOCAL_MIGRATOR: Final = "migrator@example.com"
LOCAL_DATABASES_MAX: Final = 50
PATIENCE_SECONDS: Final = 20.0  # at a shell somebody waits; a worker's next sweep is the longer patience


def catalogue() -> RegionCatalogue:
    """All public regions."""
    from tenantctl.placement.catalogue import region_catalogue

    return region_catalogue()


@lru_cache
def policies(folder: Path | None = None) -> Policies:
    """The policies of `folder`, or of the one in use.

    Raises:
        PolicyFault: a file says something that cannot be.
    """
    from tenantctl.adapters.policy_files import load_policies, policies_folder

    return load_policies(folder or policies_folder(), catalogue().regions)


class CloudWorld:
    """The world of one project: each port is made, and its client imported, when it is first used."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings

    @cached_property
    def policies(self) -> Policies:
        """The promises."""
        return policies()

    @property
    def bucket_prefix(self) -> str:
        """How each bucket's name begins."""
        return self.settings.bucket_prefix

    @cached_property
    def jurisdictions(self) -> Mapping[str, str]:
        """Region → jurisdiction."""
        return {region.id: region.jurisdiction for region in catalogue().regions}

    @cached_property
    def registry(self) -> "Registry":
        """The registry, through the connector."""
        from tenantctl.adapters.postgres.registry import PostgresRegistry
        from tenantctl.adapters.postgres.registry_engine import clock_offset

        engine = self.registry_engine()
        if not self.settings.local and clock_offset(engine) is not None:
            raise Refused(
                "The registry's clock is set apart from the real one (tenantctl.clock_offset).",
                hint="That is for local clouds alone: remove the setting from the registry's instance.",
            )
        return PostgresRegistry(engine)

    @cached_property
    def databases(self) -> "Databases":
        """The tenants' databases, through the connector."""
        from tenantctl.adapters.postgres.databases import PostgresDatabases

        return PostgresDatabases(self.sessions)

    @cached_property
    def scratch(self) -> "Scratch":
        """The databases that verification restores into."""
        from tenantctl.adapters.postgres.scratch import PostgresScratch

        return PostgresScratch(self.sessions)

    @cached_property
    def vault(self) -> "Vault":
        """The copies, with patience."""
        from tenantctl.adapters.google.vault import GoogleVault
        from tenantctl.adapters.retry import Patience, RetryingVault

        return RetryingVault(GoogleVault(self.storage_client), Patience(seconds=PATIENCE_SECONDS))

    @cached_property
    def instances(self) -> "Instances":
        """The Admin API, with patience."""
        from tenantctl.adapters.google.instances import GoogleInstances
        from tenantctl.adapters.retry import Patience, RetryingInstances

        adapter = GoogleInstances(
            self.settings.project,
            self.credentials,
            database_version=DATABASE_VERSION,
            endpoint=self.settings.sqladmin_endpoint,
        )
        return RetryingInstances(adapter, Patience(seconds=PATIENCE_SECONDS))

    @cached_property
    def credentials(self) -> "Credentials":
        """Who we are."""
        from tenantctl.adapters.google.credentials import local_credentials, production_credentials

        if not self.settings.local:
            return production_credentials()
        assert self.settings.login is not None, "the settings of a local cloud choose one"
        return local_credentials(self.settings.login)

    @cached_property
    def sessions(self) -> "Sessions":
        """Sessions on any instance."""
        from tenantctl.adapters.google.sessions import Sessions

        settings = self.settings
        return Sessions(settings.project, settings.sqladmin_endpoint, self.credentials, settings.login)

    @cached_property
    def storage_client(self) -> Any:
        """Google's storage client."""
        from tenantctl.adapters.google.vault import storage_client

        return storage_client(self.settings.project, self.credentials, self.settings.storage_endpoint)

    def registry_engine(self) -> "Engine":
        """An engine on the registry."""
        from tenantctl.adapters.postgres.registry_engine import registry_engine

        settings = self.settings
        return registry_engine(
            lambda: self.sessions.connect(settings.registry_instance, settings.registry_database, autocommit=False)
        )

    def close(self) -> None:
        """Lets go of whatever was opened."""
        if "registry" in self.__dict__:
            self.registry.close()
        if "sessions" in self.__dict__:
            self.sessions.close()


@contextmanager
def opened_world() -> Iterator[CloudWorld]:
    """The world that this process is configured for, closed at the end of the block.

    Raises:
        Refused: none is configured, or its settings or policies are wrong.
    """
    with closing(CloudWorld(load_settings())) as world:
        yield world


def add_instance(world: CloudWorld, instance: Instance) -> None:
    """Takes an instance into service, and makes it first where it does not exist.

    On a local cloud our logins and the region's buckets are made too; in
    production Terraform has made both.

    Raises:
        Refused: it exists in another region, or is known with another role.
        Transient: the API did not come to its end in time; run it again.
    """
    from tenantctl.adapters.google.estate import ensure_buckets, ensure_instance, ensure_login
    from tenantctl.backups.terms import copy_regions

    ensure_instance(world.instances, instance.name, instance.region)
    for identity in world.settings.identities:
        ensure_login(world.instances, instance.name, identity, roles=(TENANTS_ROLE,))
    if world.settings.local and instance.role is InstanceRole.TENANTS:
        policy = world.policies
        regions = copy_regions(policy.regions.regions, instance.region)[: policy.backups.copies_min]
        ensure_buckets(world.storage_client, world.bucket_prefix, regions, policy.backups)
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
    with closing(CloudWorld(settings)) as world:
        _unknown_regions(world, regions)
        instances = [*_local_tenants(regions), *_local_verifiers(world, regions)]
        with ThreadPoolExecutor(max_workers=4) as pool:
            registry = pool.submit(_provision_registry, settings)
            from tenantctl.adapters.google.estate import ensure_instance

            made = [pool.submit(ensure_instance, world.instances, one.name, one.region) for one in instances]
            for future in (registry, *made):
                future.result()
            for future in [pool.submit(add_instance, world, instance) for instance in instances]:
                future.result()
    settings.write(Path(found["directory"]))


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
    from dataclasses import replace

    from tenantctl.adapters.google.estate import ensure_instance, ensure_login
    from tenantctl.adapters.postgres import migrations

    with closing(CloudWorld(replace(settings, login=LOCAL_MIGRATOR))) as world:
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
