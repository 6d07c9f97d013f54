"""What every book of anchors answers alike, whatever it is kept in."""

from tenantctl.model.errors import NotFound
from tenantctl.ports.anchors import NumberTaken


def number_taken(number: int) -> NumberTaken:
    """Somebody else has made an anchor of this number."""
    return NumberTaken(f"Another worker is making anchor {number}.", hint="Try again in a few seconds.")


def unknown_anchor(digest: str) -> NotFound:
    """No anchor of this digest is on record."""
    return NotFound(f"No anchor {digest[:16]} is on record.", hint="See: tenantctl registry status")
