"""Where ports meet adapters, and nowhere else: settings in, a world out.

The clients are heavy to import, so each is imported where it is first needed:
a command that asks the policies alone never loads one.
"""

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from functools import cached_property, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from tenantctl.config import Settings, load_settings
from tenantctl.model.errors import Refused
from tenantctl.model.policy import Policies
from tenantctl.model.region import RegionCatalogue, RegionsPolicy

if TYPE_CHECKING:
    from google.auth.credentials import Credentials
    from google.cloud.kms_v1 import KeyManagementServiceClient
    from sqlalchemy import Engine

    from tenantctl.adapters.google.sessions import Sessions
    from tenantctl.adapters.google.topic import GoogleTopic
    from tenantctl.ports.billing import Billing, Subscriptions
    from tenantctl.ports.databases import Databases, Scratch
    from tenantctl.ports.decisions import Decisions
    from tenantctl.ports.imports import Imports
    from tenantctl.ports.instances import Instances
    from tenantctl.ports.keys import Keys, KeyStore
    from tenantctl.ports.links import Links
    from tenantctl.ports.registry import Registry
    from tenantctl.ports.replication import Replication
    from tenantctl.ports.signer import Signer
    from tenantctl.ports.vault import Vault

DATABASE_VERSION: Final = "POSTGRES_18"
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


def jurisdictions(regions: RegionsPolicy) -> Mapping[str, str]:
    """Region → jurisdiction; those off Google's cloud too, by the countries that they lie in."""
    from tenantctl.model.off_cloud import REGIONS, country_of

    return {
        **{region.id: region.jurisdiction for region in catalogue().regions},
        **{region: regions.residency.jurisdiction_of(country_of(region)) for region in REGIONS},
    }


