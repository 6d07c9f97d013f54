"""What becomes of each statement of a dump from elsewhere: run, made by us before, or left out and told.

Nothing here protects the server: it runs everything as the customer's own login, which may do no harm. These rules
make a dump of another company's cluster fit: its roles do not exist here and own nothing, objects that reach beyond
the database are for superusers, and schemas and extensions are made by us, since no customer may.
"""

import codecs
import contextlib
import re
from dataclasses import dataclass, replace
from enum import Enum, auto
from typing import Final

from tenantctl.model.errors import Refused

QualifiedName = tuple[str, str]

_NAME: Final = r"(?:\"(?:[^\"]|\"\")+\"|[\w$\x80-\U0010ffff]+)"
_QUALIFIED: Final = rf"({_NAME})(?:\.({_NAME}))?"
_HEAD_BYTES: Final = 4096
_LABEL_MAX: Final = 100


class Fate(Enum):
    """What becomes of a statement."""

    RUN = auto()
    SOFT = auto()  # run, and left out if it fails: no row hangs on it
    BEGIN = auto()
    END = auto()
    ROWS = auto()
    SCHEMA = auto()  # made by us before
    EXTENSION = auto()  # likewise
    QUIET = auto()  # nothing is lost without it
    LEFT_OUT = auto()


@dataclass(frozen=True)
class Ruling:
    """A statement's fate; `names` are the table, schema, extension or roles that it is about.

    `text` is what is to be run, which may be other than what stood there; `encoding` how Python calls the one that
    the dump goes on in.
    """

    fate: Fate
    text: bytes
    label: str = ""
    names: tuple[str, ...] = ()
    table: QualifiedName | None = None
    encoding: str | None = None


def _rule(pattern: str) -> "re.Pattern[str]":
    return re.compile(pattern.replace(" ", r"\s+"), re.IGNORECASE | re.DOTALL)


