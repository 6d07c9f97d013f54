"""What the object store remembers: buckets, versions of objects and uploads under way, in one SQLite file.

A `Transaction` sees the rows and changes them; `Metadata.run` carries out one piece of work as one transaction, on one
thread of its own: pieces of work never overlap, the event loop never waits for a disk, and what has returned survives
kill -9 and a loss of power (write-ahead log, synced at each commit).

The file knows which bytes belong to which version. Bytes without a row do not exist, so making and dropping an object
is one commit; files that no row names any more are reported when the transaction has been committed.
"""

import asyncio
import json
import sqlite3
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final, Literal, TypeAlias, TypeVar

from tenantctl.localcloud.object_refusals import no_such_bucket
from tenantctl.localcloud.object_rules import Document, parse_time

State: TypeAlias = Literal["live", "noncurrent", "deleted"]
Result = TypeVar("Result")

_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS bucket (
    name TEXT PRIMARY KEY,
    project TEXT NOT NULL,
    document TEXT NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS version (
    bucket TEXT NOT NULL,
    name TEXT NOT NULL,
    generation INTEGER NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('live', 'noncurrent', 'deleted')),
    file TEXT NOT NULL,
    created REAL NOT NULL,
    hard_delete REAL,
    document TEXT NOT NULL,
    PRIMARY KEY (bucket, name, generation)
) WITHOUT ROWID;
CREATE UNIQUE INDEX IF NOT EXISTS version_one_live ON version (bucket, name) WHERE state = 'live';
CREATE INDEX IF NOT EXISTS version_by_file ON version (file);
CREATE INDEX IF NOT EXISTS version_by_age ON version (bucket, created) WHERE state <> 'deleted';
CREATE INDEX IF NOT EXISTS version_by_hard_delete ON version (hard_delete) WHERE state = 'deleted';
CREATE TABLE IF NOT EXISTS upload (
    id TEXT PRIMARY KEY,
    file TEXT NOT NULL,
    begun REAL NOT NULL,
    document TEXT NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS last_generation (only INTEGER PRIMARY KEY CHECK (only = 1), generation INTEGER NOT NULL);
INSERT OR IGNORE INTO last_generation VALUES (1, 0);
"""


@dataclass(frozen=True)
class Version:
    """One version of an object: live, noncurrent, or soft-deleted.

    Attributes:
        bucket: The bucket's name.
        name: The object's name.
        generation: Its generation; greater than that of any version made before.
        state: Where it stands.
        file: The name of the file with its bytes.
        document: Its JSON resource without derived fields.
    """

    bucket: str
    name: str
    generation: int
    state: State
    file: str
    document: Document

    @property
    def metageneration(self) -> int:
        """How often its metadata was written, the first time included."""
        return int(self.document["metageneration"])

    @property
    def size(self) -> int:
        """Its length in bytes."""
        return int(self.document["size"])


class Transaction:
    """The rows, as one transaction sees and changes them."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._released: set[str] = set()

    def find_bucket(self, name: str) -> Document | None:
        """Return a bucket's document, or None if there is no such bucket."""
        row = self._connection.execute("SELECT document FROM bucket WHERE name = ?", (name,)).fetchone()
        return json.loads(row[0]) if row else None

    def bucket(self, name: str) -> Document:
        """Return a bucket's document.

        Raises:
            Refusal: 404, there is no such bucket.
        """
        document = self.find_bucket(name)
        if document is None:
            raise no_such_bucket()
        return document

    def buckets(self, *, project: str | None = None, prefix: str = "") -> list[Document]:
        """Return the buckets of a project, or of all, in the order of their names."""
        rows = self._connection.execute("SELECT project, document FROM bucket ORDER BY name").fetchall()
        documents = [json.loads(document) for owner, document in rows if project in (None, owner)]
        return [document for document in documents if document["name"].startswith(prefix)]

    def add_bucket(self, project: str, document: Document) -> None:
        """Add a bucket that is not there yet."""
        row = (document["name"], project, json.dumps(document))
        self._connection.execute("INSERT INTO bucket VALUES (?, ?, ?)", row)

    def save_bucket(self, document: Document) -> None:
        """Write a bucket's changed document."""
        row = (json.dumps(document), document["name"])
        self._connection.execute("UPDATE bucket SET document = ? WHERE name = ?", row)

    def drop_bucket(self, name: str) -> None:
        """Remove a bucket and all versions that are left in it."""
        for version in self.versions(name):
            self.drop_version(version)
        self._connection.execute("DELETE FROM bucket WHERE name = ?", (name,))

    def is_empty(self, bucket: str) -> bool:
        """Say whether a bucket has neither live nor noncurrent objects."""
        query = "SELECT 1 FROM version WHERE bucket = ? AND state <> 'deleted' LIMIT 1"
        return self._connection.execute(query, (bucket,)).fetchone() is None

    def live(self, bucket: str, name: str) -> Version | None:
        """Return an object's live version."""
        return self._one("bucket = ? AND name = ? AND state = 'live'", (bucket, name))

    def version(self, bucket: str, name: str, generation: int) -> Version | None:
        """Return one version of an object, whatever its state."""
        return self._one("bucket = ? AND name = ? AND generation = ?", (bucket, name, generation))

    def versions(self, bucket: str, *, created_by: datetime | None = None) -> list[Version]:
        """Return a bucket's versions by name and generation; with `created_by`, those not deleted and that old."""
        if created_by is None:
            return self._many("bucket = ?", (bucket,))
        return self._many("bucket = ? AND state <> 'deleted' AND created <= ?", (bucket, created_by.timestamp()))

    def page(
        self, bucket: str, states: Sequence[State], after: tuple[str, int], until: str | None, limit: int
    ) -> list[Version]:
        """Return up to `limit` versions in the order of name and generation.

        Args:
            bucket: The bucket's name.
            states: The states wanted.
            after: The name and generation after which to begin; generation -1 begins with the name itself.
            until: The name before which to end.
            limit: The greatest number wanted.
        """
        where = f"bucket = ? AND state IN ({','.join('?' * len(states))}) AND (name, generation) > (?, ?)"
        values: list[Any] = [bucket, *states, *after]
        if until is not None:
            where += " AND name < ?"
            values.append(until)
        return self._many(where, values, limit=limit)

    def newer_versions(self, version: Version) -> int:
        """Count the versions of the same object that are newer and not deleted."""
        query = "SELECT count(*) FROM version WHERE bucket = ? AND name = ? AND generation > ? AND state <> 'deleted'"
        values = (version.bucket, version.name, version.generation)
        return int(self._connection.execute(query, values).fetchone()[0])

    def past_hard_delete(self, now: datetime) -> list[Version]:
        """Return the soft-deleted versions whose time is over."""
        return self._many("state = 'deleted' AND hard_delete <= ?", (now.timestamp(),))

    def next_generation(self, now: datetime) -> int:
        """Return a generation that is greater than all before: microseconds of the clock, or one more than the last."""
        last = self._connection.execute("SELECT generation FROM last_generation").fetchone()
        generation = max(int(last[0]) + 1, int(now.timestamp() * 1_000_000))
        self._connection.execute("UPDATE last_generation SET generation = ?", (generation,))
        return generation

    def save_version(self, version: Version) -> None:
        """Add a version, or write its changed document and state."""
        hard_delete = version.document.get("hardDeleteTime")
        row = (
            version.bucket,
            version.name,
            version.generation,
            version.state,
            version.file,
            parse_time(version.document["timeCreated"]).timestamp(),
            parse_time(hard_delete).timestamp() if hard_delete else None,
            json.dumps(version.document),
        )
        self._connection.execute("INSERT OR REPLACE INTO version VALUES (?, ?, ?, ?, ?, ?, ?, ?)", row)

    def drop_version(self, version: Version) -> None:
        """Remove a version for good; its bytes go when nothing else names them."""
        query = "DELETE FROM version WHERE bucket = ? AND name = ? AND generation = ?"
        self._connection.execute(query, (version.bucket, version.name, version.generation))
        self._released.add(version.file)

    def upload(self, identifier: str) -> Document | None:
        """Return an upload under way, or lately ended, by its id."""
        row = self._connection.execute("SELECT document FROM upload WHERE id = ?", (identifier,)).fetchone()
        return json.loads(row[0]) if row else None

    def save_upload(self, identifier: str, document: Document, begun: datetime) -> None:
        """Add an upload, or write what became of it."""
        row = (identifier, document["file"], begun.timestamp(), json.dumps(document))
        self._connection.execute(
            "INSERT INTO upload VALUES (?, ?, ?, ?) ON CONFLICT (id) DO UPDATE SET document = excluded.document", row
        )

    def release(self, file: str) -> None:
        """Let go of bytes that were never, or are no longer, an object's or an upload's."""
        self._released.add(file)

    def drop_uploads(self, begun_by: datetime) -> None:
        """Forget the uploads begun up to a moment, and their bytes."""
        query = "DELETE FROM upload WHERE begun <= ? RETURNING file"
        self._released |= {row[0] for row in self._connection.execute(query, (begun_by.timestamp(),)).fetchall()}

    def files(self) -> set[str]:
        """Return the names of all files that belong to a version or to an upload under way."""
        rows = self._connection.execute("SELECT file FROM version").fetchall()
        uploads = self._connection.execute("SELECT file, document FROM upload").fetchall()
        return {row[0] for row in rows} | {file for file, text in uploads if json.loads(text)["state"] == "open"}

    def unnamed(self) -> set[str]:
        """Return the released files that no version names any more."""
        query = "SELECT 1 FROM version WHERE file = ? LIMIT 1"
        return {file for file in self._released if self._connection.execute(query, (file,)).fetchone() is None}

    def _one(self, where: str, values: Sequence[Any]) -> Version | None:
        return next(iter(self._many(where, values)), None)

    def _many(self, where: str, values: Sequence[Any], *, limit: int = -1) -> list[Version]:
        query = f"""SELECT bucket, name, generation, state, file, document FROM version
            WHERE {where} ORDER BY name, generation LIMIT ?"""  # noqa: S608 - conditions are this module's own
        rows = self._connection.execute(query, (*values, limit)).fetchall()
        return [Version(row[0], row[1], row[2], row[3], row[4], json.loads(row[5])) for row in rows]


class Metadata:
    """The SQLite file, and the one thread that works on it.

    Args:
        path: Where the file lies, or is to be made.
        drop_file: What to do, on that thread, with each file that lost its last row.
    """

    def __init__(self, path: Path, drop_file: Callable[[str], None]) -> None:
        self._drop_file = drop_file
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="object-metadata")
        self._connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        self._connection.execute("PRAGMA journal_mode = WAL")
        self._connection.execute("PRAGMA synchronous = FULL")
        self._connection.executescript(_SCHEMA)

    async def run(self, work: Callable[[Transaction], Result]) -> Result:
        """Carry out one piece of work as one durable transaction; if it raises, nothing of it stays."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._run, work)

    def close(self) -> None:
        """Finish what runs and close the file."""
        self._thread.shutdown(wait=True)
        self._connection.close()

    def _run(self, work: Callable[[Transaction], Result]) -> Result:
        transaction = Transaction(self._connection)
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            result = work(transaction)
            unnamed = transaction.unnamed()
            self._connection.execute("COMMIT")
        except BaseException:
            self._connection.execute("ROLLBACK")
            raise
        for file in unnamed:
            self._drop_file(file)
        return result
