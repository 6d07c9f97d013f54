"""Who writes meanwhile: a client that keeps a ledger of what was confirmed, and pgbench, which counts for itself."""

import contextlib
import re
import subprocess
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

import psycopg

from benchmarks.relocation_parts.scene import BALANCES, SEQUENCES, Scene, pgbench
from tenantctl.model.errors import TenantctlError
from tenantctl.model.tenant import Hosting
from tests.contracts.databases_places import PASSWORD

MOVE_PASSWORD: Final = "moved"
CLIENTS: Final = 2
RATE: Final = 200  # transactions a second of pgbench's own mixture, each with four writes
TRY_AGAIN_SECONDS: Final = 0.2  # each try costs a handshake, on the cores that the servers compare on
WARM: Final = 50  # writes before the move, and after it


@dataclass
class Client:
    """Writes wherever it is let in; `gaps` are the pauses between two confirmed writes, in seconds."""

    scene: Scene
    ledger: list[int] = field(default_factory=list)
    gaps: list[float] = field(default_factory=list)
    stop: threading.Event = field(default_factory=threading.Event)

    def work(self) -> None:
        """Until it is told to stop."""
        number, last = 0, time.perf_counter()
        with contextlib.ExitStack() as stack:
            ways = [
                stack.enter_context(self.scene.environment(hosting, password))
                for hosting, password in ((self.scene.source, PASSWORD), (self.scene.target, MOVE_PASSWORD))
            ]
            while not self.stop.wait(TRY_AGAIN_SECONDS):
                for way in ways:
                    with contextlib.suppress(TenantctlError, psycopg.Error), _session(way) as session:
                        while not self.stop.is_set():
                            number += 1
                            session.execute("INSERT INTO public.ledger (said) VALUES (%s)", [number])
                            now = time.perf_counter()
                            self.gaps.append(now - last)
                            self.ledger.append(number)
                            last = now
                            time.sleep(0.002)

    def has_written(self, more: int) -> None:
        """Returns once so many more were confirmed."""
        enough = len(self.ledger) + more
        while len(self.ledger) < enough:
            time.sleep(0.05)

    @property
    def downtime(self) -> float:
        """The longest pause, in seconds."""
        return max(self.gaps[WARM // 2 :])


def _session(way: dict[str, str]) -> contextlib.AbstractContextManager["psycopg.Connection[tuple[object, ...]]"]:
    return psycopg.connect(
        host=way["PGHOST"],
        user=way["PGUSER"],
        password=way["PGPASSWORD"],
        dbname=way["PGDATABASE"],
        sslmode="disable",
        autocommit=True,
    )


@contextlib.contextmanager
def writing(scene: Scene) -> Iterator[Client]:
    """Both at work for as long as the block; afterwards the target has what was confirmed, once.

    Raises:
        AssertionError: a confirmed write was lost or doubled, or a sequence is behind what it has given out.
    """
    client = Client(scene)
    writer = threading.Thread(target=client.work)
    with scene.environment(scene.source, PASSWORD) as environment:
        command = pgbench("--no-vacuum", f"--client={CLIENTS}", f"--rate={RATE}", "--time=3600")
        load = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        writer.start()
        try:
            client.has_written(WARM)
            yield client
            client.has_written(WARM)
        finally:
            client.stop.set()
            writer.join()
            out, _ = load.communicate()  # it ended when it was sent away
    check_ledgers(scene, client, out)


def check_ledgers(scene: Scene, client: Client, told: str) -> None:
    """Whether what was confirmed is there, once."""
    there = [number for (number,) in scene.ask(scene.target, "SELECT said FROM public.ledger ORDER BY said")]
    assert set(client.ledger) <= set(there), "a confirmed write was lost"
    assert len(there) == len(set(there)), "a write was doubled"
    counted = re.search(r"actually processed: (\d+)", told)
    assert counted is not None, told
    confirmed = int(counted[1])
    assert confirmed > WARM, f"pgbench wrote too little: {told}"
    ((rows,),) = scene.ask(scene.target, "SELECT count(*) FROM public.pgbench_history")
    assert confirmed <= rows <= confirmed + CLIENTS, f"pgbench was told of {confirmed} transactions, there are {rows}"
    (balances,) = scene.ask(scene.target, BALANCES)
    assert len(set(balances)) == 1, f"pgbench's balances do not agree: {balances}"
    check_sequences(scene, scene.source, scene.target)


def check_sequences(scene: Scene, source: Hosting, target: Hosting) -> None:
    """Whether each goes on where the source's was, or beyond."""
    there = dict(scene.ask(target, SEQUENCES))
    behind = [name for name, value in scene.ask(source, SEQUENCES) if there[name] < value]
    assert not behind, f"sequences that would give out again what they gave: {behind}"
    ((most, last),) = scene.ask(
        target, "SELECT max(id), (SELECT last_value FROM public.ledger_id_seq) FROM public.ledger"
    )
    assert last >= most, "the ledger's sequence is behind its rows"
