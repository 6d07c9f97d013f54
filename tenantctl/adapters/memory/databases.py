"""The tenants' databases in memory: the same answers and refusals, without a server.

Tests fill tables through `MemoryInstances`, make an instance unreachable there, and let customers connect. A dump is
JSON lines and not PostgreSQL's archive, but ends, breaks off and is refused in the same way.
"""

import contextlib
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Final, TypeVar

from tenantctl.adapters.memory import adopting
from tenantctl.adapters.memory.archives import FIRST_LINE, LAST_LINE, MemoryDump, digest_of, refill
from tenantctl.model.adoption import ForeignSeen
from tenantctl.model.backup import TableDigest
from tenantctl.model.errors import NotFound, Refused, Transient
from tenantctl.model.sighting import Gone, Present, Sighting, Unreachable
from tenantctl.model.tenant import Hosting, tenants_role
from tenantctl.ports.databases import Census, DatabaseSeen, Dump, LoginsSeen

Seen = TypeVar("Seen")

_EXTENSIONS: Final = frozenset({"citext", "hstore", "pg_trgm", "plpgsql", "unaccent"})


@dataclass
class MemoryDatabase:
    """A database: its comment, its tables' rows as text, and what was done to it."""

    marker: str = ""
    tables: dict[str, list[str]] = field(default_factory=dict)
    schema_owner: str = ""
    extensions: set[str] = field(default_factory=lambda: {"plpgsql"})
    forced: set[str] = field(default_factory=set)
    public: bool = True
    owners: set[str] = field(default_factory=set)


@dataclass
class MemoryRole:
    """A role, and how many sessions it has."""

    can_log_in: bool = False
    connection_limit: int = -1
    password: str | None = None
    sessions: int = 0


@dataclass
class MemoryInstance:
    """What is on one instance; `reachable` is for tests to set."""

    databases: dict[str, MemoryDatabase] = field(default_factory=dict)
    roles: dict[str, MemoryRole] = field(default_factory=dict)
    reachable: bool = True


class MemoryInstances:
    """The instances, made as they are named; shared by `MemoryDatabases` and `MemoryScratch`."""

    def __init__(self) -> None:
        self._instances: dict[str, MemoryInstance] = {}
        self.dump_breaks_after: int | None = None
        """After how many pieces a dump breaks off, also one that is being read; None lets them end."""

    def __getitem__(self, name: str) -> MemoryInstance:
        return self._instances.setdefault(name, MemoryInstance())

    def answering(self, name: str) -> MemoryInstance:
        """An instance that answers.

        Raises:
            Transient: it does not.
        """
        if not self[name].reachable:
            raise Transient(f"The instance {name} does not answer.", hint="Try again later.")
        return self[name]

    def connect(self, hosting: Hosting, password: str) -> None:
        """Let the tenant's customer log in.

        Raises:
            Refused: it may not, or has the wrong password, or too many sessions.
        """
        role = self.answering(hosting.instance).roles.get(hosting.login)
        if role is None or not role.can_log_in or role.password != password:
            raise Refused(f"{hosting.login} cannot log in.")
        if 0 <= role.connection_limit <= role.sessions:
            raise Refused(f"{hosting.login} has too many sessions.")
        role.sessions += 1