_OWNER: Final = _rule(rf"^ALTER .* OWNER TO ({_NAME})\s*;$")
_COPY: Final = re.compile(rf"^COPY\s+{_QUALIFIED}\s*(?:\([^;]*\)\s*)?FROM\s+stdin\s*;$", re.IGNORECASE | re.DOTALL)
_TABLE: Final = _rule(rf"^CREATE (?:UNLOGGED )?TABLE (?:IF NOT EXISTS )?{_QUALIFIED}")
_INSERT: Final = _rule(rf"^INSERT INTO {_QUALIFIED}")
_SCHEMA: Final = _rule(rf"^CREATE SCHEMA (?:IF NOT EXISTS )?({_NAME})")
_EXTENSION: Final = _rule(rf"^CREATE EXTENSION (?:IF NOT EXISTS )?({_NAME})(?: (?:WITH )?SCHEMA ({_NAME}))?")
_BEGIN: Final = _rule(r"^(?:BEGIN|START TRANSACTION)\b")
_END: Final = _rule(r"^(?:COMMIT|END)\b")
_ROLE: Final = _rule(rf"^(?:CREATE|ALTER) (?:ROLE|USER|GROUP) (?!MAPPING)({_NAME})")
_MEMBER: Final = _rule(r"^(?:GRANT|REVOKE) (?:(?! ON ).)*$")
_PRIVILEGE: Final = _rule(r"^(?:GRANT|REVOKE) .* (?:TO|FROM) (.*?)(?: WITH GRANT OPTION)?(?: GRANTED BY .*)?\s*;$")
_ON_DATABASE: Final = _rule(r"^(?:GRANT|REVOKE) .* ON (?:DATABASE|TABLESPACE|LANGUAGE|PARAMETER|FOREIGN) ")
_POLICY: Final = _rule(
    rf"^(CREATE POLICY {_NAME} ON {_NAME}(?:\.{_NAME})?(?: AS \w+)?(?: FOR \w+)? TO)\s+"
    rf"({_NAME}(?:\s*,\s*{_NAME})*)((?: (?:USING|WITH CHECK).*|\s*);)$"
)
_ENCODING: Final = _rule(r"^SET client_encoding\s*(?:=|TO)\s*'?([\w-]+)'?\s*;$")
_STRINGS: Final = _rule(r"^SET standard_conforming_strings\s*(?:=|TO)\s*'?off'?\s*;$")
# PostgreSQL counts the Latin alphabets, ISO the parts of its standard.
_LATIN: Final = {
    f"LATIN{number}": f"iso8859-{part}" for number, part in zip(range(5, 11), (9, 10, 13, 14, 15, 16), strict=True)
}
_STRAY: Final = re.compile("[\ud800-\udfff]")
_UNSAFE: Final = frozenset({"SJIS", "SHIFTJIS", "BIG5", "GBK", "GB18030", "UHC", "JOHAB", "SHIFTJIS2004"})
_QUIET: Final = _rule(
    r"^(?:DROP |CREATE DATABASE |COMMENT ON (?:EXTENSION|DATABASE) |ALTER EXTENSION "
    r"|SET (?:SESSION )?(?:AUTHORIZATION|ROLE)\b|RESET (?:SESSION AUTHORIZATION|ROLE)\b"
    r"|SET default_tablespace\s*=|SELECT .*pg_catalog\.(?:pg_restore_|pg_clear_|lo_unlink)"
    rf"|ALTER TABLE (?:IF EXISTS )?(?:ONLY )?{_NAME}(?:\.{_NAME})? (?:DROP |ALTER COLUMN {_NAME} DROP ))"
)
_BEYOND: Final = _rule(
    r"^(?:CREATE|ALTER|COMMENT ON|SECURITY LABEL|GRANT .* ON)\s+(?:OR REPLACE )?(?:TRUSTED )?(?:PROCEDURAL )?"
    r"(?:PUBLICATION|SUBSCRIPTION|EVENT TRIGGER|SERVER|FOREIGN|USER MAPPING|TABLESPACE|DATABASE|LANGUAGE|ROLE)\b"
)
_LABEL: Final = _rule(r"^(?:SECURITY LABEL|ALTER DEFAULT PRIVILEGES)\b")
_SOFT: Final = _rule(r"^(?:SET|COMMENT ON|REFRESH MATERIALIZED VIEW|GRANT|REVOKE|CREATE POLICY|ALTER POLICY)\b")


_FATES: Final = (
    (_SCHEMA, Fate.SCHEMA),
    (_EXTENSION, Fate.EXTENSION),
    (_BEGIN, Fate.BEGIN),
    (_END, Fate.END),
    (_OWNER, Fate.QUIET),
    (_QUIET, Fate.QUIET),
    (_ROLE, Fate.LEFT_OUT),
    (_BEYOND, Fate.LEFT_OUT),
    (_LABEL, Fate.LEFT_OUT),
    (_MEMBER, Fate.LEFT_OUT),
    (_ON_DATABASE, Fate.LEFT_OUT),
)


def rule(text: bytes, line: int, *, encoding: str, owners: frozenset[str], owner: str) -> Ruling:
    """The fate of a statement, of which a name is never taken for another one.

    Args:
        text: The statement, with its semicolon.
        line: Where it ends, for sentences.
        encoding: How Python calls the encoding that it is in.
        owners: The foreign roles that own something, as the dump was read before.
        owner: The role that takes their place.

    Raises:
        Refused: it is one that no dump of `pg_dump` has, or that cannot be taken apart safely.
    """
    ruling = _ruling(text, line, encoding, owners, owner)
    if any(_STRAY.search(name) for name in (*ruling.names, *(ruling.table or ()))):
        raise Refused(f"Line {line} of the dump has a name whose bytes are no {encoding}.")
    return ruling


