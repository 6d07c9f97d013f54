"""The supervisor: the one process in which a local cloud runs, and the parent of its PostgreSQL servers.

It is started by `tenantctl.localcloud.client.start`, in the background. It holds a lock of the state folder all its
life, says on a pipe when it is ready or why it is not going to be, and stops in good order on SIGTERM or when asked
through the control interface. Its servers outlive its sudden death; the next supervisor takes them over.
"""

import argparse
import asyncio
import contextlib
import dataclasses
import logging
import os
import signal
import sys
import time
from datetime import timedelta
from pathlib import Path
from typing import Final, TextIO

from tenantctl import pgbin
from tenantctl.localcloud.cloud import Cloud, Pace
from tenantctl.localcloud.control import control_interface
from tenantctl.localcloud.loopback import NoAddress
from tenantctl.localcloud.state import BadStateFolder, CloudFile, StateFolder, remove_sockets_folder
from tenantctl.localcloud.template import ClusterFailed

READY: Final = "ready"
_LOG: Final = logging.getLogger("tenantctl.localcloud.supervisor")
_EXPECTED: Final = (BadStateFolder, ClusterFailed, NoAddress, pgbin.ProgramsMissing, OSError, ValueError)


def main() -> None:
    """Run a local cloud until it is told to stop."""
    parser = argparse.ArgumentParser(prog="tenantctl-supervisor")
    parser.add_argument("--dir", type=Path, required=True)
    parser.add_argument("--project", required=True)
    parser.add_argument("--ready", type=int, required=True, help="the descriptor to say on that it is ready")
    parser.add_argument("--operation-seconds", type=float, default=Pace.operation_seconds)
    parser.add_argument("--lifecycle-lag-hours", type=float, default=Pace.lifecycle_lag / timedelta(hours=1))
    parser.add_argument("--leash", type=int, help="a descriptor; when its other end closes, the local cloud goes down")
    parser.add_argument("--sweep", action="store_true", help="only stop what a killed supervisor left running")
    asked = parser.parse_args()
    _log_plainly()
    with os.fdopen(asked.ready, "w") as announcement:
        folder = StateFolder(asked.dir)
        pace = Pace(asked.operation_seconds, timedelta(hours=asked.lifecycle_lag_hours))
        try:
            with folder.only_one("supervisor", wait=False, patient=True) as alone:
                if not alone:
                    raise BadStateFolder(f"Another supervisor runs in {folder.path}.")
                asyncio.run(_run(folder, asked.project, pace, None if asked.sweep else announcement, asked.leash))
        except _EXPECTED as error:
            _LOG.exception("the supervisor ends")
            if not announcement.closed:
                announcement.write(str(error))
            sys.exit(1)


async def _run(folder: StateFolder, project: str, pace: Pace, announcement: TextIO | None, leash: int | None) -> None:
    """Run a local cloud until it is told to stop; without an announcement, only stop what runs already."""
    folder.prepare(pgbin.server_account())
    cloud = Cloud(folder, folder.read() or CloudFile(project=project), pace)
    folder.write(cloud.file)  # a server must be found again, even if we die just after having started it
    stop = asyncio.Event()
    for order in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(order, stop.set)
    if leash is not None:
        asyncio.get_running_loop().add_reader(leash, stop.set)
    try:
        if announcement is not None:
            await cloud.open(control_interface(cloud, stop.set))
            folder.write(dataclasses.replace(cloud.file, pid=os.getpid()))
            _LOG.info("the local cloud is up: %s, data plane %s", cloud.file.endpoints, cloud.file.address)
            with contextlib.suppress(BrokenPipeError):  # who started us may have been interrupted
                announcement.write(READY)
                announcement.close()
            await stop.wait()
            _LOG.info("the local cloud goes down")
    finally:
        if leash is not None:
            asyncio.get_running_loop().remove_reader(leash)
        await cloud.close()
    folder.write(dataclasses.replace(cloud.file, pid=None, sockets=None))
    remove_sockets_folder(cloud.file.sockets)


def _log_plainly() -> None:
    logging.Formatter.converter = time.gmtime
    logging.basicConfig(
        stream=sys.stderr,
        level=logging.INFO,
        format="%(asctime)s.%(msecs)03dZ %(levelname)-7s %(name)s: %(message)s",
        datefmt="%Y-%m-%dT%H:%M:%S",
    )


if __name__ == "__main__":
    main()
