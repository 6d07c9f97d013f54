"""`make demo`: a customer's whole life on a cloud of this machine's own, with everything that was promised checked.

Promises: ends with 0 only if every promise was kept; leaves nothing running and no file behind, also when it is
interrupted or fails; never touches a local cloud of the person who runs it.
"""

import argparse
import os
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from types import FrameType
from typing import Any, Final

import psycopg

from tests.demo import arriving, forgetting, leaving
from tests.demo.commands import CommandFailed, CommandLine
from tests.demo.customers import Customers
from tests.demo.evidence import moment
from tests.demo.remains import servers_in, still_running
from tests.demo.scene import REGIONS, Scene
from tests.demo.timeline import Timeline
from tests.demo.witness import Witness

BROKEN: Final = 1
INTERRUPTED: Final = 130
ENDINGS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def main(arguments: Sequence[str]) -> int:
    """Runs the demo; 0 if every promise was kept."""
    options = _options(arguments)
    sys.stdout.reconfigure(errors="replace")  # type: ignore[union-attr]  # a terminal may know no check mark
    for number in ENDINGS:
        signal.signal(number, _interrupt)
    timeline, started = Timeline(sys.stdout), time.monotonic()
    timeline.line("tenantctl demo: a year in the life of three customers, on a cloud of this machine's own.")
    timeline.line("Everything is done through the command line `tenantctl`; the clock alone is moved. Times are UTC.")
    whole = False
    try:
        with _cloud_of_its_own(timeline, keep=options.keep) as (cli, status):
            whole = _live(cli, timeline, status)
    except KeyboardInterrupt:
        timeline.line("\nInterrupted; nothing was left running.")
        return INTERRUPTED
    except (CommandFailed, psycopg.Error) as failure:
        timeline.line(f"\nThe demo could not go on: {failure}")
    except _LeftBehind as left:
        timeline.line(f"\n{left}")
        return BROKEN
    timeline.line()
    seconds = time.monotonic() - started
    timeline.line(f"{'Every promise was kept' if whole else 'NOT every promise was kept'}, shown in {seconds:.0f} s.")
    return 0 if whole else BROKEN


def _live(cli: CommandLine, timeline: Timeline, status: Any) -> bool:
    """All chapters in order; whether every promise was kept."""
    with Customers(status["endpoints"]["sqladmin"]) as customers, closing(Witness(status)) as witness:
        scene = Scene(cli, timeline, customers, witness, moment(status["clock"]))
        arriving.sign_up(scene)
        arriving.move_in(scene)
        arriving.first_proof(scene)
        arriving.nights(scene)
        leaving.cancel(scene)
        leaving.attack_the_vault(scene, scene.leaves, "on that very day")
        leaving.come_back(scene)
        leaving.wait_in_grace(scene)
        leaving.destroy(scene)
        forgetting.months(scene)
    whole = timeline.verdict()
    timeline.line()
    timeline.line(f"{cli.calls} commands were run, {cli.seconds / cli.calls:.1f} s each.")
    return whole


@contextmanager
def _cloud_of_its_own(timeline: Timeline, *, keep: bool) -> Iterator[tuple[CommandLine, Any]]:
    """A local cloud in a throw-away folder, stopped and removed at the end, whatever happens.

    Raises:
        _LeftBehind: something of it is still there afterwards.
    """
    parent = Path(tempfile.mkdtemp(prefix="tenantctl-demo-", dir="/tmp"))
    parent.chmod(0o755)  # as root, PostgreSQL runs as another user, who must be able to enter
    folder = parent / "cloud"
    cli = CommandLine(folder)
    timeline.line(f"The cloud lies in {parent} and {'stays for a look around' if keep else 'is removed at the end'}.")
    kept, processes = False, set[int]()
    try:
        cli.ask("local", "up", *(word for region in REGIONS for word in ("--region", region)))
        status = cli.json("local", "status")
        processes.add(status["pid"])
        yield cli, status
        kept = keep
    finally:
        cli.end()
        for number in ENDINGS:  # whoever is impatient now would leave servers running
            signal.signal(number, signal.SIG_IGN)
        if kept:
            timeline.line(f"\nThe cloud is kept. Look around:  export TENANTCTL_LOCAL_DIR={folder}")
            timeline.line("Then, to stop and remove it:     tenantctl local down --purge")
        else:
            _tear_down(cli, parent, processes | servers_in(folder))


def _tear_down(cli: CommandLine, parent: Path, processes: set[int]) -> None:
    """Stops the cloud, removes its folder, and looks whether anything is left."""
    try:
        cli.last_words("local", "down", "--purge")
    except CommandFailed as failure:
        raise _LeftBehind(f"The demo's cloud in {parent} does not go down: {failure}") from failure
    shutil.rmtree(parent, ignore_errors=True)
    left = still_running(processes)
    if left or parent.exists():
        what = f"processes {left}" if left else f"files in {parent}"
        raise _LeftBehind(f"The demo's cloud is down, but it left {what} behind.")


class _LeftBehind(Exception):
    """The demo could not clean up after itself."""


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.demo", description=__doc__.partition("\n")[0])
    parser.add_argument("--keep", action="store_true", help="leave the cloud running at the end, to look around")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    os.umask(0o022)
    sys.exit(main(sys.argv[1:]))
