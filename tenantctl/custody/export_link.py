"""Links to exports for customers: of an export in its bucket alone, never beyond its age, and each on record."""

from datetime import timedelta
from typing import Final

from tenantctl.custody.basis import Basis
from tenantctl.custody.export_bucket import BucketDestination
from tenantctl.model.calendar import rfc3339
from tenantctl.model.errors import Refused
from tenantctl.ports.links import Links
from tenantctl.ports.world import World

LINK_MAX: Final = timedelta(days=7)  # Cloud Storage's own limit for links of version 4


def check_link(world: World, links: Links, valid: timedelta) -> None:
    """Whether a link may be made for so long: asked before the export.

    Raises:
        Refused: it would outlive the object or what the store allows, or nothing here can sign one.
    """
    most = min(LINK_MAX, timedelta(days=world.policies.lifecycle.exports.age_days))
    if valid > most:
        raise Refused(f"A link is valid for {most / timedelta(hours=1):g} hours at most.")
    links.check()


def sign_link(world: World, links: Links, export: BucketDestination, basis: Basis, valid: timedelta) -> str:
    """A link to an export's archive; that it was made, and until when it holds, is on record before it is known.

    Raises:
        Refused: it cannot be signed.
        Transient: who signs does not answer; the export itself is there.
    """
    content = {
        "to": export.archive,
        "ground": basis.ground.value,
        "reference": basis.reference,
        "until": rfc3339(world.registry.now() + valid),
    }
    world.registry.append_entry(export.tenant.uid, "export-linked", content)
    return links.signed(export.bucket, export.name, valid=valid)
