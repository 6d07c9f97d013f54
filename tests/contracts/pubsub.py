"""Google's emulator of Pub/Sub, where this machine has it, and how one speaks to it."""

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import requests


def emulator_program() -> Path | None:
    """Where this machine has one, if it does, and what it runs on."""
    gcloud = shutil.which("gcloud")
    if gcloud is None or shutil.which("java") is None:
        return None
    program = Path(gcloud).resolve().parents[1] / "platform/pubsub-emulator/bin/cloud-pubsub-emulator"
    return program if program.is_file() else None


@contextmanager
def pubsub_emulator() -> Iterator[str]:
    """Google's emulator of Pub/Sub on a free port; its address."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command, address = [str(emulator_program()), "--host=127.0.0.1", f"--port={port}"], f"127.0.0.1:{port}"
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
    try:
        while process.poll() is None:
            with suppress(requests.ConnectionError):
                requests.get(f"http://{address}/v1/projects/acme/topics", timeout=5)
                break
            time.sleep(0.2)
        assert process.poll() is None, "the emulator ended"
        yield address
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, 15)
        process.wait(30)


def put(url: str, said: Any) -> None:
    """Makes a topic or a subscription."""
    requests.put(url, json=said, timeout=20).raise_for_status()


def ask(url: str, said: Any) -> Any:
    """Calls a method; its answer."""
    answer = requests.post(url, json=said, timeout=20)
    answer.raise_for_status()
    return answer.json()


def wait_for(is_so: Callable[[], bool]) -> None:
    """Waits for what comes by itself, two minutes at most."""
    for _ in range(600):
        if is_so():
            return
        time.sleep(0.2)
    raise AssertionError("it did not come")
