"""Where else a tenant may be hosted when its own region cannot: in the partners' order, over no border unasked."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tenantctl.model.errors import Refused
from tenantctl.model.region import RegionsPolicy
from tenantctl.placement.residency import kept_in, partner_objection

PARTNERS = "partners"


@dataclass(frozen=True)
class Elsewhere:
    """The regions that may take a tenant, in the order in which they are tried, and why the others may not."""

    regions: tuple[str, ...]
    objections: Mapping[str, str]


def check_region(region: str, policy: RegionsPolicy) -> None:
    """Whether the policy knows a region.

    Raises:
        Refused: it does not.
    """
    if region not in policy.regions:
        raise Refused(f"The policy does not name region {region}.", hint="See: tenantctl region list")


def elsewhere(
    home: str, to: str, explanation: Mapping[str, Any], policy: RegionsPolicy, jurisdictions: Mapping[str, str]
) -> Elsewhere:
    """Where a tenant of `home` may be hosted anew.

    Args:
        home: the region that it is in.
        to: one region, or `partners` for those of `home` in the policy's order.
        explanation: of its placement, as stored.
        policy: the word on each region.
        jurisdictions: region → jurisdiction.
    """
    partners = policy.regions[home].partners if home in policy.regions else ()
    wanted: Sequence[str] = partners if to == PARTNERS else (to,)
    country = (explanation.get("place") or {}).get("country")
    required = explanation.get("kept_in") or (kept_in(country, policy.residency) if country else None)
    objections: dict[str, str] = {}
    for region in wanted:
        jurisdiction = jurisdictions.get(region)
        if (objection := _objection(region, home, policy)) is not None:
            objections[region] = objection
        elif required is not None and jurisdiction != required:
            objections[region] = f"outside {required}, where this tenant's data is kept"
        elif region not in partners and jurisdiction != jurisdictions.get(home):
            objections[region] = f"outside {jurisdictions.get(home)}, and no partner of {home}"
        elif required is not None and (objection := partner_objection(region, required, policy, jurisdictions)):
            objections[region] = objection
    return Elsewhere(tuple(region for region in wanted if region not in objections), objections)


def moved(explanation: Mapping[str, Any], region: str, because: str) -> dict[str, Any]:
    """A placement's explanation, once the tenant is hosted in another region than was chosen for it."""
    return {**explanation, "region": region, "deviation": because}


def _objection(region: str, home: str, policy: RegionsPolicy) -> str | None:
    """Why a region takes nobody from `home`, whoever it is; None where it does."""
    if region == home:
        return "it is the region that is to be left"
    if (word := policy.regions.get(region)) is None:
        return "the policy does not name it"
    if word.state != "open":
        return f"{word.state}: {word.why}" if word.why else f"{word.state}, by the operator's word"
    return None
