"""The world as the rooms see it: the ports together, and the policies that rule them."""

from collections.abc import Mapping
from dataclasses import dataclass

from tenantctl.model.policy import Policies
from tenantctl.ports.databases import Databases, Scratch
from tenantctl.ports.instances import Instances
from tenantctl.ports.registry import Registry
from tenantctl.ports.vault import Vault


@dataclass(frozen=True)
class World:
    """All that effects may touch.

    `bucket_prefix` begins the name of each bucket; `jurisdictions` says under
    whose law each region lies.
    """

    registry: Registry
    databases: Databases
    scratch: Scratch
    vault: Vault
    instances: Instances
    policies: Policies
    bucket_prefix: str
    jurisdictions: Mapping[str, str]
