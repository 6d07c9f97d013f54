"""What a cloud runs, and whether it still does: asked of the operating system, not of the cloud."""

import os
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Final

_PATIENCE_SECONDS: Final = 5.0
_POLL_SECONDS: Final = 0.05


def servers_in(folder: Path) -> set[int]:
    """The process ids of the PostgreSQL servers whose data lies in a cloud's folder."""
    found: set[int] = set()
    for file in folder.glob("instances/*/data/postmaster.pid"):
        words = file.read_text().split()
        found.update(int(word) for word in words[:1] if word.isdigit())
    return found


def still_running(processes: Iterable[int]) -> list[int]:
    """Those of the processes that run on after a moment's patience."""
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while (left := sorted(filter(_runs, processes))) and time.monotonic() < deadline:
        time.sleep(_POLL_SECONDS)
    return left


def _runs(process: int) -> bool:
    """Whether a process runs; one that has ended and that nobody has asked about since does not."""
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    try:
        state = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
    except (OSError, IndexError):  # not Linux, or gone just now
        return not Path("/proc/self/stat").exists()
    return state != "Z"
