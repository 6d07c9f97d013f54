"""Production's settings, from variables and from one file of Terraform's, checked once and all faults told at once.

The file is the output `configuration` as Terraform prints it, or YAML of the same shape; of a setting that stands in
both places the environment's word counts. A name that nobody reads is a fault, and so is a blank. Secrets come from the
environment alone, and nothing here ever prints one.
"""

import difflib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Final

from pydantic import AfterValidator, BeforeValidator, SecretStr, StringConstraints, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import PydanticCustomError
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from tenantctl.config.document import FILE_VARIABLE, Document, read_document
from tenantctl.model.errors import Refused

PREFIX: Final = "TENANTCTL_"
AMAZONS: Final = {"aws_access_key_id": "AWS_ACCESS_KEY_ID", "aws_secret_access_key": "AWS_SECRET_ACCESS_KEY"}
ENVIRONMENT: Final = "environment"
# Read elsewhere, each where its subject is; what is none of these and no setting below is a slip of the pen.
OF_THE_JOBS: Final = frozenset(
    f"{PREFIX}{name}" for name in ("SERVICE_AUDIENCE", "SERVICE_CALLERS", "TELEMETRY_LOCATION")
)
READ_ELSEWHERE: Final = OF_THE_JOBS | {
    f"{PREFIX}{name}"
    for name in ("CONFIG", "IDENTITY", "ISSUER", "LOCAL_DIR", "PG_BINDIR", "POLICIES", "PUBLIC_KEYS", "SERVICE_KEYS")
}
FOR_TESTS: Final = f"{PREFIX}TEST_"
_WORDS: Final = {
    "missing": "is not set",
    "string_pattern_mismatch": "is not written as Google writes it",
    "string_type": "must be text",
}


def _said(value: Any) -> Any:
    if isinstance(value, str) and not value.strip():
        raise PydanticCustomError("blank", "is blank")
    return value


def _address(value: str) -> str:
    """An https address, or one on this machine, without a password in it."""
    scheme, _, rest = value.partition("://")
    host = rest.partition("/")[0]
    if "@" in host:
        raise PydanticCustomError("password", "must not carry a password")
    is_here = host.partition(":")[0] in {"127.0.0.1", "localhost"}
    if scheme != "https" and not (scheme == "http" and is_here):
        raise PydanticCustomError("address", "must be an https address")
    return value


Said = Annotated[str, BeforeValidator(_said)]
Named = Annotated[Said, StringConstraints(pattern=r"^[a-z0-9]([a-z0-9._:-]*[a-z0-9])?$")]
Topic = Annotated[Said, StringConstraints(pattern=r"^projects/[^/\s]+/topics/[^/\s]+$")]
Account = Annotated[Said, StringConstraints(pattern=r"^[0-9]{12}$")]
Address = Annotated[Said, AfterValidator(_address)]
Secret = Annotated[SecretStr, BeforeValidator(_said)]


class Production(BaseSettings):
    """What production is told; each field is read from the variable of its name."""

    model_config = SettingsConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    project: Named
    registry_instance: Named
    registry_database: Said
    bucket_prefix: Named
    login: Said | None = None
    s3_endpoint: Address | None = None
    s3_owner: Account | None = None
    billing_url: Address | None = None
    outbound_topic: Topic | None = None
    aws_access_key_id: Secret | None = None
    aws_secret_access_key: Secret | None = None


@dataclass(frozen=True)
class Shown:
    """One setting for people: its variable, its value with a secret masked, and where it comes from."""

    variable: str
    value: str | None
    source: str


@dataclass(frozen=True)
class Loaded:
    """Production's settings, where each comes from, and the document that some came from."""

    settings: Production
    sources: Mapping[str, str]
    document: Document | None

    def shown(self) -> Iterator[Shown]:
        """Every setting; a secret prints as asterisks."""
        for name in Production.model_fields:
            value = getattr(self.settings, name)
            yield Shown(variable(name), None if value is None else str(value), self.sources.get(name, "not set"))


class _Variables(PydanticBaseSettingsSource):
    """The settings that stand in a table of variables."""

    def __init__(self, settings: type[BaseSettings], table: Mapping[str, str]) -> None:
        super().__init__(settings)
        self._table = table

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        return self._table.get(variable(field_name)), field_name, False

    def __call__(self) -> dict[str, Any]:
        return {name: self._table[variable(name)] for name in Production.model_fields if variable(name) in self._table}


def variable(field: str) -> str:
    """The variable that a field is read from."""
    return AMAZONS.get(field, f"{PREFIX}{field.upper()}")


def load_production(environment: Mapping[str, str]) -> Loaded:
    """Production's settings from `environment` and from the file that TENANTCTL_CONFIG names.

    Raises:
        Refused: all faults at once, each with the variable and the place it was read from.
    """
    document = read_document(environment[FILE_VARIABLE]) if FILE_VARIABLE in environment else None
    place = f"environment of {environment.get(FILE_VARIABLE)}"
    table = document.variables() if document is not None else {}
    sources = {
        name: ENVIRONMENT if variable(name) in environment else place
        for name in Production.model_fields
        if variable(name) in environment or variable(name) in table
    }
    faults = [*_slips(environment, ENVIRONMENT), *_slips(table, place)]
    faults += [
        f"{name} ({place}): a secret comes from the environment alone" for name in AMAZONS.values() if name in table
    ]
    try:
        settings = _production(environment, table)
    except ValidationError as error:
        faults += [_sentence(one, sources) for one in error.errors(include_input=False, include_url=False)]
    if faults:
        count = "a fault" if len(faults) == 1 else f"{len(faults)} faults"
        raise Refused(
            f"The configuration has {count}: {'; '.join(faults)}.",
            hint="Terraform's outputs name them all: terraform output -json configuration",
        )
    return Loaded(settings, sources, document)


def _production(environment: Mapping[str, str], table: Mapping[str, str]) -> Production:
    class FromHere(Production):
        @classmethod
        def settings_customise_sources(
            cls, settings_cls: type[BaseSettings], *_: Any, **__: Any
        ) -> tuple[PydanticBaseSettingsSource, ...]:
            return _Variables(settings_cls, environment), _Variables(settings_cls, table)

    return FromHere()


def _slips(table: Mapping[str, str], place: str) -> Iterator[str]:
    """Names that look like ours, and that nobody reads."""
    settings = {variable(name) for name in Production.model_fields}
    known = settings | (READ_ELSEWHERE if place == ENVIRONMENT else OF_THE_JOBS)
    for name in sorted(table):
        is_ours = name.startswith(PREFIX) or place != ENVIRONMENT
        if is_ours and name not in known and not name.startswith(FOR_TESTS):
            near = difflib.get_close_matches(name, known, 1)
            yield f"{name} ({place}): nobody reads it" + (f"; did you mean {near[0]}?" if near else "")


def _sentence(fault: Any, sources: Mapping[str, str]) -> str:
    field = str(fault["loc"][0])
    place = f" ({sources[field]})" if field in sources else ""
    return f"{variable(field)}{place}: {_WORDS.get(fault['type'], fault['msg'])}"
