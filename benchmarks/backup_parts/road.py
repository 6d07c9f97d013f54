"""The road that everybody else's `pg_dump` takes to the instances: a process like Google's Cloud SQL Auth Proxy.

In production nobody reaches an instance but through TLS with a short-lived certificate; so what we are compared with
goes the same way. Run as `python -m benchmarks.backup_parts.road PLACE`, it prints its sockets' folders and the login,
and ends with its input.
"""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # run from wherever

from benchmarks.backup_parts.costs import processor_seconds_of
from benchmarks.backup_parts.place import SOURCE, TARGET, Place


@dataclass(frozen=True)
class Road:
    """A running proxy: the folders of its sockets, and the login that it vouches for."""

    pid: int
    source: str
    target: str
    login: str

    def environment(self, database: str, *, folder: str = "") -> dict[str, str]:
        """What leads PostgreSQL's programs to a database."""
        place = {"PGHOST": folder or self.source, "PGPORT": "5432", "PGUSER": self.login, "PGDATABASE": database}
        return {**place, "PGSSLMODE": "disable", "LC_ALL": "C", "PGPASSFILE": os.devnull}

    def processor_seconds(self) -> float:
        """What the proxy has used."""
        return processor_seconds_of(self.pid)


@contextmanager
def road(place: Place) -> Iterator[Road]:
    """Have a proxy for as long as the block."""
    command = [sys.executable, str(Path(__file__)), place.to_text()]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        assert process.stdout is not None
        yield Road(process.pid, *json.loads(process.stdout.readline()))
    finally:
        process.communicate()


def main(place: str) -> None:
    """Stand between until the input ends."""
    sessions = Place.from_text(place).sessions()
    with sessions.socket(SOURCE) as source, sessions.socket(TARGET) as target:
        print(json.dumps([str(source.folder), str(target.folder), sessions.login]), flush=True)
        sys.stdin.read()
    sessions.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
