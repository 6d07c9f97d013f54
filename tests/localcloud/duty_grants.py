"""The service accounts of production on a local cloud: their logins, and the table of what each may do there."""

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from dataclasses import replace
from typing import Any

from tenantctl.adapters.google.estate import ensure_login
from tenantctl.adapters.google.key_store import key_bucket_name
from tenantctl.adapters.google.keys import key_name
from tenantctl.adapters.google.signer import signing_key_name
from tenantctl.adapters.postgres import migrations
from tenantctl.backups.exports import export_bucket_name
from tenantctl.bootstrap import CloudWorld
from tenantctl.bootstrap.administration import LOCAL_MIGRATOR
from tenantctl.bootstrap.estate import TENANTS_ROLE
from tenantctl.config import Settings, load_settings
from tenantctl.model.anchor import anchor_bucket_name
from tenantctl.model.backup import bucket_name
from tenantctl.model.plan import Duty
from tests.infrastructure.duties import table
from tests.localcloud.company import Company

EVERYTHING = {"permissions": ["*"], "resources": ["*"]}
OPERATOR, HANDS_ON = "bob@example.com", "alice@example.com"
EXPORT = "export"


def settings_of(company: Company) -> Settings:
    """The settings of a company, as its owner's."""
    return load_settings({"TENANTCTL_LOCAL_DIR": str(company.folder)})


def resources_at(settings: Settings, regions: set[str]) -> Mapping[str, list[str]]:
    """What lies at each place of the table of duties, as the local cloud names it."""
    with closing(CloudWorld(settings)) as world:
        policies = world.policies
    prefix, project = settings.bucket_prefix, settings.project
    vaults = [
        bucket_name(prefix, region, one, term.age_days)
        for region in regions
        for one, term in policies.backups.classes.items()
    ]
    anchors = [anchor_bucket_name(prefix, region, policies.anchors.age_days) for region in policies.anchors.regions]
    exports = [export_bucket_name(prefix, region, policies.lifecycle.exports.age_days) for region in regions]
    return {
        "project": ["*"],  # what is granted on a project holds for all that is in it
        "registry": [f"instances/{settings.registry_instance}"],
        "instances": ["instances/*"],  # of the project, as Terraform grants it
        "vaults": [f"buckets/{name}" for name in vaults],
        "anchors": [f"buckets/{name}" for name in anchors],
        "key_buckets": [f"buckets/{key_bucket_name(prefix, region)}" for region in regions],
        "exports": [f"buckets/{name}" for name in exports],
        "keys": [key_name(project, region) for region in regions],
        "signing_key": [signing_key_name(project)],
        "itself": [],
        "outbound": [],
    }


def table_of(settings: Settings, regions: set[str]) -> dict[str, list[dict[str, Any]]]:
    """What the local cloud is to enforce: each identity and person with its grants; the migrator may do everything."""
    places = resources_at(settings, regions)

    def granted(*held: Mapping[str, list[str]]) -> list[dict[str, Any]]:
        return [
            {"permissions": list(table().powers[power]), "resources": places[place]}
            for may in held
            for place, powers in may.items()
            for power in powers
        ]

    look, enter = table().people["operators"]["may"], table().people["hands_on"]["may"]
    identities = {
        table().email(settings.project, name): granted(one["may"]) for name, one in table().identities.items()
    }
    people = {OPERATOR: granted(look), HANDS_ON: granted(look, enter)}
    return {**identities, **people, LOCAL_MIGRATOR: [EVERYTHING]}


def make_logins(settings: Settings, instances: list[str]) -> None:
    """Logins in the instances that an identity enters, and the registry's rights for each duty."""
    with ExitStack() as stack:
        owner = stack.enter_context(closing(CloudWorld(settings, paced=False)))  # once, and not at the rate of a fleet
        for identity in (*Duty, EXPORT):
            email = table().email(settings.project, identity)
            for instance in instances:
                roles = () if instance == settings.registry_instance else (TENANTS_ROLE,)
                ensure_login(owner.instances, instance, email, roles=roles)
        migrator = stack.enter_context(closing(CloudWorld(replace(settings, login=LOCAL_MIGRATOR))))
        engine = migrator.registry_engine()
        for identity in (*Duty, EXPORT):
            login = table().email(settings.project, identity).removesuffix(".gserviceaccount.com")
            migrations.grant_app(engine, login)
        engine.dispose()


@contextmanager
def worlds_of(settings: Settings) -> Iterator[Mapping[Duty, CloudWorld]]:
    """The world as each duty's service account has it."""
    with ExitStack() as stack:
        yield {duty: stack.enter_context(world_of(settings, table().email(settings.project, duty))) for duty in Duty}


@contextmanager
def world_of(settings: Settings, login: str) -> Iterator[CloudWorld]:
    """The world as one person or service account has it."""
    with closing(CloudWorld(replace(settings, login=login))) as world:
        yield world
