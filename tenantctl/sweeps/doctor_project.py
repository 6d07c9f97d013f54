"""A look at what the program stands on before any tenant: credentials, APIs and their rates, PostgreSQL's clients."""

from collections.abc import Iterator
from typing import Final

from tenantctl.model.errors import TenantctlError
from tenantctl.model.sighting import Present, Unreachable
from tenantctl.pgbin import BINDIR_VARIABLE, ProgramsMissing, find_programs
from tenantctl.ports.project import Project
from tenantctl.sweeps.doctor import Finding

CLIENTS: Final = ("pg_dump", "pg_restore")
MAJOR_MIN: Final = 18  # what the instances run; an older pg_dump refuses them
# What the program itself calls; Terraform switches them on, and more that it needs for its own work.
CALLED: Final = (
    "cloudkms.googleapis.com",
    "iamcredentials.googleapis.com",
    "logging.googleapis.com",
    "pubsub.googleapis.com",
    "sqladmin.googleapis.com",
    "storage.googleapis.com",
)
RATED: Final = ("cloudkms.googleapis.com", "sqladmin.googleapis.com")  # those whose rates a fleet can use up


def examine_programs() -> Finding:
    """PostgreSQL's clients, which make and restore dumps."""
    subject = "PostgreSQL's clients"
    try:
        found = find_programs()
        for name in CLIENTS:
            found.path(name)
    except ProgramsMissing as error:
        remedy = f"Install postgresql-client-{MAJOR_MIN}, or name the folder: {BINDIR_VARIABLE}"
        return Finding(subject, False, str(error), remedy)
    version = f"{found.major}.{found.minor}"
    if found.major < MAJOR_MIN:
        sentence = f"are of version {version} and cannot dump from the instances, which run {MAJOR_MIN}"
        return Finding(subject, False, sentence, f"Install postgresql-client-{MAJOR_MIN}.")
    return Finding(subject, True, f"of version {version} in {found.folder}")


def examine_project(project: Project) -> Iterator[Finding]:
    """Who we are, whether every API that is called is switched on, and whether it may be called."""
    try:
        yield Finding("credentials", True, f"tokens can be had as {project.caller()}")
    except TenantctlError as error:
        yield Finding.of_error("credentials", error, "Try again.")
        return
    match project.apis():
        case Present(enabled) if missing := [one for one in CALLED if one not in enabled]:
            remedy = f"terraform apply; or: gcloud services enable {' '.join(missing)}"
            yield Finding("APIs", False, f"switched off: {', '.join(missing)}", remedy)
        case Present(_):
            yield Finding("APIs", True, f"all {len(CALLED)} that are called are switched on")
        case Unreachable(reason):
            yield Finding.unseen("APIs", reason)
    for api in RATED:
        yield _rates(project, api)


def _rates(project: Project, api: str) -> Finding:
    subject = f"quotas of {api}"
    match project.rates(api):
        case Present(rates) if shut := sorted({one.name for one in rates if one.limit == 0}):
            remedy = "Ask for more: Google Cloud's console, IAM and administration, quotas."
            return Finding(subject, False, f"nothing may be called of: {', '.join(shut)}", remedy)
        case Present(rates) if limited := [one for one in rates if one.limit > 0]:
            least = min(limited, key=lambda one: one.limit)
            return Finding(subject, True, f"{len(rates)} rates, the least {least.limit} of {least.name} ({least.unit})")
        case Present(_):
            return Finding(subject, True, "no rate is limited")
        case Unreachable(reason):
            return Finding.unseen(subject, reason)
    raise AssertionError("a project's rates are there or could not be looked at")
