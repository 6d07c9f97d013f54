"""Keeps what the Cloud SQL emulator knows, so that a restart and kill -9 lose nothing that was answered.

One SQLite file of JSON documents by kind and name. A write is on its way to the disk before the answer leaves; the
file outlives the death of the supervisor at any moment.
"""

import json
import sqlite3
from pathlib import Path
from typing import Any, Literal, TypeAlias

Kind: TypeAlias = Literal["instance", "operation", "retired"]
Document: TypeAlias = dict[str, Any]


class Records:
    """Documents by kind and name.

    Args:
        path: The file, made if missing and readable for its owner alone.
    """

    def __init__(self, path: Path) -> None:
        path.touch(mode=0o600, exist_ok=True)
        self._database = sqlite3.connect(path, isolation_level=None)
        self._database.execute("PRAGMA journal_mode = WAL")
        self._database.execute("PRAGMA synchronous = NORMAL")
        self._database.execute(
            "CREATE TABLE IF NOT EXISTS records (kind TEXT NOT NULL, name TEXT NOT NULL, document TEXT NOT NULL, "
            "PRIMARY KEY (kind, name))"
        )

    def put(self, kind: Kind, name: str, document: Document) -> None:
        """Write a document, in the place of the one that bore this name."""
        self._database.execute(
            "INSERT INTO records VALUES (?, ?, ?) ON CONFLICT (kind, name) DO UPDATE SET document = excluded.document",
            (kind, name, json.dumps(document)),
        )

    def get(self, kind: Kind, name: str) -> Document | None:
        """Return the document of this name, or None."""
        row = self._database.execute(
            "SELECT document FROM records WHERE kind = ? AND name = ?", (kind, name)
        ).fetchone()
        return None if row is None else _document(row[0])

    def all(self, kind: Kind) -> list[Document]:
        """Return all documents of a kind, oldest first."""
        rows = self._database.execute("SELECT document FROM records WHERE kind = ? ORDER BY rowid", (kind,))
        return [_document(row[0]) for row in rows]

    def delete(self, kind: Kind, name: str) -> None:
        """Forget a document; one that is unknown is no error."""
        self._database.execute("DELETE FROM records WHERE kind = ? AND name = ?", (kind, name))

    def keep_newest(self, kind: Kind, count: int) -> None:
        """Forget all documents of a kind but the newest `count`."""
        self._database.execute(
            "DELETE FROM records WHERE kind = ? AND rowid NOT IN "
            "(SELECT rowid FROM records WHERE kind = ? ORDER BY rowid DESC LIMIT ?)",
            (kind, kind, count),
        )

    def close(self) -> None:
        """Write everything out and let go of the file."""
        self._database.close()


def _document(text: str) -> Document:
    document: Document = json.loads(text)
    return document
