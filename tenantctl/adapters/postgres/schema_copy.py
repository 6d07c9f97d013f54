"""Everything of a database but its rows: copied, and named by a digest."""

import hashlib
import re
import subprocess
from collections.abc import Iterator
from typing import Final

from tenantctl.adapters.google.sessions import Sessions
from tenantctl.adapters.postgres.child_process import ChildProcess, connection
from tenantctl.adapters.postgres.control import OUR_ROLE
from tenantctl.model.errors import Transient
from tenantctl.model.tenant import Hosting

_SILENCE_SECONDS: Final = 300.0
_LOCK_SECONDS: Final = 10
# What differs from run to run, and what is ours: comments of the program, its fence for psql, and what `publish` does.
_IMMATERIAL: Final = re.compile(rb"--|\\(un)?restrict |$|ALTER TABLE ONLY .* REPLICA IDENTITY FULL;$")


def schema_chunks(sessions: Sessions, hosting: Hosting, *, plain: bool = False) -> Iterator[bytes]:
    """The schema as `pg_dump` writes it: an archive or, if `plain`, SQL.

    Raises:
        Transient: `pg_dump` failed.
    """
    with (
        sessions.socket(hosting.instance) as proxy,
        ChildProcess(
            "pg_dump",
            [
                "--schema-only",
                "--format=plain" if plain else "--format=custom",
                *(() if plain else ("--compress=none",)),
                "--no-publications",
                "--no-subscriptions",
                f"--role={OUR_ROLE}",
                f"--lock-wait-timeout={_LOCK_SECONDS}s",
                "--encoding=UTF8",
                "--no-password",
            ],
            connection(proxy.folder, sessions.login, hosting.database),
            output=subprocess.PIPE,
        ) as process,
    ):
        try:
            while chunk := process.read(_SILENCE_SECONDS):
                yield chunk
        except TimeoutError as error:
            raise Transient(f"The schema of {hosting.database} could not be read: {error}.") from error
        if code := process.finish():
            if proxy.failure is not None:
                raise proxy.failure
            said = " ".join(process.said()[-3:]) or f"exit code {code}"
            raise Transient(f"The schema of {hosting.database} could not be read: {said}")


def schema_digest(sessions: Sessions, hosting: Hosting) -> str:
    """The SHA-256 of the schema's SQL, without what differs from run to run."""
    lines = b"".join(schema_chunks(sessions, hosting, plain=True)).split(b"\n")
    material = b"\n".join(line for line in lines if not _IMMATERIAL.match(line))
    return hashlib.sha256(material).hexdigest()
