"""The file of production: Terraform's output `configuration`, or YAML of the same shape. An unknown key is a fault."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from pydantic import BaseModel, ConfigDict, ValidationError

from tenantctl.model.errors import Refused

FILE_VARIABLE: Final = "TENANTCTL_CONFIG"
_OUTPUT: Final = "configuration"  # what Terraform calls it, where all outputs are printed at once


class Service(BaseModel):
    """Whose tokens the service takes, and for whom they must be."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    audience: str
    callers: dict[str, list[str]]


class Document(BaseModel):
    """What was made, as Terraform says it; a file that is written by hand needs `environment` alone."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    environment: dict[str, str]
    service: Service | None = None
    topics: dict[str, str] = {}
    jobs: dict[str, str] = {}
    images: str | None = None
    identities: dict[str, str] = {}
    buckets: dict[str, dict[str, str]] = {}
    keys: dict[str, str] = {}
    signing_key: str | None = None
    copies: dict[str, list[str]] = {}
    off_cloud: dict[str, Any] = {}
    locked: bool | None = None
    instances: dict[str, dict[str, Any]] = {}
    alarms: dict[str, str] = {}
    registry_at: dict[str, str] = {}
    break_glass: str | None = None
    key_rotation: str | None = None

    def variables(self) -> Mapping[str, str]:
        """What the file says, under the names of the variables that say the same."""
        if self.service is None:
            return self.environment
        callers = "; ".join(f"{role}={','.join(accounts)}" for role, accounts in sorted(self.service.callers.items()))
        named = {"TENANTCTL_SERVICE_AUDIENCE": self.service.audience, "TENANTCTL_SERVICE_CALLERS": callers}
        return {**named, **self.environment}


def read_document(path: str) -> Document:
    """The document in a file: the output alone, or all of Terraform's outputs with it among them.

    Raises:
        Refused: it cannot be read, or has faults, which are all told.
    """
    from ruamel.yaml import YAML  # noqa: PLC0415 - only who has a file pays for its reader
    from ruamel.yaml.error import YAMLError  # noqa: PLC0415 - likewise

    if not path.strip():
        raise Refused(f"{FILE_VARIABLE} is blank.", hint="Unset it where there is no file.")
    try:
        said = YAML(typ="safe", pure=True).load(Path(path).read_text(encoding="utf-8"))
    except (OSError, YAMLError, ValueError) as error:
        raise Refused(
            f"{path}: cannot be read: {str(error).splitlines()[0]}", hint=f"{FILE_VARIABLE} names it."
        ) from error
    if isinstance(said, dict) and isinstance(said.get(_OUTPUT), dict) and "value" in said[_OUTPUT]:
        said = said[_OUTPUT]["value"]
    try:
        return Document.model_validate(said)
    except ValidationError as error:
        faults = error.errors(include_input=False, include_url=False)
        told = "; ".join(f"{'.'.join(map(str, one['loc'])) or 'the whole file'}: {one['msg']}" for one in faults)
        raise Refused(
            f"{path}: {told}.", hint="It is what `terraform output -json configuration` prints, or YAML of that shape."
        ) from error
