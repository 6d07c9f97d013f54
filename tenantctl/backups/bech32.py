"""Bech32 (BIP 173), as keys of the age format are written: letters that survive a telephone, with a checksum.

Unlike the addresses it was made for, a key may be of any length. A text is all in lower or all in upper case.
"""

from collections.abc import Iterable
from typing import Final

_LETTERS: Final = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"
_GENERATORS: Final = (0x3B6A57B2, 0x26508E6D, 0x1EA119FA, 0x3D4233DD, 0x2A1462B3)
_CHECKSUM_LETTERS: Final = 6


def encode(prefix: str, content: bytes) -> str:
    """The text of some bytes in lower case, behind a prefix in lower case and the separator `1`."""
    groups = list(_regrouped(content, 8, 5))
    rest = len(content) * 8 % 5
    if rest:
        groups.append((content[-1] << 5 - rest) & 31)
    checksum = _polymod([*_expanded(prefix), *groups, *[0] * _CHECKSUM_LETTERS]) ^ 1
    groups += [checksum >> 5 * (_CHECKSUM_LETTERS - 1 - place) & 31 for place in range(_CHECKSUM_LETTERS)]
    return f"{prefix}1{''.join(_LETTERS[group] for group in groups)}"


def decode(text: str) -> tuple[str, bytes]:
    """The prefix, in lower case, and the bytes of a text.

    Raises:
        ValueError: it is none; the message never repeats the text, which may be secret.
    """
    if text not in (text.lower(), text.upper()):
        raise ValueError("it mixes upper and lower case")
    prefix, separator, letters = text.lower().rpartition("1")
    if not separator or not prefix or len(letters) < _CHECKSUM_LETTERS:
        raise ValueError("it has no prefix, or is cut short")
    if not all(33 <= ord(letter) <= 126 for letter in prefix) or not set(letters) <= set(_LETTERS):
        raise ValueError("it has a letter that does not belong there")
    groups = [_LETTERS.index(letter) for letter in letters]
    if _polymod([*_expanded(prefix), *groups]) != 1:
        raise ValueError("its checksum is wrong: a letter is missing or mistaken")
    groups = groups[:-_CHECKSUM_LETTERS]
    rest = len(groups) * 5 % 8
    if rest >= 5 or (rest and groups[-1] & (1 << rest) - 1):
        raise ValueError("it does not end with a whole byte")
    return prefix, bytes(_regrouped(groups, 5, 8))


def _regrouped(groups: Iterable[int], before: int, after: int) -> Iterable[int]:
    """The same bits in groups of another size; bits that fill none are left out."""
    bits = waiting = 0
    for group in groups:
        bits, waiting = (bits << before | group) & 0xFFF, waiting + before
        while waiting >= after:
            waiting -= after
            yield bits >> waiting & (1 << after) - 1


def _expanded(prefix: str) -> list[int]:
    return [ord(letter) >> 5 for letter in prefix] + [0] + [ord(letter) & 31 for letter in prefix]


def _polymod(groups: Iterable[int]) -> int:
    checksum = 1
    for group in groups:
        top = checksum >> 25
        checksum = (checksum & 0x1FFFFFF) << 5 ^ group
        for place, generator in enumerate(_GENERATORS):
            if top >> place & 1:
                checksum ^= generator
    return checksum
