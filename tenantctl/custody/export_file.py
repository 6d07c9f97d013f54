"""Exports into a file: readable by its owner alone, never over another one, and never half of one under its name."""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from tenantctl.custody.database_export import Writing
from tenantctl.engine.actions import Work
from tenantctl.model.errors import Refused


@dataclass(frozen=True)
class FileDestination:
    """A file, and the manifest beside it, `.manifest.json` behind its name."""

    path: Path

    @property
    def archive(self) -> str:
        """Where the archive will be."""
        return str(self.path)

    @property
    def manifest(self) -> str:
        """Where the manifest will be."""
        return f"{self.path}.manifest.json"

    @property
    def evidence(self) -> Mapping[str, Any]:
        """What the journal says: not the file's name, which may be the customer's."""
        return {"to": "file"}

    def prepare(self, work: Work) -> None:
        """Sees that both names are free.

        Raises:
            Refused: one of them is not, or there is no such folder.
        """
        for taken in (self.path, Path(self.manifest)):
            if taken.exists():
                raise Refused(f"{taken} exists: nothing is written over.", hint="Name another file.")
        if not self.path.parent.is_dir():
            raise Refused(f"There is no folder {self.path.parent}.")

    @contextmanager
    def writing(self) -> Iterator[Writing]:
        """Writes beside the name until it is sealed."""
        unfinished = self.path.with_name(f"{self.path.name}.part")
        try:
            descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except FileExistsError as error:
            raise Refused(f"{unfinished} exists, of an export that goes on or broke off.", hint="Remove it.") from error
        except OSError as error:
            raise Refused(f"{self.path} cannot be written: {error.strerror}.") from error
        try:
            with os.fdopen(descriptor, "wb") as file:
                yield _FileWriting(self, unfinished, file)
        except OSError as error:
            raise Refused(f"{self.path} cannot be written: {error.strerror}.") from error
        finally:
            unfinished.unlink(missing_ok=True)


@dataclass(frozen=True)
class _FileWriting:
    destination: FileDestination
    unfinished: Path
    file: BinaryIO

    def write(self, chunk: bytes) -> None:
        self.file.write(chunk)

    def seal(self, manifest: bytes) -> None:
        self.file.flush()
        os.fsync(self.file.fileno())
        beside = Path(self.destination.manifest)
        with os.fdopen(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as described:
            described.write(manifest)
        try:
            os.link(self.unfinished, self.destination.path)  # unlike a rename, never over another file
        except OSError:
            beside.unlink()
            raise
