"""The demo's hands: the installed `tenantctl`, as anybody at a shell would call it, on a cloud of its own.

Promises: no setting of the person who runs the demo reaches the program, so their own local cloud is never touched; a
command that ends otherwise than expected raises `CommandFailed` with everything that it said; none outlives `end`.
"""

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

AT_ONCE: Final = 3  # commands that do not depend on each other; a laptop has two cores at least
SECONDS_MAX: Final = 300.0
FAREWELL_SECONDS: Final = 5.0


class CommandFailed(Exception):
    """A command ended with another exit code than it should have."""


@dataclass(frozen=True)
class Answer:
    """What a command said, and its exit code."""

    command: str
    code: int
    output: str
    errors: str

    def json(self) -> Any:
        """The output as JSON.

        Raises:
            CommandFailed: it is none.
        """
        try:
            return json.loads(self.output)
        except ValueError as error:
            raise CommandFailed(f"{self.command} printed no JSON: {self.output!r}") from error


def last_line(answer: Answer) -> str:
    """What a command said in the end."""
    return answer.output.strip().rpartition("\n")[2]


class CommandLine:
    """Calls `tenantctl`, several at once where asked; counts the calls and their seconds."""

    def __init__(self, folder: Path, program: Path | None = None) -> None:
        self._program = program or Path(sys.executable).with_name("tenantctl")
        self._environment = {name: value for name, value in os.environ.items() if not name.startswith("TENANTCTL_")}
        # Where PostgreSQL's programs are is a fact about the machine, not about a cloud.
        self._environment |= {name: os.environ[name] for name in ("TENANTCTL_PG_BINDIR",) if name in os.environ}
        self._environment |= {"TENANTCTL_LOCAL_DIR": str(folder), "PYTHONUTF8": "1"}
        self._running: set[subprocess.Popen[str]] = set()
        self._lock = threading.Lock()
        self._ended = False
        self.calls = 0
        self.seconds = 0.0

    def ask(self, *arguments: str, expect: int = 0) -> Answer:
        """Runs one command to its end.

        Raises:
            CommandFailed: its exit code is not the one expected.
        """
        command = " ".join(["tenantctl", *(f"'{word}'" if " " in word else word for word in arguments)])
        started = time.monotonic()
        with self._lock:
            if self._ended:
                raise CommandFailed(f"{command} was not begun: the demo is ending")
            process = subprocess.Popen(
                [self._program, *arguments],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                encoding="utf-8",
                errors="replace",
                env=self._environment,
            )
            self._running.add(process)
        try:
            output, errors = process.communicate(timeout=SECONDS_MAX)
        except subprocess.TimeoutExpired as error:
            raise CommandFailed(f"{command} did not end within {SECONDS_MAX:g} s") from error
        finally:
            with self._lock:
                self._running.discard(process)
                self.calls += 1
                self.seconds += time.monotonic() - started
            _end(process)
        if process.returncode != expect:
            said = f"{output.strip()}\n{errors.strip()}".strip()
            raise CommandFailed(f"{command} ended with {process.returncode}, not with {expect}:\n{said}")
        return Answer(command, process.returncode, output, errors)

    def json(self, *arguments: str) -> Any:
        """What one command says as JSON."""
        return self.ask(*arguments, "-o", "json").json()

    def together(self, *commands: Sequence[str], expect: Sequence[int] = ()) -> list[Answer]:
        """Runs commands side by side; their answers in the same order."""
        codes = expect or [0] * len(commands)
        with ThreadPoolExecutor(AT_ONCE) as pool:
            try:
                return list(pool.map(lambda words, code: self.ask(*words, expect=code), commands, codes))
            except BaseException:  # interrupted, or one of them failed: the others are not waited for
                self.end()
                raise

    def json_together(self, *commands: Sequence[str]) -> list[Any]:
        """What commands say as JSON, run side by side; in the same order."""
        return [answer.json() for answer in self.together(*((*words, "-o", "json") for words in commands))]

    def end(self) -> None:
        """Ends what is still running, and lets nothing new begin."""
        with self._lock:
            self._ended = True
            running = list(self._running)
        for process in running:
            process.terminate()  # whoever waits for it sees it end

    def last_words(self, *arguments: str) -> Answer:
        """One more command after the end: to stop the cloud."""
        with self._lock:
            self._ended = False
        try:
            return self.ask(*arguments)
        finally:
            self.end()


def _end(process: subprocess.Popen[str]) -> None:
    """Ends a process that has not ended by itself."""
    if process.poll() is not None:
        return
    process.terminate()
    try:
        process.wait(FAREWELL_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