class CloudWorld:
    """The world of one project: each port is made, and its client imported, when it is first used.

    With `looks_only`, whatever would change something is refused. Where it is not `paced`, the Admin API is asked
    without regard to others: whoever makes a cloud has no registry yet.
    """

    def __init__(self, settings: Settings, *, looks_only: bool = False, paced: bool = True) -> None:
        self.settings = settings
        self.looks_only = looks_only
        self.paced = paced and not looks_only
        self._opened = ExitStack()

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
        """Region → jurisdiction; those off Google's cloud too, by the countries that they lie in."""
        return jurisdictions(self.policies.regions)

    @cached_property
    def registry(self) -> "Registry":
        """The registry, through the connector."""
        from tenantctl.adapters.postgres.registry import PostgresRegistry
        from tenantctl.adapters.read_only import read_only_registry

        adapter = PostgresRegistry(self._checked_engine)
        return read_only_registry(adapter) if self.looks_only else adapter

    @cached_property
    def decisions(self) -> "Decisions":
        """What people decided, through the registry's own connections."""
        from tenantctl.adapters.postgres.decisions import PostgresDecisions
        from tenantctl.adapters.read_only import read_only_decisions

        adapter = PostgresDecisions(self._checked_engine)
        return read_only_decisions(adapter) if self.looks_only else adapter

    @cached_property
    def billing(self) -> "Billing":
        """What billing said, and what it is told, through the registry's own connections."""
        from tenantctl.adapters.postgres.billing import PostgresBilling
        from tenantctl.adapters.read_only import read_only_billing

        adapter = PostgresBilling(self._checked_engine)
        return read_only_billing(adapter) if self.looks_only else adapter

    @cached_property
    def subscriptions(self) -> "Subscriptions":
        """Billing itself where it can be asked, else what it said last."""
        if self.settings.billing_url is None:
            return self.billing
        from tenantctl.adapters.google.asked_subscriptions import AskedSubscriptions, id_token

        return AskedSubscriptions(self.settings.billing_url, self.billing, None if self.settings.local else id_token)

    @cached_property
    def topic(self) -> "GoogleTopic":
        """Where changes of state are published to.

        Raises:
            Refused: no topic is configured.
        """
        from tenantctl.adapters.google.topic import GoogleTopic

        if self.settings.outbound_topic is None:
            raise Refused(
                "No topic is configured.", hint="TENANTCTL_OUTBOUND_TOPIC=projects/PROJECT/topics/TOPIC names it."
            )
        return GoogleTopic(self.settings.outbound_topic, lambda: self.credentials)

    @cached_property
    def _checked_engine(self) -> "Engine":
        """The one engine on the registry, of a schema that we know; its clock is the real one unless it is local."""
        from tenantctl.adapters.postgres.registry_engine import clock_offset
        from tenantctl.adapters.postgres.registry_schema import refuse_unknown_schema

        engine = self.registry_engine()
        self._opened.callback(engine.dispose)
        refuse_unknown_schema(engine)
        if not self.settings.local and clock_offset(engine) is not None:
            raise Refused(
                "The registry's clock is set apart from the real one (tenantctl.clock_offset).",
                hint="That is for local clouds alone: remove the setting from the registry's instance.",
            )
        return engine

    @cached_property
    def databases(self) -> "Databases":
        """The tenants' databases, through the connector."""
        from tenantctl.adapters.postgres.databases import PostgresDatabases
        from tenantctl.adapters.read_only import read_only_databases

        adapter = PostgresDatabases(self.sessions)
        self._opened.callback(adapter.close)
        return read_only_databases(adapter) if self.looks_only else adapter

    @cached_property
    def imports(self) -> "Imports":
        """The way in for dumps from elsewhere."""
        from tenantctl.adapters.postgres.imports import PostgresImports
        from tenantctl.adapters.read_only import read_only_imports

        adapter = PostgresImports(self.sessions)
        self._opened.callback(adapter.close)
        return read_only_imports(adapter) if self.looks_only else adapter

    @cached_property
    def replication(self) -> "Replication":
        """What carries a tenant's database into another instance, through the connector."""
        from tenantctl.adapters.postgres.replication import PostgresReplication
        from tenantctl.adapters.read_only import read_only_replication

        adapter = PostgresReplication(self.sessions)
        self._opened.callback(adapter.close)
        return read_only_replication(adapter) if self.looks_only else adapter

    @cached_property
    def scratch(self) -> "Scratch":
        """The databases that verification restores into."""
        from tenantctl.adapters.postgres.scratch import PostgresScratch
        from tenantctl.adapters.read_only import read_only_scratch

        adapter = PostgresScratch(self.sessions)
        self._opened.callback(adapter.close)
        return read_only_scratch(adapter) if self.looks_only else adapter

    @cached_property
    def vault(self) -> "Vault":
        """The copies, with patience; Amazon's client is imported for a bucket off Google's cloud alone."""
        from tenantctl.adapters.google.vault import GoogleVault
        from tenantctl.adapters.read_only import read_only_vault
        from tenantctl.adapters.retry import Patience, RetryingVault
        from tenantctl.adapters.routed_vault import RoutedVault
        from tenantctl.bootstrap.off_cloud import off_cloud_vault

        adapter = RoutedVault(
            RetryingVault(GoogleVault(self.storage_client), Patience(seconds=PATIENCE_SECONDS)),
            lambda region: off_cloud_vault(self.settings, region, patience_seconds=PATIENCE_SECONDS),
        )
        return read_only_vault(adapter) if self.looks_only else adapter

    @cached_property
    def links(self) -> "Links":
        """What signs links to exports."""
        from tenantctl.adapters.google.links import GoogleLinks

        return GoogleLinks(self.storage_client, self.credentials, local=self.settings.local)

    @cached_property
    def keys(self) -> "Keys":
        """What wraps the keys of backups, with patience."""
        from tenantctl.adapters.google.keys import GoogleKeys
        from tenantctl.adapters.read_only import read_only_keys
        from tenantctl.adapters.retry import Patience, RetryingKeys

        adapter = RetryingKeys(GoogleKeys(self.kms_client, self.settings.project), Patience(seconds=PATIENCE_SECONDS))
        return read_only_keys(adapter) if self.looks_only else adapter

    @cached_property
    def key_store(self) -> "KeyStore":
        """What keeps the wrapped keys, with patience."""
        from tenantctl.adapters.google.key_store import GoogleKeyStore
        from tenantctl.adapters.read_only import read_only_key_store
        from tenantctl.adapters.retry import Patience, RetryingKeyStore

        adapter = RetryingKeyStore(
            GoogleKeyStore(self.storage_client, self.bucket_prefix), Patience(seconds=PATIENCE_SECONDS)
        )
        return read_only_key_store(adapter) if self.looks_only else adapter

    @cached_property
    def signer(self) -> "Signer":
        """What signs certificates."""
        from tenantctl.adapters.google.signer import GoogleSigner, signing_key_name

        return GoogleSigner(self.kms_client, signing_key_name(self.settings.project))

    @cached_property
    def kms_client(self) -> "KeyManagementServiceClient":
        """Google's KMS client."""
        from tenantctl.adapters.google.keys import kms_client

        return kms_client(self.credentials, self.settings.kms_endpoint)

    @cached_property
    def instances(self) -> "Instances":
        """The Admin API, with patience."""
        from tenantctl.adapters.google.instances import GoogleInstances
        from tenantctl.adapters.quota import SharedQuota
        from tenantctl.adapters.read_only import read_only_instances
        from tenantctl.adapters.retry import Patience, RetryingInstances

        rate = self.policies.lifecycle.work.admin_requests_per_minute
        quota = SharedQuota(lambda: self.registry, f"sqladmin/{self.settings.project}", per_minute=rate)
        adapter = GoogleInstances(
            self.settings.project,
            self.credentials,
            database_version=DATABASE_VERSION,
            endpoint=self.settings.sqladmin_endpoint,
            admit=quota if self.paced else lambda: None,
        )
        patient = RetryingInstances(adapter, Patience(seconds=PATIENCE_SECONDS))
        return read_only_instances(patient) if self.looks_only else patient

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
        sessions = Sessions(settings.project, settings.sqladmin_endpoint, self.credentials, settings.login)
        self._opened.callback(sessions.close)
        return sessions

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
        """Lets go of whatever was opened, the last first."""
        self._opened.close()


@contextmanager
def opened_world(*, looks_only: bool = False) -> Iterator[CloudWorld]:
    """The world that this process is configured for, closed at the end of the block.

    Commands that only show something open it with `looks_only`.

    Raises:
        Refused: none is configured, or its settings or policies are wrong.
    """
    with closing(CloudWorld(load_settings(), looks_only=looks_only)) as world:
        yield world