def _ruling(text: bytes, line: int, encoding: str, owners: frozenset[str], owner: str) -> Ruling:
    """As `rule`, whatever bytes its names are."""
    said = (text[:_HEAD_BYTES] if len(text) > _HEAD_BYTES else text).decode(encoding, "surrogateescape")
    label = _label(said)
    if said[:4].upper() == "COPY":
        copy = _COPY.match(said)
        if copy is None:
            raise Refused(f"Line {line} of the dump is no COPY of a table's rows: {label}")
        return Ruling(Fate.ROWS, text, label, table=_qualified(copy[1], copy[2]))
    if (now := _setting(said, line)) is not None:
        return Ruling(Fate.RUN, text, label, encoding=now)
    if insert := _INSERT.match(said):
        return Ruling(Fate.RUN, text, label, table=_qualified(insert[1], insert[2]))
    if table := _TABLE.match(said):
        return Ruling(Fate.RUN, text, label, table=_qualified(table[1], table[2]))
    for pattern, fate in _FATES:
        if found := pattern.match(said):
            return Ruling(fate, text, label, tuple(unquoted(name) for name in found.groups() if name))
    if privilege := _PRIVILEGE.match(said):
        others = _roles(privilege[1]) - {"public"} - owners
        named = _roles(privilege[1]) == {"public"}
        fate = Fate.LEFT_OUT if others else Fate.SOFT if named else Fate.QUIET  # an owner has all rights anyway
        return Ruling(fate, text, label)
    if policy := _POLICY.match(said):
        return _policy(policy, Ruling(Fate.SOFT, text, label), encoding, owners, owner)
    return Ruling(Fate.SOFT if _SOFT.match(said) else Fate.RUN, text, label)


def unquoted(name: str) -> str:
    """A name as the server knows it."""
    return name[1:-1].replace('""', '"') if name.startswith('"') else name.lower()


def _policy(found: "re.Match[str]", ruling: Ruling, encoding: str, owners: frozenset[str], owner: str) -> Ruling:
    """A policy whose roles are all the former owners' becomes one of the new owner."""
    roles = _roles(found[2])
    if not roles <= owners | {"public"}:
        return replace(ruling, fate=Fate.LEFT_OUT)
    now = ", ".join(sorted("PUBLIC" if role == "public" else f'"{owner}"' for role in roles))
    return replace(ruling, text=f"{found[1]} {now}{found[3]}".encode(encoding, "surrogateescape"))


def _setting(said: str, line: int) -> str | None:
    """The encoding that a statement sets, as Python calls it; None if it sets none.

    Raises:
        Refused: it sets what would make bytes mean something else to the server than to who took the dump apart.
    """
    encoding = _ENCODING.match(said)
    plain = encoding[1].upper().replace("_", "").replace("-", "") if encoding is not None else ""
    if encoding is not None and plain in _UNSAFE:
        raise Refused(
            f"Line {line} of the dump sets the encoding {encoding[1]}, which cannot be read safely.",
            hint="Dump again with: pg_dump --encoding=UTF8",
        )
    if _STRINGS.match(said):
        raise Refused(
            f"Line {line} of the dump sets standard_conforming_strings off, which cannot be read safely.",
            hint="Switch it on for the database that is dumped, and dump again.",
        )
    if encoding is None:
        return None
    name = {"SQLASCII": "utf-8", "UNICODE": "utf-8", **_LATIN}.get(plain, encoding[1])
    with contextlib.suppress(LookupError):
        return codecs.lookup(re.sub(r"(?i)^WIN", "cp", name)).name
    raise Refused(f"Line {line} of the dump sets the encoding {encoding[1]}, which is not known here.")


def _roles(listed: str) -> frozenset[str]:
    return frozenset(unquoted(name) for name in re.findall(_NAME, listed) if name.upper() != "GROUP")


def _qualified(first: str, second: str | None) -> QualifiedName:
    return (unquoted(first), unquoted(second)) if second else ("public", unquoted(first))


def _label(said: str) -> str:
    words = " ".join(said.encode("utf-8", "replace").decode().split()).rstrip(";")
    return words if len(words) <= _LABEL_MAX else words[: _LABEL_MAX - 1] + "…"
