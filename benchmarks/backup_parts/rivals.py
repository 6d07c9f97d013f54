"""What an engineer would write instead: BASE, the cron script, and the pipe through zstd and age; and `pg_restore`.

All of them take the same road to the instance as we do. Where this machine lacks a program, its line is left out, and
the report says so.
"""

import shlex
import shutil
import subprocess
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from benchmarks.backup_parts.building import superuser, superuser_address
from benchmarks.backup_parts.costs import Cost, processor_seconds_below, run
from benchmarks.backup_parts.place import SOURCE, TARGET, Place, hosting_of
from benchmarks.backup_parts.road import Road
from tenantctl.pgbin import find_programs

ROLE = "--role=cloudsqlsuperuser"
BASE_LEVEL = 3
_BARE = "pg_dump -Fc --compress=none | cat > /dev/null"


@dataclass(frozen=True)
class Rivals:
    """Shell lines in a folder of their own.

    Args:
        place: the cloud.
        road: how they reach it.
        folder: where their files go.
    """

    place: Place
    road: Road
    folder: Path

    def base_line(self) -> str:
        """BASE, as the client at hand allows."""
        if _client_knows_zstd():
            return f"pg_dump -Fc --compress=zstd:{BASE_LEVEL} -f FILE"
        return f"pg_dump -Fc --compress=none | zstd -{BASE_LEVEL} > FILE"

    def base(self, uid: str) -> tuple[Cost, int]:
        """BASE: its cost, and the bytes stored."""
        file = self.folder / "base"
        return self._dump(uid, self._with_programs(self.base_line(), FILE=file)), file.stat().st_size

    def base_without_road(self, uid: str) -> Cost:
        """BASE on the server's own socket, which nobody has in production."""
        file = self.folder / "base"
        address = superuser_address(self.place.sockets, SOURCE, hosting_of(uid).database)
        line = self._with_programs(self.base_line(), FILE=file).replace(ROLE, f"--dbname={shlex.quote(address)}")
        return run(["sh", "-c", line], {})

    def bare(self, uid: str) -> Cost:
        """`pg_dump` alone, thrown away: nobody who dumps takes less."""
        return self._dump(uid, self._with_programs(_BARE))

    def bare_at_once(self, uids: Sequence[str], number: int) -> Cost:
        """The same of many databases, so many at once."""
        line, began = self._with_programs(_BARE), time.perf_counter()

        def bare(uid: str) -> Cost:
            return run(["sh", "-c", line], self.road.environment(hosting_of(uid).database))

        before, servers = self.road.processor_seconds(), self._servers()
        with ThreadPoolExecutor(number) as pool:
            own = sum(cost.processor for cost in pool.map(bare, uids))
        wall, road = time.perf_counter() - began, self.road.processor_seconds() - before
        return Cost(wall, own + road, servers=self._servers() - servers)

    def own_compression(self, uid: str) -> int:
        """What `pg_dump -Fc` stores by itself: the rows compressed, the catalogue not."""
        file = self.folder / "own"
        self._dump(uid, self._with_programs("pg_dump -Fc -f FILE", FILE=file))
        return file.stat().st_size

    def cron(self, uid: str) -> Cost:
        """The cron script: gzip, and a copy to each of two places."""
        return self._dump(uid, self._cron_line(uid))

    def cron_loop(self, uids: Sequence[str]) -> Cost:
        """The cron script for one database after the other."""
        lines = [f"PGDATABASE={hosting_of(uid).database} sh -c {shlex.quote(self._cron_line(uid))}" for uid in uids]
        before = self.road.processor_seconds()
        cost = run(["sh", "-ec", "\n".join(lines)], self.road.environment("postgres"))
        return cost + Cost(0, self.road.processor_seconds() - before)

    def age(self, uid: str) -> Cost | None:
        """The pipe `zstd | age | tee`; None where there is no age."""
        if shutil.which("age") is None or shutil.which("age-keygen") is None:
            return None
        key = self.folder / "key"
        key.unlink(missing_ok=True)
        subprocess.run(["age-keygen", "-o", str(key)], check=True, capture_output=True)
        said = subprocess.run(["age-keygen", "-y", str(key)], check=True, capture_output=True, text=True)
        line = f"pg_dump -Fc --compress=none | zstd -3 | age -r {said.stdout.strip()} | tee ONE > TWO"
        return self._dump(uid, self._with_programs(line, ONE=self.folder / "one", TWO=self.folder / "two"))

    def pg_restore(self, uid: str, *, jobs: int = 0) -> Cost:
        """`pg_restore` from a file into an empty database, with its defaults or several jobs."""
        file, database = self.folder / "restored", "benchmark_restored"
        self._dump(uid, self._with_programs("pg_dump -Fc -f FILE", FILE=file))
        with superuser(self.place.sockets, TARGET) as session:
            session.execute(f"CREATE DATABASE {database} OWNER cloudsqlsuperuser".encode())
        before = self.road.processor_seconds()
        line = f"pg_restore --no-owner --no-acl --exit-on-error -d {database} {f'-j{jobs}' if jobs else ''} FILE"
        environment = self.road.environment(database, folder=self.road.target)
        cost = run(["sh", "-c", self._with_programs(line, FILE=file)], environment)
        with superuser(self.place.sockets, TARGET) as session:
            session.execute(f"DROP DATABASE {database} WITH (FORCE)".encode())
        return cost + Cost(0, self.road.processor_seconds() - before)

    def _cron_line(self, uid: str) -> str:
        line = "pg_dump | gzip > FILE && cp FILE ONE && cp FILE TWO"
        places = {name: self.folder / f"{name.lower()}-{uid}" for name in ("FILE", "ONE", "TWO")}
        return self._with_programs(line, **places)

    def _dump(self, uid: str, line: str) -> Cost:
        """A line's cost with that of its road."""
        before, servers = self.road.processor_seconds(), self._servers()
        cost = run(["sh", "-c", line], self.road.environment(hosting_of(uid).database))
        return cost + Cost(0, self.road.processor_seconds() - before, servers=self._servers() - servers)

    def _servers(self) -> float:
        """What the servers and the cloud have used; the road names their folder too, and is none of them."""
        return processor_seconds_below(Path(self.place.folder)) - self.road.processor_seconds()

    def _with_programs(self, line: str, **files: Path) -> str:
        """A line with the paths of programs and files in the place of their names."""
        programs = find_programs()
        line = line.replace("pg_dump", f"{shlex.quote(str(programs.path('pg_dump')))} {ROLE}")
        line = line.replace("pg_restore", shlex.quote(str(programs.path("pg_restore"))))
        for name, file in files.items():
            line = line.replace(name, shlex.quote(str(file)))
        return line


def _client_knows_zstd() -> bool:
    """Whether the `pg_dump` at hand was built with zstd; a dump of nowhere tells."""
    command = [str(find_programs().path("pg_dump")), "-Fc", "--compress=zstd:3", "-h", "/nowhere"]
    said = subprocess.run(command, capture_output=True, text=True, check=False).stderr
    return "does not support compression with ZSTD" not in said
