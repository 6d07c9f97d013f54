"""Where data may live by law and by promise: jurisdictions, and the one that a customer's data is kept in. Pure."""

from collections.abc import Mapping

from tenantctl.model.region import Region, RegionsPolicy, ResidencyPolicy


def jurisdiction_of(country: str, policy: ResidencyPolicy) -> str:
    """The jurisdiction of a country (ISO 3166-1 alpha-2): a group that the policy names, or else the country itself."""
    return policy.jurisdiction_of(country)


def kept_in(country: str, policy: ResidencyPolicy) -> str | None:
    """The jurisdiction that data of customers based in this country does not leave; None where it may be anywhere."""
    home = jurisdiction_of(country, policy)
    return home if home in policy.kept_at_home else None


def partner_objection(region: str, kept: str, policy: RegionsPolicy, jurisdictions: Mapping[str, str]) -> str | None:
    """Why data that is kept in a jurisdiction cannot be hosted in a region of it: its backups would have to leave.

    Args:
        region: one that the policy names.
        kept: the jurisdiction.
        policy: the word on each region.
        jurisdictions: region → jurisdiction.
    """
    for partner in policy.regions[region].partners:
        if jurisdictions.get(partner) == kept:
            return None
    return f"no partner in {kept} for its backups, which are kept there too"


def objection(region: Region, home: str | None, keep_in: str | None) -> str | None:
    """Why a region is out of the question for residency's sake; None where it is not.

    Args:
        region: the region that is considered.
        home: what `kept_in` says of the customer's country.
        keep_in: the jurisdiction that was asked for. It restricts further, and never widens.
    """
    if home is not None and region.jurisdiction != home:
        return f"outside {home}, where the data of customers based there is kept"
    if keep_in is not None and region.jurisdiction != keep_in:
        return f"outside {keep_in}, where the data was asked to be kept"
    return None
