"""Makes different spellings of one name equal: case, accents, punctuation and spaces do not count."""

import unicodedata
from collections.abc import Iterator
from hashlib import blake2b
from string import ascii_lowercase
from typing import Final

# Letters that Unicode does not take apart into a base and an accent.
_LETTERS: Final = {
    ord(letter): plain
    for letter, plain in (("æ", "ae"), ("œ", "oe"), ("ø", "o"), ("ð", "d"), ("đ", "d"), ("ł", "l"), ("þ", "th"))
} | {0x131: "i"}  # the dotless i of Turkish


def name_key(text: str) -> str:
    """The form under which a name is stored and looked up; empty if the text has no letter and no digit.

    Vowel signs of Indian and South-East Asian scripts stay, since without them other words result.
    """
    if text.isascii():
        return "".join(filter(str.isalnum, text.lower()))
    apart = unicodedata.normalize("NFKD", text.casefold()).translate(_LETTERS)
    return unicodedata.normalize("NFC", "".join(filter(_counts, apart)))


def key_hash(key: str) -> int:
    """48 bits that stand for a key in the index: half a million names collide with a chance of 1 in 2,000."""
    return int.from_bytes(blake2b(key.encode(), digest_size=6).digest(), "big", signed=True)


def one_edit_away(key: str) -> Iterator[str]:
    """Every key with one letter left out, swapped with the next, replaced or put in (of a to z)."""
    halves = [(key[:index], key[index:]) for index in range(len(key) + 1)]
    for left, right in halves:
        if right:
            yield left + right[1:]
        if len(right) > 1:
            yield left + right[1] + right[0] + right[2:]
        for letter in ascii_lowercase:
            if right:
                yield left + letter + right[1:]
            yield left + letter + right


def _counts(character: str) -> bool:
    return character.isalnum() or (
        unicodedata.category(character).startswith("M") and not unicodedata.combining(character)
    )
