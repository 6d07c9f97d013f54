"""docs/DUTIES.md: which call each identity may make, and where, from `duties.yaml` and the calls of the local cloud."""

from collections.abc import Iterator
from typing import Final

from tenantctl.localcloud.permission_calls import ANYWHERE, CALLS, NeededCall
from tests.house.repository import ROOT
from tests.infrastructure.duties import table

PAGE: Final = ROOT / "docs/DUTIES.md"
OF_PLACE: Final = {
    "registry": "instances/",
    "instances": "instances/",
    "vaults": "buckets/",
    "anchors": "buckets/",
    "key_buckets": "buckets/",
    "exports": "buckets/",
    "keys": "projects/{project}/locations/{location}/keyRings/{ring}/cryptoKeys/",
    "signing_key": "projects/{project}/locations/{location}/keyRings/{ring}/cryptoKeys/",
    "project": "projects/{project}",
}
WHERE: Final = {
    "registry": "The registry's instance",
    "instances": "The instances of tenants, and those for verification",
    "vaults": "The buckets of backups",
    "anchors": "The buckets of anchors",
    "key_buckets": "The buckets of wrapped keys",
    "exports": "The buckets of exports",
    "keys": "The keys that wrap backups' keys",
    "signing_key": "The key of certificates",
    "project": "The project itself",
}
# What is granted on the project holds for all that is in it, and for the registry what is granted on all instances.
WIDER: Final = {place: (place, "project") for place in OF_PLACE} | {"registry": ("registry", "instances", "project")}
INTRODUCTION: Final = """\
# Duties and calls

Which call of Google's APIs each identity may make, and where. Written by `make docs` from the table that Terraform
makes roles and grants of, `terraform/modules/governance/duties.yaml`. `tests/localcloud/test_duties.py` has every
identity make every call against a local cloud that enforces it, sees all refused that is not given here, and lives
tenants' whole lives with no more than this: restored, moved, held, handed out and erased on the way.

Whoever enters the tenants' instances may enter the registry too: Cloud SQL's grants are the project's. Inside an
instance PostgreSQL's own roles go on from there. An object's place can only be taken by who may delete it, which in the
buckets of backups and anchors is nobody.
"""


def calls_at(place: str) -> Iterator[NeededCall]:
    """The calls that are made on what lies at a place."""
    begins = OF_PLACE[place]
    for call in CALLS:
        if call.resource == begins if place == "project" else call.resource.startswith(begins):
            yield call


def may(identity: str, place: str, permission: str) -> bool:
    """Whether the table gives an identity a permission there."""
    held = table().permissions(identity)
    return any((wider, permission) in held for wider in WIDER[place])


def may_anywhere(identity: str, permission: str) -> bool:
    """Whether it has the permission at all, for the calls that name no resource of their own."""
    return any(held == permission for _, held in table().permissions(identity))


def calls_anywhere() -> Iterator[NeededCall]:
    """Those calls."""
    return (call for call in CALLS if call.resource == ANYWHERE)


def page() -> str:
    """The page."""
    parts = [INTRODUCTION]
    for place, where in WHERE.items():
        wanted = dict.fromkeys(call.permission for call in calls_at(place))
        if place in {"registry", "instances"}:
            wanted["cloudsql.instances.login"] = None
        rows = {one: [name for name in table().identities if may(name, place, one)] for one in wanted}
        nobody = ", ".join(f"`{one}`" for one, who in rows.items() if not who)
        lines = [f"| `{one}` | {', '.join(who)} |" for one, who in rows.items() if who]
        head = ["| Permission | Who has it |", "|---|---|"] if lines else ["None of these may do anything."]
        parts.append("\n".join([f"## {where}", "", *head, *lines, "", f"Nobody: {nobody}.", ""]))
    return "\n".join(parts)
