"""The world as the rooms see it: the ports together, and the policies that rule them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from tenantctl.model.policy import Policies
from tenantctl.ports.billing import Subscriptions
from tenantctl.ports.databases import Databases, Scratch
from tenantctl.ports.decisions import Decisions
from tenantctl.ports.instances import Instances
from tenantctl.ports.keys import Keys, KeyStore
from tenantctl.ports.registry import Registry
from tenantctl.ports.replication import Replication
from tenantctl.ports.vault import Vault


class World(Protocol):
    """All that effects may touch.

    `bucket_prefix` begins the name of each bucket; `jurisdictions` says under
    whose law each region lies. Whoever makes a world may make its ports only
    when they are first used.
    """

    @property
    def registry(self) -> Registry:
        """The tenants, and who works on which."""

    @property
    def decisions(self) -> Decisions:
        """What people decided: freezes, holds, approvals."""

    @property
    def subscriptions(self) -> Subscriptions:
        """Whether somebody still pays for a tenant."""

    @property
    def databases(self) -> Databases:
        """The tenants' databases."""

    @property
    def replication(self) -> Replication:
        """What carries a tenant's database into another instance."""

    @property
    def scratch(self) -> Scratch:
        """The databases that verification restores into."""

    @property
    def vault(self) -> Vault:
        """The copies."""

    @property
    def keys(self) -> Keys:
        """What wraps the keys of backups, in each region."""

    @property
    def key_store(self) -> KeyStore:
        """What keeps the wrapped keys, in each region."""

    @property
    def instances(self) -> Instances:
        """The instances as their API shows them."""

    @property
    def policies(self) -> Policies:
        """The promises."""

    @property
    def bucket_prefix(self) -> str:
        """How each bucket's name begins."""

    @property
    def jurisdictions(self) -> Mapping[str, str]:
        """Region → jurisdiction."""


@dataclass(frozen=True)
class AssembledWorld:
    """A world of ports that exist already, as simulations and tests put it together."""

    registry: Registry
    decisions: Decisions
    subscriptions: Subscriptions
    databases: Databases
    replication: Replication
    scratch: Scratch
    vault: Vault
    keys: Keys
    key_store: KeyStore
    instances: Instances
    policies: Policies
    bucket_prefix: str
    jurisdictions: Mapping[str, str]
