"""Ports that only look: what `plan` and `explain` are given, so that no mistake in them can change anything.

What may be called is listed; everything else is refused, a method that a port gains later included.
"""

from collections.abc import Collection
from typing import Any, Final, NoReturn, TypeVar, cast

from tenantctl.model.errors import Refused
from tenantctl.ports.billing import Billing
from tenantctl.ports.databases import Databases, Scratch
from tenantctl.ports.decisions import Decisions
from tenantctl.ports.imports import Imports
from tenantctl.ports.instances import Instances
from tenantctl.ports.keys import Keys, KeyStore
from tenantctl.ports.registry import Registry
from tenantctl.ports.replication import Replication
from tenantctl.ports.vault import Vault

Port = TypeVar("Port")

VAULT_LOOKS: Final = ("look_at_bucket", "look", "names", "objects", "read")
DATABASES_LOOKS: Final = (
    "look",
    "census",
    "look_at_roles",
    "look_at_logins",
    "look_prepared",
    "look_empty",
    "inspect_foreign",
    "look_adopted",
    "forced_row_security",
)
IMPORTS_LOOKS: Final = ("read",)
REPLICATION_LOOKS: Final = ("look", "inspect", "readiness", "schema_digest")
SCRATCH_LOOKS: Final = ("names", "digests", "read_through")
KEYS_LOOKS: Final = ("look",)
KEY_STORE_LOOKS: Final = ("look_at_bucket", "look", "names")
INSTANCES_LOOKS: Final = ("look", "all", "operation")
REGISTRY_LOOKS: Final = (
    *("now", "actor", "close", "find", "tenant", "tenants", "owner_of", "lease_of", "explanation", "intents"),
    *("backups", "residues", "open_residues", "moves", "alarms", "entries", "head", "chains", "instances", "waiting"),
    *("identity", "heads", "link_hashes", "newest_anchor", "last_anchor_number", "anchors_since", "anchored_head"),
    *("newest_reconciliation", "hosted", "ledger_buckets", "ledger", "ledger_line", "audits", "findings"),
    *("work_items", "work_item"),
)


DECISIONS_LOOKS: Final = (
    *("standing", "freezes", "holds", "proposal", "proposals", "batch", "cap_count", "notices", "undelivered"),
)


BILLING_LOOKS: Final = ("heads", "look", "dead_letters", "dead_letter", "unpublished")


def read_only(port: Port, looks: Collection[str]) -> Port:
    """The same port, with every method refused that is not among `looks`.

    Raises:
        AttributeError: the port has no method of one of these names.
    """
    for name in looks:
        getattr(port, name)
    return cast("Port", _ReadOnly(port, frozenset(looks)))


def read_only_vault(vault: Vault) -> Vault:
    """A vault that writes nothing."""
    return read_only(vault, VAULT_LOOKS)


def read_only_databases(databases: Databases) -> Databases:
    """Databases that nothing is changed in, and nothing dumped from: a dump loads the customer's server."""
    return read_only(databases, DATABASES_LOOKS)


def read_only_imports(imports: Imports) -> Imports:
    """Dumps that are read, and brought in nowhere."""
    return read_only(imports, IMPORTS_LOOKS)


def read_only_replication(replication: Replication) -> Replication:
    """A replication of which nothing is begun and nothing taken away."""
    return read_only(replication, REPLICATION_LOOKS)


def read_only_scratch(scratch: Scratch) -> Scratch:
    """Scratch databases that are neither made nor dropped."""
    return read_only(scratch, SCRATCH_LOOKS)


def read_only_keys(keys: Keys) -> Keys:
    """Keys that wrap nothing and unwrap nothing: who only looks needs no backup's key in the clear."""
    return read_only(keys, KEYS_LOOKS)


def read_only_key_store(store: KeyStore) -> KeyStore:
    """A key store that keeps and removes nothing, and hands out no key."""
    return read_only(store, KEY_STORE_LOOKS)


def read_only_instances(instances: Instances) -> Instances:
    """Instances of which none is made, and no login."""
    return read_only(instances, INSTANCES_LOOKS)


def read_only_registry(registry: Registry) -> Registry:
    """A registry that takes no request, and gives no lease."""
    return read_only(registry, REGISTRY_LOOKS)


def read_only_decisions(decisions: Decisions) -> Decisions:
    """Decisions that nobody makes, and nobody is asked for."""
    return read_only(decisions, DECISIONS_LOOKS)


def read_only_billing(billing: Billing) -> Billing:
    """Billing that takes no event, settles nothing and publishes nothing."""
    return read_only(billing, BILLING_LOOKS)


class _ReadOnly:
    def __init__(self, port: Any, looks: frozenset[str]) -> None:
        self._port, self._looks = port, looks

    def __getattr__(self, name: str) -> Any:
        attribute = getattr(self._port, name)
        if name in self._looks:
            return attribute

        def refuse(*_arguments: Any, **_options: Any) -> NoReturn:
            raise Refused(f"This command only looks, and {name} would do more.", hint="To act, use: tenantctl run")

        return refuse
