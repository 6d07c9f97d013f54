"""What the local Cloud KMS knows: rings, keys, their versions and key material, in one SQLite file.

The file is readable for its owner alone. A write is on the disk before the answer leaves, so kill -9 loses nothing that
was answered. Time does here what it does in the real service, whenever somebody looks: versions whose destruction is
due lose their material, overwritten on the disk as well, and keys whose rotation is due get a new primary version.
"""

import json
import os
import secrets
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final, TypeAlias

Document: TypeAlias = dict[str, Any]

_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS ring (name TEXT PRIMARY KEY, document TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS key (name TEXT PRIMARY KEY, document TEXT NOT NULL, rotates REAL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS version (
    key TEXT NOT NULL,
    number INTEGER NOT NULL,
    state TEXT NOT NULL,
    document TEXT NOT NULL,
    destroys REAL,
    material BLOB,
    PRIMARY KEY (key, number)
) WITHOUT ROWID;
"""


@dataclass(frozen=True)
class Version:
    """One version of a key.

    Attributes:
        key: the resource name of its key.
        number: 1 and up.
        state: Google's word for it.
        document: the rest of its resource.
        destroys_at: when its material will be destroyed, if that was asked for.
        material: 32 bytes; None once destroyed.
    """

    key: str
    number: int
    state: str
    document: Document
    destroys_at: datetime | None
    material: bytes | None

    @property
    def name(self) -> str:
        """Its resource name."""
        return f"{self.key}/cryptoKeyVersions/{self.number}"

    @property
    def resource(self) -> Document:
        """The version as the API shows it."""
        scheduled = {} if self.destroys_at is None else {"destroyTime": format_time(self.destroys_at)}
        return {"name": self.name, "state": self.state, **self.document, **scheduled}


class KmsRecords:
    """The rows; used from one thread.

    Args:
        path: the file, made if missing.
    """

    def __init__(self, path: Path) -> None:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
        self._rows = sqlite3.connect(path, isolation_level=None)
        # No write-ahead log, which would keep destroyed material for a while.
        self._rows.execute("PRAGMA journal_mode = DELETE")
        self._rows.execute("PRAGMA synchronous = FULL")
        self._rows.execute("PRAGMA secure_delete = ON")
        self._rows.executescript(_SCHEMA)

    def close(self) -> None:
        """Let go of the file."""
        self._rows.close()

    @contextmanager
    def changing(self) -> Iterator[None]:
        """Make the changes of the block durable together, or none of them."""
        self._rows.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._rows.execute("ROLLBACK")
            raise
        self._rows.execute("COMMIT")

    def ring(self, name: str) -> Document | None:
        """A key ring's resource, or None."""
        return self._one("SELECT document FROM ring WHERE name = ?", name)

    def rings(self, location: str) -> list[Document]:
        """The key rings of a location, by name."""
        return self._below("ring", f"{location}/keyRings/")

    def add_ring(self, document: Document) -> None:
        """Add a key ring that is not there."""
        self._rows.execute("INSERT INTO ring VALUES (?, ?)", (document["name"], json.dumps(document)))

    def key(self, name: str) -> Document | None:
        """A key's resource without its primary version, whose number stands in `_primary` if it has one; or None."""
        return self._one("SELECT document FROM key WHERE name = ?", name)

    def keys(self, ring: str) -> list[Document]:
        """The keys of a ring, by name."""
        return self._below("key", f"{ring}/cryptoKeys/")

    def put_key(self, document: Document) -> None:
        """Write a key, in the place of the one that bore this name."""
        rotates = document.get("nextRotationTime")
        row = (document["name"], json.dumps(document), parse_time(rotates).timestamp() if rotates else None)
        self._rows.execute("INSERT OR REPLACE INTO key VALUES (?, ?, ?)", row)

    def version(self, key: str, number: int) -> Version | None:
        """One version, or None."""
        return next(iter(self._versions("key = ? AND number = ?", key, number)), None)

    def versions(self, key: str) -> list[Version]:
        """The versions of a key, oldest first."""
        return self._versions("key = ?", key)

    def add_version(self, key: str, now: datetime, algorithm: str = "GOOGLE_SYMMETRIC_ENCRYPTION") -> Version:
        """Add an enabled version with new material."""
        taken = self._rows.execute("SELECT coalesce(max(number), 0) FROM version WHERE key = ?", (key,)).fetchone()
        document = {
            "protectionLevel": "SOFTWARE",
            "algorithm": algorithm,
            "createTime": format_time(now),
            "generateTime": format_time(now),
        }
        version = Version(key, taken[0] + 1, "ENABLED", document, None, secrets.token_bytes(32))
        self.put_version(version)
        return version

    def put_version(self, version: Version) -> None:
        """Write a version, in the place of the one that bore this number."""
        destroys = None if version.destroys_at is None else version.destroys_at.timestamp()
        row = (version.key, version.number, version.state, json.dumps(version.document), destroys, version.material)
        self._rows.execute(
            "INSERT INTO version VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (key, number) DO UPDATE SET "
            "state = excluded.state, document = excluded.document, destroys = excluded.destroys, "
            "material = excluded.material",
            row,
        )

    def pass_time(self, now: datetime) -> None:
        """Do what has become due by now: destroy versions, and rotate keys."""
        moment = now.timestamp()
        due = self._versions("state = 'DESTROY_SCHEDULED' AND destroys <= ?", moment)
        rows = self._rows.execute("SELECT document FROM key WHERE rotates <= ?", (moment,)).fetchall()
        if not due and not rows:
            return
        with self.changing():
            for version in due:
                assert version.destroys_at is not None, "the query asked for it"
                destroyed = {**version.document, "destroyEventTime": format_time(version.destroys_at)}
                self.put_version(replace(version, state="DESTROYED", document=destroyed, material=None))
            for (text,) in rows:
                self._rotate(json.loads(text), now)

    def _rotate(self, key: Document, now: datetime) -> None:
        period = parse_duration(key["rotationPeriod"])
        at = parse_time(key["nextRotationTime"])
        while at <= now:
            key["_primary"] = self.add_version(key["name"], at).number
            at += period
        key["nextRotationTime"] = format_time(at)
        self.put_key(key)

    def _one(self, query: str, *values: Any) -> Document | None:
        row = self._rows.execute(query, values).fetchone()
        return json.loads(row[0]) if row else None

    def _below(self, table: str, prefix: str) -> list[Document]:
        query = f"SELECT document FROM {table} WHERE substr(name, 1, ?) = ? ORDER BY name"  # noqa: S608 - our own names
        return [json.loads(row[0]) for row in self._rows.execute(query, (len(prefix), prefix))]

    def _versions(self, where: str, *values: Any) -> list[Version]:
        query = f"""SELECT key, number, state, document, destroys, material FROM version
            WHERE {where} ORDER BY key, number"""  # noqa: S608 - conditions are this module's own
        return [
            Version(key, number, state, json.loads(text), _moment(destroys), material)
            for key, number, state, text, destroys, material in self._rows.execute(query, values).fetchall()
        ]


def parse_duration(text: object) -> timedelta:
    """A duration as Google's JSON writes it: seconds with an `s`.

    Raises:
        ValueError: it is none.
    """
    if not isinstance(text, str) or not text.endswith("s"):
        raise ValueError(f"{text!r} is no duration: write it like 7776000s.")
    try:
        return timedelta(seconds=float(text[:-1]))
    except OverflowError as error:
        raise ValueError(f"{text!r} is longer than any calendar.") from error


def parse_time(text: object) -> datetime:
    """A time as Google's JSON writes it: RFC 3339.

    Raises:
        ValueError: it is none.
    """
    moment = datetime.fromisoformat(text) if isinstance(text, str) else None
    if moment is None or moment.tzinfo is None:
        raise ValueError(f"{text!r} is no time: write it like 2026-11-23T00:00:00Z.")
    return moment.astimezone(UTC)


def format_time(moment: datetime) -> str:
    """The same, written."""
    return moment.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def _moment(timestamp: float | None) -> datetime | None:
    return None if timestamp is None else datetime.fromtimestamp(timestamp, UTC)
