"""Whether what billing sends looks like card data, which must never be kept here. Pure.

A number counts as a card's if it has the length, the first digit and the check digit of one (ISO/IEC 7812-1); a field
counts by its name, whatever is in it.
"""

import re
from collections.abc import Mapping
from typing import Any, Final

_NAMES: Final = frozenset({"pan", "iban", "cvv", "cvv2", "cvc", "cvc2", "cid", "expiry", "expirydate", "expmonth"})
_BEGINNINGS: Final = ("card", "creditcard", "debitcard", "accountnumber", "track1", "track2")
_NUMBER: Final = re.compile(r"(?<![\w.])[2-6](?:[ -]?\d){12,18}(?![\w.])", re.ASCII)
# What names the message and the event; their makers number them as they like.
_NUMBERED_BY_OTHERS: Final = frozenset({"messageid", "id", "sequence", "subscription"})
DEPTH_MAX: Final = 32


def card_data_in(value: Any, *, depth: int = 0) -> str:
    """Where a JSON value looks like card data: the field's name, or `a number`; empty where nowhere.

    What is nested deeper than any event counts as card data: nobody has looked at it.
    """
    if depth > DEPTH_MAX:
        return "something nested too deep to look at"
    if isinstance(value, Mapping):
        for name, inner in value.items():
            plain = re.sub(r"[^a-z0-9]", "", str(name).lower())
            if plain in _NAMES or plain.startswith(_BEGINNINGS):
                return f"field {str(name)[:40]!r}"
            if plain in _NUMBERED_BY_OTHERS and not isinstance(inner, Mapping | list):
                continue
            if found := card_data_in(inner, depth=depth + 1):
                return found
        return ""
    if isinstance(value, list):
        return next((found for inner in value if (found := card_data_in(inner, depth=depth + 1))), "")
    if isinstance(value, str | int) and not isinstance(value, bool):
        return "a number" if any(map(_passes, _NUMBER.findall(str(value)))) else ""
    return ""


def _passes(text: str) -> bool:
    """Whether the last digit is Luhn's check digit of those before it."""
    digits = [int(character) for character in text if character.isdigit()]
    doubled = [sum(divmod(2 * digit, 10)) for digit in digits[-2::-2]]
    return (sum(digits[-1::-2]) + sum(doubled)) % 10 == 0