class MemoryDatabases:
    """The port `Databases`."""

    def __init__(self, instances: MemoryInstances | None = None) -> None:
        self.instances = instances or MemoryInstances()

    def look(self, hosting: Hosting) -> Sighting[DatabaseSeen]:
        """See the port."""
        instance = self.instances[hosting.instance]
        if not instance.reachable:
            return _silent(hosting.instance)
        database = instance.databases.get(hosting.database)
        if database is None:
            return Gone()
        return Present(
            DatabaseSeen(database.marker, sum(len(row) for rows in database.tables.values() for row in rows))
        )

    def census(self, instance: str) -> Sighting[Census]:
        """See the port."""
        there = self.instances[instance]
        if not there.reachable:
            return _silent(instance)
        roles = {name: role.can_log_in for name, role in there.roles.items() if tenants_role(name)}
        return Present(Census({name: database.marker for name, database in there.databases.items()}, roles))

    def look_at_roles(self, hosting: Hosting) -> Sighting[tuple[str, ...]]:
        """See the port."""
        instance = self.instances[hosting.instance]
        if not instance.reachable:
            return _silent(hosting.instance)
        there = tuple(sorted({hosting.owner, hosting.login} & instance.roles.keys()))
        return Present(there) if there else Gone()

    def look_at_logins(self, hosting: Hosting) -> Sighting[LoginsSeen]:
        """See the port."""
        instance = self.instances[hosting.instance]
        if not instance.reachable:
            return _silent(hosting.instance)
        role = instance.roles.get(hosting.login)
        return Gone() if role is None else Present(LoginsSeen(role.can_log_in, role.sessions))

    def create_roles(self, hosting: Hosting, *, connection_limit: int) -> None:
        """See the port."""
        known = self.instances.answering(hosting.instance).roles
        known.setdefault(hosting.owner, MemoryRole())
        known.setdefault(hosting.login, MemoryRole()).connection_limit = connection_limit

    def create_database(self, hosting: Hosting) -> None:
        """See the port."""
        instance = self.instances.answering(hosting.instance)
        if hosting.owner not in instance.roles:
            raise NotFound(f"The instance {hosting.instance} has no role {hosting.owner}.")
        database = instance.databases.setdefault(hosting.database, MemoryDatabase())
        if database.marker != hosting.marker and (database.marker or database.tables):
            raise _not_ours(hosting)
        database.marker, database.public = hosting.marker, False

    def prepare(self, hosting: Hosting, *, extensions: Sequence[str]) -> None:
        """See the port."""
        database = self.own(hosting)
        if missing := set(extensions) - _EXTENSIONS:
            raise Refused(f"The instance {hosting.instance} has no extension {min(missing)}.")
        database.schema_owner = hosting.owner
        database.extensions |= set(extensions)

    def look_prepared(self, hosting: Hosting, *, extensions: Sequence[str]) -> bool:
        """See the port."""
        database = self.instances.answering(hosting.instance).databases.get(hosting.database)
        if database is None or database.marker != hosting.marker or database.public:
            return False
        return database.schema_owner == hosting.owner and set(extensions) <= database.extensions

    def open_logins(self, hosting: Hosting) -> None:
        """See the port."""
        self._login(hosting).can_log_in = True

    def close_logins(self, hosting: Hosting) -> None:
        """See the port."""
        instance = self.instances.answering(hosting.instance)
        database = instance.databases.get(hosting.database)
        if database is not None and database.marker != hosting.marker:
            raise _not_ours(hosting)
        if hosting.login in instance.roles:
            instance.roles[hosting.login].can_log_in = False
            instance.roles[hosting.login].sessions = 0

    def inspect_foreign(self, instance: str, database: str) -> Sighting[ForeignSeen]:
        """See the port."""
        if not self.instances[instance].reachable:
            return _silent(instance)
        found = self.instances[instance].databases.get(database)
        return Gone() if found is None else Present(adopting.seen_of(found))

    def look_adopted(self, hosting: Hosting) -> bool:
        """See the port."""
        return adopting.is_adopted(self.instances.answering(hosting.instance), hosting)

    def adopt(self, hosting: Hosting, database: str) -> None:
        """See the port."""
        adopting.adopt(self.instances.answering(hosting.instance), hosting, database)

    def set_password(self, hosting: Hosting, password: str) -> None:
        """See the port."""
        self._login(hosting).password = password

    def forced_row_security(self, hosting: Hosting) -> Sequence[str]:
        """See the port."""
        return tuple(sorted(self.own(hosting).forced))

    def set_forced_row_security(self, hosting: Hosting, tables: Sequence[str], *, forced: bool) -> None:
        """See the port."""
        database = self.own(hosting)
        there = set(tables) & database.tables.keys()
        database.forced = database.forced | there if forced else database.forced - there

    def drop_database(self, hosting: Hosting) -> None:
        """See the port."""
        instance = self.instances.answering(hosting.instance)
        if hosting.database not in instance.databases:
            return
        self.own(hosting)
        del instance.databases[hosting.database]
        if hosting.login in instance.roles:
            instance.roles[hosting.login].sessions = 0

    def drop_roles(self, hosting: Hosting) -> None:
        """See the port."""
        instance = self.instances.answering(hosting.instance)
        if hosting.database in instance.databases:
            raise Refused(f"The database {hosting.database} on {hosting.instance} is still there.")
        for name in (hosting.login, hosting.owner):
            instance.roles.pop(name, None)

    def look_empty(self, hosting: Hosting) -> bool:
        """See the port."""
        return not self.own(hosting).tables

    def restore(self, hosting: Hosting, chunks: Iterator[bytes], *, source: Hosting) -> Sequence[str]:
        """See the port; a line at a time, so that a restore which breaks off leaves what came before."""
        database = self.own(hosting)
        if database.tables:
            raise Refused(f"The database {hosting.database} on {hosting.instance} is not empty.")
        self.close_logins(hosting)
        refill(database.tables, hosting.database, chunks)
        return ()

    def digests(self, hosting: Hosting) -> Mapping[str, TableDigest]:
        """See the port."""
        return {table: digest_of(rows) for table, rows in sorted(self.own(hosting).tables.items())}

    def dump(self, hosting: Hosting) -> AbstractContextManager[Dump]:
        """See the port."""
        return self._dump(hosting)

    @contextlib.contextmanager
    def _dump(self, hosting: Hosting) -> Iterator[Dump]:
        database = self.own(hosting)
        yield MemoryDump(database.tables, database.forced, lambda: self.instances.dump_breaks_after)

    def own(self, hosting: Hosting) -> MemoryDatabase:
        """The tenant's database, known by its marker."""
        database = self.instances.answering(hosting.instance).databases.get(hosting.database)
        if database is None:
            raise NotFound(f"The instance {hosting.instance} has no database {hosting.database}.")
        if database.marker != hosting.marker:
            raise _not_ours(hosting)
        return database

    def _login(self, hosting: Hosting) -> MemoryRole:
        self.own(hosting)
        role = self.instances[hosting.instance].roles.get(hosting.login)
        if role is None:
            raise NotFound(f"The instance {hosting.instance} has no role {hosting.login}.")
        return role


