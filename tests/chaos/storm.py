"""What happens to workers and to the clouds while they work: at random, by a seed."""

import random
import signal
import subprocess
from collections import Counter
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Final

from tests.localcloud.company import Company

WEATHER: Final[tuple[dict[str, Any], ...]] = (
    {"kind": "status", "status": 429},
    {"kind": "status", "status": 409},
    {"kind": "status", "status": 503},
    {"kind": "drop"},
    {"kind": "drop", "after_bytes": 10**6},  # it is done, and nobody learns of it
)
APIS: Final = ("storage", "sqladmin", "kms")
STRUCK_MAX: Final = 4  # requests that one fault strikes
BEYOND_A_LEASE: Final = timedelta(minutes=6)


@dataclass
class Storm:
    """Workers, and what befalls them.

    Attributes:
        counts: what happened how often.
    """

    company: Company
    workers: int
    chance: random.Random
    counts: Counter[str] = field(default_factory=Counter)
    running: list["subprocess.Popen[str]"] = field(default_factory=list)

    def befall(self) -> None:
        """One thing, any of them."""
        self.keep_up()
        happening = self.chance.choice([self.kill, self.pause, self.fail, self.fail, self.wait])
        self.counts[happening.__name__] += 1
        happening()

    def keep_up(self) -> None:
        """As many workers as there should be; those that have ended are followed by others."""
        for worker in [one for one in self.running if one.poll() is not None]:
            self.running.remove(worker)
            _, said = worker.communicate()
            assert "Traceback" not in said, said
            assert worker.returncode in {0, 5, 6, 8, -signal.SIGKILL}, (worker.returncode, said)
            self.counts["runs"] += 1
        while len(self.running) < self.workers:
            self.running.append(self.company.start("run", "--json-lines"))

    def kill(self) -> None:
        """A worker dies, wherever it is."""
        self.chance.choice(self.running).kill()

    def pause(self) -> None:
        """A worker is stopped, its lease ends, others go on with its tenant, and it wakes up."""
        worker = self.chance.choice(self.running)
        worker.send_signal(signal.SIGSTOP)
        self.company.cloud.advance(BEYOND_A_LEASE)
        worker.send_signal(signal.SIGCONT)

    def fail(self) -> None:
        """An API turns some requests away, or tears their connections."""
        fault = dict(self.chance.choice(WEATHER))
        kind = fault.pop("kind")
        self.company.cloud.add_fault(self.chance.choice(APIS), kind, times=self.chance.randint(1, STRUCK_MAX), **fault)

    def wait(self) -> None:
        """Time passes, so that what was put off comes back."""
        self.company.cloud.advance(timedelta(minutes=self.chance.randint(5, 45)))

    def end(self) -> None:
        """The storm is over: whoever works comes to an end, and nothing fails any more."""
        self.company.cloud.clear_faults()
        for worker in self.running:
            worker.send_signal(signal.SIGCONT)
            _, said = worker.communicate(timeout=600)
            assert "Traceback" not in said, said
        self.running.clear()
