"""Which cloud the program works on, and as whom: from a file or the environment, checked once, nothing guessed.

Production is named by environment variables, and by one file that Terraform
writes (`production.py`, `document.py`). A local cloud writes the same settings
into its own folder when it comes up, so that the program after it needs none.
The two are never mixed.
"""

import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tenantctl.local_folder import CONFIG_NAME, local_folder
from tenantctl.model.errors import Refused

if TYPE_CHECKING:
    from tenantctl.config.production import Shown

PREFIX: Final = "TENANTCTL_"
NAMING_PRODUCTION: Final = ("PROJECT", "REGISTRY_INSTANCE", "REGISTRY_DATABASE", "BUCKET_PREFIX")
NOWHERE: Final = "No cloud is configured."
NOWHERE_HINT: Final = (
    "Start one on this machine: tenantctl local up. Or name the project: TENANTCTL_PROJECT and others."
)


@dataclass(frozen=True)
class Settings:
    """Where and as whom; endpoints are None in production, where Google's own are meant.

    `identities` are the IAM logins that a local cloud knows; the first is the
    default, and `TENANTCTL_IDENTITY` chooses another. In production there is
    none: whoever the credentials say is the actor.

    The two of S3 are for copies off Google's cloud alone: `s3_endpoint` is where
    something speaks like S3, None for Amazon's own, and `s3_owner` the account
    that the buckets there must belong to.

    `billing_url` is where billing is asked whether a tenant is still paid for, with
    `{tenant}` in it; None holds on to what it said last. `outbound_topic` is the
    Pub/Sub topic, by its full name, that changes of state are published to.
    """

    project: str
    registry_instance: str
    registry_database: str
    bucket_prefix: str
    login: str | None = None
    storage_endpoint: str | None = None
    sqladmin_endpoint: str | None = None
    kms_endpoint: str | None = None
    s3_endpoint: str | None = None
    s3_owner: str | None = None
    billing_url: str | None = None
    outbound_topic: str | None = None
    identities: tuple[str, ...] = ()

    @property
    def local(self) -> bool:
        """Whether this is a local cloud."""
        return self.sqladmin_endpoint is not None

    def write(self, folder: Path) -> None:
        """Writes the settings into a local cloud's folder, in one step."""
        unfinished = folder / f"{CONFIG_NAME}.new"
        unfinished.write_text(json.dumps(asdict(self), indent=2) + "\n")
        unfinished.replace(folder / CONFIG_NAME)


def load_settings(environment: Mapping[str, str] = os.environ) -> Settings:
    """The settings of this process.

    Whoever sets one of production's variables means production, also where another
    is missing or blank: it is then refused, and no local cloud is worked on instead.

    Raises:
        Refused: nothing is configured, or a setting is missing, unknown or blank.
    """
    if is_production(environment):
        return _of_production(environment)
    path = local_folder(environment=environment) / CONFIG_NAME
    try:
        said = json.loads(path.read_text())
        settings = Settings(**{**said, "identities": tuple(said["identities"])})
    except FileNotFoundError as error:
        raise Refused(NOWHERE, hint=NOWHERE_HINT) from error
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise Refused(f"{path} cannot be read: {error}", hint="Write it anew: tenantctl local up") from error
    settings = replace(
        settings,
        s3_endpoint=_optional(environment, "S3_ENDPOINT") or settings.s3_endpoint,
        billing_url=_optional(environment, "BILLING_URL"),
        outbound_topic=_optional(environment, "OUTBOUND_TOPIC"),
    )
    return _as_identity(settings, environment.get(f"{PREFIX}IDENTITY"))


def _optional(environment: Mapping[str, str], name: str) -> str | None:
    """A setting that not everybody needs; None if it is not set.

    Raises:
        Refused: it is blank.
    """
    value = environment.get(f"{PREFIX}{name}")
    if value == "":
        raise Refused(f"{PREFIX}{name} is blank.", hint="Unset it where it is not needed.")
    return value


def effective_environment(environment: Mapping[str, str] = os.environ) -> Mapping[str, str]:
    """The environment, with what the file of production says where the environment itself says nothing.

    Raises:
        Refused: the file has a fault.
    """
    from tenantctl.config.document import FILE_VARIABLE, read_document  # noqa: PLC0415 - pydantic is heavy to import

    if FILE_VARIABLE not in environment:
        return environment
    return {**read_document(environment[FILE_VARIABLE]).variables(), **environment}


def shown_settings(environment: Mapping[str, str] = os.environ) -> Iterator["Shown"]:
    """Every setting in effect, for people: where it comes from, and secrets masked.

    Raises:
        Refused: nothing is configured, or a setting has a fault.
    """
    from tenantctl.config.production import ENVIRONMENT, Shown, load_production, variable  # noqa: PLC0415 - heavy

    if is_production(environment):
        yield from load_production(environment).shown()
        return
    folder = str(local_folder(environment=environment) / CONFIG_NAME)
    said_by = {"login": "IDENTITY", "s3_endpoint": "S3_ENDPOINT", "billing_url": "BILLING_URL"}
    for name, value in asdict(load_settings(environment)).items():
        here = f"{PREFIX}{said_by.get(name, name.upper())}" in environment
        text = ", ".join(value) if isinstance(value, tuple) else value
        yield Shown(variable(name), text, "not set" if value is None else ENVIRONMENT if here else folder)


def is_production(environment: Mapping[str, str]) -> bool:
    """Whether somebody means production, be it by a variable that is blank."""
    return any(f"{PREFIX}{name}" in environment for name in (*NAMING_PRODUCTION, "CONFIG"))


def _of_production(environment: Mapping[str, str]) -> Settings:
    from tenantctl.config.production import load_production  # noqa: PLC0415 - pydantic is heavy to import

    said = load_production(environment).settings
    return Settings(
        **{field.name: getattr(said, field.name) for field in fields(Settings) if hasattr(said, field.name)}
    )


def _as_identity(settings: Settings, wanted: str | None) -> Settings:
    """The settings with the login of the identity that was chosen, in full or by what stands before its @."""
    if wanted is None:
        return replace(settings, login=settings.identities[0])
    for identity in settings.identities:
        if wanted in {identity, identity.partition("@")[0]}:
            return replace(settings, login=identity)
    raise Refused(
        f"The local cloud knows no identity {wanted!r}.", hint=f"TENANTCTL_IDENTITY: {', '.join(settings.identities)}"
    )
