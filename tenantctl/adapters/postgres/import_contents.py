"""What is in a dump from elsewhere: gathered while it is read through, before anything of it is run."""

import re
from typing import Final

from tenantctl.adapters.postgres.script import MetaCommand, Part, Rows
from tenantctl.adapters.postgres.script_rules import Fate, QualifiedName, rule
from tenantctl.model.errors import Refused
from tenantctl.pgbin import find_programs
from tenantctl.ports.imports import DumpSeen

VERSION_MIN: Final = 12
LEFT_OUT_MAX: Final = 1000  # told; the rest is counted
_PASSED_OVER: Final = frozenset({"\\connect", "\\c", "\\restrict", "\\unrestrict"})
_CONNECTS: Final = frozenset({"\\connect", "\\c"})
_OURS: Final = frozenset({"plpgsql"})  # every database has it
_MAKES: Final = frozenset({Fate.RUN, Fate.SCHEMA, Fate.EXTENSION, Fate.ROWS})
_SETS: Final = ("SET ", "SELECT pg_catalog.set_config(")


def check_command(command: MetaCommand) -> str:
    """The name of a command of psql's that may be passed over.

    Raises:
        Refused: it is another one.
    """
    name = command.text.split()[0]
    if name not in _PASSED_OVER:
        raise Refused(
            f"Line {command.line} of the dump has psql's {name}, and no command of psql's is run.",
            hint=f"Only {', '.join(sorted(_PASSED_OVER))} are passed over; remove the line, or dump again.",
        )
    return name


class Contents:
    """Takes a dump's parts, and says what they are together."""

    def __init__(self) -> None:
        self._tables: dict[QualifiedName, None] = {}
        self._rows = self._not_told = 0
        self._schemas: dict[str, None] = {}
        self._extensions: dict[str, str] = {}
        self._owners: set[str] = set()
        self._roles: set[str] = set()
        self._left_out: list[str] = []
        self._databases = 0  # in which something is made
        self._makes = False
        self._encoding = "utf-8"

    def take(self, part: Part) -> None:
        """One part more.

        Raises:
            Refused: it is nothing that is brought in.
        """
        if isinstance(part, Rows):
            self._rows += part.lines.count(b"\n")
            return
        if isinstance(part, MetaCommand):
            if check_command(part) in _CONNECTS:
                self._makes = False
            return
        ruling = rule(part.text, part.line, encoding=self._encoding, owners=frozenset(), owner="owner")
        self._encoding = ruling.encoding or self._encoding
        if ruling.fate in _MAKES and not ruling.label.startswith(_SETS) and ruling.names[:1] != ("plpgsql",):
            self._databases += not self._makes
            self._makes = True
            if self._databases > 1:
                raise Refused(
                    f"The dump holds several databases; another one begins before line {part.line}.",
                    hint="Dump the one that is meant: pg_dump --format=custom DATABASE",
                )
        if ruling.table is not None and ruling.fate is not Fate.ROWS:
            self._tables[ruling.table] = None
        match ruling.fate:
            case Fate.SCHEMA:
                self._schemas[ruling.names[0]] = None
            case Fate.EXTENSION if ruling.names[0] not in _OURS:
                self._extensions[ruling.names[0]] = ruling.names[1]
            case Fate.QUIET:
                self._owners.update(ruling.names)
            case Fate.LEFT_OUT:
                self._roles.update(ruling.names)
                if len(self._left_out) < LEFT_OUT_MAX:
                    self._left_out.append(ruling.label)

    def seen(self, form: str, server_version: str, program_version: str) -> DumpSeen:
        """All of it.

        Raises:
            Refused: it comes from a server that is too old, too new, or not named.
        """
        number = re.match(r"\d+", server_version)
        if number is None:
            raise Refused("The dump does not say which version of PostgreSQL it comes from.")
        ours = find_programs().major
        if int(number[0]) < VERSION_MIN:
            raise Refused(f"The dump comes from PostgreSQL {server_version}; {VERSION_MIN} and newer are taken.")
        if int(number[0]) > ours:
            raise Refused(f"The dump comes from PostgreSQL {server_version}, which is newer than the {ours} here.")
        owners, roles = self._owners, {*self._owners, *self._roles}
        return DumpSeen(
            form=form,
            server_version=server_version,
            program_version=program_version,
            tables=tuple(f"{schema}.{name}" for schema, name in sorted(self._tables)),
            rows=self._rows,
            schemas=tuple(name for name in self._schemas if name != "public"),
            extensions=self._extensions,
            owners=tuple(sorted(owners)),
            roles=tuple(sorted(roles)),
            left_out=tuple(self._left_out),
        )
