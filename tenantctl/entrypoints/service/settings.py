"""How the service is set up: from the environment, checked once, nothing guessed."""

import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import requests

from tenantctl.entrypoints.service.identity import IssuedKeys, Role
from tenantctl.model.errors import Refused, Transient

AUDIENCE: Final = "TENANTCTL_SERVICE_AUDIENCE"
CALLERS: Final = "TENANTCTL_SERVICE_CALLERS"
KEYS: Final = "TENANTCTL_SERVICE_KEYS"
GOOGLES_KEYS: Final = "https://www.googleapis.com/oauth2/v1/certs"
KEPT_SECONDS: Final = 3600.0
TIMEOUT_SECONDS: Final = 10.0


@dataclass(frozen=True)
class ServiceSettings:
    """For whom tokens must be, whose are taken with which roles, and where the issuer's keys are.

    `keys` is Google's own address, or a file on a machine where Google cannot be reached.
    """

    audience: str
    callers: Mapping[str, frozenset[Role]]
    keys: str = GOOGLES_KEYS


def service_settings(environment: Mapping[str, str] = os.environ) -> ServiceSettings:
    """The settings of this process.

    Raises:
        Refused: one is missing, blank or not understood; a service that lets in anybody does not start.
    """
    for name in (AUDIENCE, CALLERS):
        if not environment.get(name, "").strip():
            raise Refused(
                f"{name} is {'blank' if name in environment else 'not set'}.",
                hint=f"{AUDIENCE}=https://… and {CALLERS}='billing=account@…,account@…; notices=account@…; reader=…'",
            )
    keys = environment.get(KEYS, GOOGLES_KEYS)
    if not keys.startswith(("https://", "/")):
        raise Refused(f"{KEYS} is neither an https address nor a file's full path.")
    return ServiceSettings(environment[AUDIENCE].strip(), _callers(environment[CALLERS]), keys)


def fetch_from(where: str) -> Callable[[], IssuedKeys]:
    """What asks for the issuer's keys, as key id → certificate in PEM."""

    def from_file() -> IssuedKeys:
        try:
            return IssuedKeys(json.loads(Path(where).read_text()), KEPT_SECONDS)
        except (OSError, ValueError) as error:
            raise Transient(f"The issuer's keys cannot be read from {where}: {error}") from error

    def from_address() -> IssuedKeys:
        try:
            answer = requests.get(where, timeout=TIMEOUT_SECONDS)
            answer.raise_for_status()
            return IssuedKeys(answer.json(), _seconds(answer.headers.get("Cache-Control", "")))
        except (requests.RequestException, ValueError) as error:
            raise Transient(f"The issuer's keys cannot be had from {where}: {error}") from error

    return from_address if where.startswith("https://") else from_file


def _callers(text: str) -> dict[str, frozenset[Role]]:
    callers: dict[str, frozenset[Role]] = {}
    for part in filter(str.strip, text.split(";")):
        role, _, accounts = part.partition("=")
        if role.strip() not in set(Role):
            raise Refused(f"{CALLERS}: {role.strip()!r} is none of {', '.join(Role)}.")
        for account in map(str.strip, accounts.split(",")):
            if "@" not in account:
                raise Refused(f"{CALLERS}: {account!r} is no service account.")
            callers[account] = callers.get(account, frozenset()) | {Role(role.strip())}
    return callers


def _seconds(cache_control: str) -> float:
    """For how long an answer may be kept, an hour where it does not say."""
    for word in cache_control.split(","):
        name, _, value = word.strip().partition("=")
        if name == "max-age" and value.isdigit():
            return float(value)
    return KEPT_SECONDS
