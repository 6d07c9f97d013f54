"""What running something costs: time on the clock, processor time of all its processes, and its memory at the most."""

import os
import resource
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

_TICKS: Final = os.sysconf("SC_CLK_TCK")
_KILOBYTE: Final = 1024


@dataclass(frozen=True)
class Cost:
    """What something cost.

    Attributes:
        wall: seconds by the clock.
        processor: processor seconds of the client's side.
        memory: bytes at the most, where it was looked at.
        servers: processor seconds that the servers and the local cloud used meanwhile, where it was looked at.
    """

    wall: float
    processor: float
    memory: float = 0.0
    servers: float = 0.0

    def __add__(self, other: Self) -> "Cost":
        memory, servers = max(self.memory, other.memory), self.servers + other.servers
        return Cost(self.wall + other.wall, self.processor + other.processor, memory, servers)

    def best(self, other: Self) -> "Cost":
        """The lesser of each: what others do on the machine meanwhile only ever adds."""
        memory, servers = max(self.memory, other.memory), min(self.servers, other.servers)
        return Cost(min(self.wall, other.wall), min(self.processor, other.processor), memory, servers)


class Stopwatch:
    """The cost of what this process and the children that it waited for have done since."""

    def __init__(self) -> None:
        self._wall, self._processor = time.perf_counter(), _processor_seconds()

    def read(self) -> Cost:
        """The cost so far; memory is this process's own, at the most that it ever was."""
        return Cost(time.perf_counter() - self._wall, _processor_seconds() - self._processor, peak_memory())


def run(arguments: Sequence[str], environment: Mapping[str, str]) -> Cost:
    """Run a command to its end.

    Raises:
        RuntimeError: it failed; with the end of what it said.
    """
    began = time.perf_counter()
    process = subprocess.Popen(
        arguments,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        env={"PATH": os.environ["PATH"], **environment},
    )
    assert process.stderr is not None
    said = process.stderr.read()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    process.stderr.close()
    if process.returncode:
        raise RuntimeError(f"{arguments} ended with {process.returncode}: {said.decode(errors='replace')[-500:]}")
    wall = time.perf_counter() - began
    return Cost(wall, usage.ru_utime + usage.ru_stime)


def peak_memory() -> float:
    """The most memory that this process has had, in bytes.

    As Linux counts it for the program: what `getrusage` says there includes the process that started it.
    """
    status = Path("/proc/self/status")
    if status.exists():
        words = status.read_text(encoding="ascii").split()
        return float(words[words.index("VmHWM:") + 1]) * _KILOBYTE
    return float(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)  # in bytes, where there is no /proc


def processor_seconds_of(pid: int) -> float:
    """What a process that runs, and the children that it has waited for, have used."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rsplit(")", 1)[1].split()
    return sum(map(int, fields[11:15])) / _TICKS


def processor_seconds_below(folder: Path) -> float:
    """What the processes that were started on a folder have used, with their children, living or waited for."""
    started = {pid for pid in _living() if str(folder) in _read(f"/proc/{pid}/cmdline")}
    used = 0.0
    for pid in _living():
        fields = _read(f"/proc/{pid}/stat").rpartition(")")[2].split()
        if not fields:  # it has ended since
            continue
        own, waited_for = sum(map(int, fields[11:13])), sum(map(int, fields[13:15]))
        if pid in started:
            used += own + waited_for
        elif int(fields[1]) in started:
            used += own
    return used / _TICKS


def _living() -> Iterator[int]:
    return (int(path.name) for path in Path("/proc").glob("[0-9]*"))


def _read(path: str) -> str:
    try:
        return Path(path).read_text(errors="replace")
    except OSError:
        return ""


def _processor_seconds() -> float:
    usages = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)
