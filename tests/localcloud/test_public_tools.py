"""A backup opens without tenantctl: age, zstd and pg_restore are all it takes, for whoever has its key.

The bytes come straight from the storage endpoint, and no code of ours is in the pipe that opens them.
"""

import os
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from tenantctl.backups.keys import open_identity
from tenantctl.bootstrap import CloudWorld
from tenantctl.config import load_settings
from tenantctl.model.backup import Backup
from tenantctl.pgbin import find_programs
from tests.localcloud.clouds import storage_client
from tests.localcloud.company import PLACE, Company, throw_away_company

TENANT = "openable"
ROWS = [(1, "Zoë's order"), (2, "tab\tand\nline"), (3, "")]
MISSING = [program for program in ("age", "zstd") if shutil.which(program) is None]

pytestmark = pytest.mark.skipif(bool(MISSING), reason=f"The distribution's {' and '.join(MISSING)} is not installed.")


@pytest.fixture(scope="module")
def company() -> Iterator[Company]:
    """A company with one tenant, whose customer has three rows, and a backup of them."""
    with throw_away_company() as made:
        made.do("tenant", "create", TENANT, "--based-in", PLACE, "--wait")
        fill(made)
        made.do("backup", "now", TENANT)
        yield made


def fill(company: Company) -> None:
    """Writes the rows as the customer does, over the connector."""
    with company.session(TENANT) as cursor:
        cursor.execute("CREATE TABLE orders (id int PRIMARY KEY, note text NOT NULL)")
        for row in ROWS:
            cursor.execute("INSERT INTO orders VALUES (%s, %s)", row)


def newest_with_key(company: Company) -> tuple[Backup, str]:
    """The newest backup, and the text of its identity, as an operator's world opens it."""
    world = CloudWorld(load_settings(company.environment()))
    try:
        tenant = company.tenant(TENANT)
        backup = max(world.registry.backups(tenant["uid"]), key=lambda one: one.begun_at)
        return backup, open_identity(world, backup).text
    finally:
        world.close()


def piped(sealed: Path, key: Path, restore: Sequence[str]) -> str:
    """What `age -d -i KEY SEALED | zstd -d | pg_restore …` prints; each program must end well."""
    pipe = subprocess.PIPE
    age = subprocess.Popen(["age", "-d", "-i", str(key), str(sealed)], stdout=pipe, stderr=pipe)
    zstd = subprocess.Popen(["zstd", "-d", "-q", "-c"], stdin=age.stdout, stdout=pipe, stderr=pipe)
    pg_restore = subprocess.Popen(
        [str(find_programs().path("pg_restore")), *restore],
        stdin=zstd.stdout,
        env={**os.environ, "LC_ALL": "C"},
        stdout=pipe,
        stderr=pipe,
    )
    for program in (age, zstd):
        assert program.stdout is not None
        program.stdout.close()  # the next program has it now
    printed, said = pg_restore.communicate(timeout=60)
    for program in (zstd, age):
        assert program.stderr is not None
        said += program.stderr.read()
        program.stderr.close()
    assert [program.wait(60) for program in (age, zstd, pg_restore)] == [0, 0, 0], said.decode()
    return printed.decode()


def rows_of(script: str) -> list[tuple[int, str]]:
    """The rows of the one COPY block of a script, in PostgreSQL's text format."""
    block = script.partition("FROM stdin;\n")[2].partition("\n\\.\n")[0]
    unescaped = (line.replace("\\t", "\0t").split("\t") for line in block.split("\n"))
    return sorted((int(number), note.replace("\0t", "\t").replace("\\n", "\n")) for number, note in unescaped)


def test_a_backup_opens_with_public_tools_alone(company: Company, tmp_path: Path) -> None:
    """In each region that has a copy: its table of contents, and every row as the customer wrote it."""
    backup, identity = newest_with_key(company)
    key = tmp_path / "key.txt"
    key.touch(mode=0o600)
    key.write_text(identity + "\n")
    storage = storage_client(company.cloud)
    assert len(backup.copies) == 2
    for copy in backup.copies:
        sealed = tmp_path / f"{copy.region}.zst.age"
        sealed.write_bytes(storage.bucket(copy.bucket).blob(copy.object_name).download_as_bytes())
        assert b"orders" not in sealed.read_bytes()
        assert "TABLE DATA public orders" in piped(sealed, key, ["-l"])
        script = piped(sealed, key, ["-f", "-", "--data-only", "-t", "orders"])
        assert rows_of(script) == ROWS