class MemoryScratch:
    """The port `Scratch`; its databases and roles stand beside the tenants' on the same instances."""

    def __init__(self, instances: MemoryInstances | None = None) -> None:
        self.instances = instances or MemoryInstances()

    def create(self, instance: str, name: str) -> None:
        """See the port."""
        place = self.instances.answering(instance)
        _check(name)
        place.roles.setdefault(name, MemoryRole())
        place.databases.setdefault(name, MemoryDatabase())

    def restore(self, instance: str, name: str, chunks: Iterator[bytes]) -> None:
        """See the port."""
        database = self._scratch(instance, name)
        lines = b"".join(chunks).splitlines(keepends=True)
        if not lines or lines[0] != FIRST_LINE or lines[-1] != LAST_LINE:
            raise Refused(f"The archive does not restore into {name}: it is none, or not whole.")
        for line in lines[1:-1]:
            table, rows = json.loads(line)
            if table in database.tables:
                raise Refused(f"The archive does not restore into {name}: {table} exists.")
            database.tables[table] = rows

    def read_through(self, chunks: Iterator[bytes]) -> None:
        """See the port."""
        lines = b"".join(chunks).splitlines(keepends=True)
        if not lines or lines[0] != FIRST_LINE or lines[-1] != LAST_LINE:
            raise Refused("The archive cannot be read: it is none, or not whole.")

    def digests(self, instance: str, name: str) -> Mapping[str, TableDigest]:
        """See the port."""
        tables = self._scratch(instance, name).tables
        return {table: digest_of(rows) for table, rows in sorted(tables.items())}

    def drop(self, instance: str, name: str) -> None:
        """See the port."""
        place = self.instances.answering(instance)
        _check(name)
        place.databases.pop(name, None)
        place.roles.pop(name, None)

    def names(self, instance: str) -> Sighting[tuple[str, ...]]:
        """See the port."""
        place = self.instances[instance]
        if not place.reachable:
            return _silent(instance)
        return Present(tuple(sorted(name for name in {*place.databases, *place.roles} if name.startswith("s_"))))

    def _scratch(self, instance: str, name: str) -> MemoryDatabase:
        _check(name)
        database = self.instances.answering(instance).databases.get(name)
        if database is None:
            raise NotFound(f"The instance {instance} has no database {name}.")
        return database


def _check(name: str) -> None:
    if not name.startswith("s_"):
        raise Refused(f"{name!r} is no scratch database's name.")


def _silent(instance: str) -> Unreachable:
    return Unreachable(f"The instance {instance} does not answer.")


def _not_ours(hosting: Hosting) -> Refused:
    return Refused(f"The database {hosting.database} on {hosting.instance} is not tenant {hosting.uid}'s.")
