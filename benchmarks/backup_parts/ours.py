"""What the program itself does, in a process of its own that is measured: backups, many of them, and restores.

Run as `python -m benchmarks.backup_parts.ours PLACE JOB NUMBER UID…`; it prints one JSON object. What a process does
once in its life, importing and making its key, is not counted: a worker goes on for a whole night.
"""

import json
import secrets
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # run from wherever

from benchmarks.backup_parts.costs import Cost, Stopwatch, peak_memory, processor_seconds_below
from benchmarks.backup_parts.place import REGIONS, TARGET, Place, bucket_of, hosting_of
from tenantctl.adapters.google.credentials import local_credentials
from tenantctl.adapters.google.vault import GoogleVault, storage_client
from tenantctl.adapters.postgres.databases import PostgresDatabases
from tenantctl.adapters.postgres.scratch import PostgresScratch
from tenantctl.adapters.retry import RetryingVault
from tenantctl.backups.age import Identity
from tenantctl.backups.stream import Target, opened, stream


class Worker:
    """The adapters as the program has them, and what it does with them."""

    def __init__(self, place: Place) -> None:
        sessions = place.sessions()
        self.databases, self.scratch = PostgresDatabases(sessions), PostgresScratch(sessions)
        client = storage_client(place.project, local_credentials(sessions.login), place.storage)
        self.vault = RetryingVault(GoogleVault(client))
        self.identity = Identity.generate()
        self.raw_size = 0  # of the newest backup

    def back_up(self, uid: str) -> tuple[str, int]:
        """One backup in both regions, manifests too; its object's name and stored size."""
        name = f"{uid}/{secrets.token_hex(8)}"
        targets = [Target(region, bucket_of(region), f"{name}/dump") for region in REGIONS]
        with self.databases.dump(hosting_of(uid)) as dump:
            streamed = stream(dump, self.vault, targets, recipient=self.identity.recipient, check=lambda: None)
            tables = {table: [digest.rows, digest.checksum] for table, digest in dump.tables.items()}
        assert len(streamed.sealed) == len(REGIONS), streamed.failed
        self.raw_size = streamed.raw_size
        manifest = json.dumps({"size": streamed.size, "sha256": streamed.sha256, "tables": tables}).encode()
        for target in targets:
            self.vault.put(target.bucket, f"{name}/manifest", manifest)
        return f"{name}/dump", streamed.size

    def read_through(self, name: str) -> Cost:
        """Verify one copy at level L2: read back, and turned into SQL that goes nowhere."""
        watch = Stopwatch()
        self.scratch.read_through(opened(self.vault.read(bucket_of(REGIONS[0]), name), self.identity))
        return watch.read()

    def restore(self, name: str) -> Cost:
        """Restore a backup into an empty database, and drop that again."""
        database = f"s_{secrets.token_hex(8)}"
        self.scratch.create(TARGET, database)
        watch = Stopwatch()
        chunks = self.vault.read(bucket_of(REGIONS[0]), name)
        self.scratch.restore(TARGET, database, opened(chunks, self.identity))
        cost = watch.read()
        self.scratch.drop(TARGET, database)
        return cost


def back_up(worker: Worker, uids: list[str], _number: int) -> dict[str, Any]:
    """One backup."""
    watch = Stopwatch()
    _, size = worker.back_up(uids[0])
    return {**asdict(watch.read()), "size": size, "raw_size": worker.raw_size}


def back_up_fleet(worker: Worker, uids: list[str], number: int) -> dict[str, Any]:
    """Many backups, so many at once."""
    watch = Stopwatch()
    with ThreadPoolExecutor(number) as pool:
        sizes = [size for _, size in pool.map(worker.back_up, uids)]
    return {**asdict(watch.read()), "size": sum(sizes)}


def verify(worker: Worker, uids: list[str], number: int) -> dict[str, Any]:
    """A backup and the reading of it in turns, so many times: the best reading, and the best backup's seconds."""
    reads, backups = [], []
    for _ in range(number):
        watch = Stopwatch()
        name, size = worker.back_up(uids[0])
        backups.append(watch.read().wall)
        reads.append(worker.read_through(name))
    best = min(reads, key=lambda cost: cost.wall)
    return {**asdict(best), "size": size, "backup_wall": min(backups)}


def restore(worker: Worker, uids: list[str], number: int) -> dict[str, Any]:
    """One backup, restored so many times: the best of them."""
    name, size = worker.back_up(uids[0])
    best = worker.restore(name)
    for _ in range(number - 1):
        best = best.best(worker.restore(name))
    return {**asdict(best), "size": size}


JOBS: Final[dict[str, Callable[[Worker, list[str], int], dict[str, Any]]]] = {
    "back-up": back_up,
    "back-up-fleet": back_up_fleet,
    "verify": verify,
    "restore": restore,
}


def main(place: str, job: str, number: str, *uids: str) -> None:
    """Do a job and say what it cost."""
    worker, folder = Worker(Place.from_text(place)), Path(Place.from_text(place).folder)
    with suppress(StopIteration), closing(worker.databases), closing(worker.scratch):
        with worker.databases.dump(hosting_of(uids[0])) as dump:  # warms up: the key, the way, the certificate
            next(iter(dump.chunks()))
        before, used, watch = peak_memory(), processor_seconds_below(folder), Stopwatch()
        said = JOBS[job](worker, list(uids), int(number))
        # We name the folder too, and so are among those that have used something.
        servers = processor_seconds_below(folder) - used - watch.read().processor
        print(json.dumps({**said, "memory_before": before, "servers": servers}))


if __name__ == "__main__":
    main(*sys.argv[1:])
