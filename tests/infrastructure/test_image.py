"""The image: what can be seen of it without building one, and its installation steps in a bare folder.

The steps take a minute and a package index, and are carried out where IMAGE_STEPS is set.
"""

import json
import os
import re
import subprocess
import tempfile
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from packaging.markers import Marker
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tenantctl.pgbin import find_programs
from tests.house.repository import ROOT
from tests.infrastructure.image import DOCKERFILE, TARGET, Stage, carry_out, clean, stages

CONFIGURATION = ROOT / "tests/fixtures/terraform-configuration.json"
PIN = re.compile(
    r"^([a-z0-9][\w.-]*)==([^\s;\\]+)(?: ; ([^\\\n]+?))? \\\n((?:    --hash=\S+(?: \\)?\n)+)", re.MULTILINE
)
IN_THE_IMAGE = ("s3", "service", "telemetry")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]

needs_an_index = pytest.mark.skipif(not os.environ.get("IMAGE_STEPS"), reason="IMAGE_STEPS is not set")


def pins(file: str) -> dict[str, tuple[str, str, str]]:
    """Package → its version, marker and hashes in a lock."""
    return {name: (version, marker, hashes) for name, version, marker, hashes in PIN.findall((ROOT / file).read_text())}


def names(requirements: list[str]) -> set[str]:
    """The packages that are asked for."""
    return {canonicalize_name(Requirement(one).name) for one in requirements}


def image() -> Stage:
    """The stage that is the image."""
    return stages(DOCKERFILE.read_text())[1][-1]


def test_the_base_is_named_by_whoever_builds() -> None:
    """Each stage stands on it, and there is no default that could come to mean another one."""
    before, found = stages(DOCKERFILE.read_text())
    assert before == [("ARG", "BASE")]
    assert [stage.instructions[0][1].split()[0] for stage in found] == ["${BASE}"] * len(found)
    assert "@sha256:" in DOCKERFILE.read_text()


def test_the_image_runs_as_a_number_that_is_not_root() -> None:
    """The last word on who runs it, and on what it runs."""
    (user,) = image().of("USER")
    assert re.fullmatch(r"[1-9]\d{3,}:[1-9]\d{3,}", user)
    assert image().of("ENTRYPOINT") == ['["tenantctl"]']
    words = [word for word, _ in image().instructions]
    assert words.index("USER") > max(place for place, word in enumerate(words) if word in {"RUN", "COPY"})


def test_nothing_but_the_program_and_postgresqls_clients_comes_in() -> None:
    """No compiler, no package manager of Python's, nothing from a web server's word alone, nothing of the workshop."""
    said = "\n".join(image().of("RUN"))
    installed = re.search(r"apt-get install --yes --no-install-recommends ([^&]+)", said)
    assert installed is not None
    assert installed[1].split() == ["ca-certificates", "postgresql-client-18=18.*"]
    assert "signed-by=/usr/share/keyrings/postgresql.asc" in said
    for pip in ("site-packages/pip*", "ensurepip", "/usr/local/bin/pip*"):  # its record and what it is made of, too
        assert re.search(rf"rm -rf [^&]*{re.escape(pip)}", said)
    assert not re.search(r"curl|wget|trusted=yes|allow-unauthenticated|gcc|build-essential", DOCKERFILE.read_text())
    assert [copied.split()[0] for copied in image().of("COPY")] == ["--from=key", "--from=build"]
    assert image().of("COPY")[-1] == f"--from=build {TARGET} {TARGET}"


def test_the_image_has_what_production_needs_and_no_more() -> None:
    """The lock of the image has the same pins as everybody's, and neither the local cloud nor the tools."""
    every, run = pins("requirements.lock"), pins("requirements-run.lock")
    assert len(run) > 40
    assert {name: run[name] for name in run} == {name: every[name] for name in run}
    extras = PROJECT["optional-dependencies"]
    asked = names([*PROJECT["dependencies"], *(one for extra in IN_THE_IMAGE for one in extras[extra])])
    assert asked <= run.keys()
    assert not (names([*extras["dev"], *extras["local"]]) - asked - {"aiohttp"}) & run.keys()  # the connector needs it


def test_the_lock_of_the_workshop_builds_as_the_project_says() -> None:
    """With the build backend that everybody has."""
    assert pins("requirements-build.lock")["hatchling"] == pins("requirements.lock")["hatchling"]


def test_what_the_wheel_is_made_of_is_in_the_context() -> None:
    """And neither tests nor anything that a checkout gathers."""
    lines = (ROOT / ".dockerignore").read_text().splitlines()
    allowed = {line[1:] for line in lines if line.startswith("!")}
    assert "*" in lines
    wheel = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["targets"]["wheel"]
    wanted = {*wheel["packages"], *wheel["force-include"], *PROJECT["license-files"], PROJECT["readme"]}
    assert wanted | {"pyproject.toml", "requirements-run.lock", "requirements-build.lock"} == allowed


@pytest.fixture(scope="module")
def bare() -> Iterator[Path]:
    """A folder in which the image's build stage was carried out."""
    with tempfile.TemporaryDirectory() as name:
        (stage,) = (one for one in stages(DOCKERFILE.read_text())[1] if one.name == "build")
        carry_out(stage, Path(name))
        yield Path(name)


def run(bare: Path, *command: str, **variables: str) -> "subprocess.CompletedProcess[str]":
    """One of the programs that were installed, knowing nothing but these variables."""
    program = f"{bare}{TARGET}/bin/{command[0]}"
    environment: Mapping[str, str] = {**clean(bare), **variables}
    return subprocess.run(
        [program, *command[1:]], cwd=bare, env=environment, capture_output=True, text=True, check=False
    )


@needs_an_index
def test_what_was_installed_is_the_lock_and_the_program(bare: Path) -> None:
    """Nothing is missing, nothing else is there, and the bill of materials has all of it."""
    listing = "import json, importlib.metadata as m; print(json.dumps({d.name: d.version for d in m.distributions()}))"
    there = {
        canonicalize_name(name): version
        for name, version in json.loads(run(bare, "python", "-c", listing).stdout).items()
    }
    meant = {
        name: version
        for name, (version, marker, _) in pins("requirements-run.lock").items()
        if not marker or Marker(marker).evaluate()
    }
    assert there == {**meant, "tenantctl": PROJECT["version"]}
    bill = json.loads(Path(f"{bare}{TARGET}/sbom.cdx.json").read_text())
    assert bill["bomFormat"] == "CycloneDX"
    assert {canonicalize_name(one["name"]): one["version"] for one in bill["components"]} == there


@needs_an_index
@pytest.mark.parametrize("clients", [True, False], ids=["with the clients", "without them"])
def test_the_doctor_complains_of_missing_credentials_alone(bare: Path, clients: bool) -> None:
    """PostgreSQL's clients are the image's, of a package that a bare folder has not: another copy stands for them."""
    empty = bare / "empty"
    empty.mkdir(exist_ok=True)
    answer = run(
        bare,
        "tenantctl",
        "doctor",
        "-o",
        "json",
        TENANTCTL_CONFIG=str(CONFIGURATION),
        TENANTCTL_PG_BINDIR=str(find_programs().folder if clients else empty),
        NO_GCE_CHECK="true",
    )
    findings = json.loads(answer.stdout)
    bad = {one["subject"]: one["remedy"] for one in findings if not one["good"]}
    assert bad.pop("credentials") == "Run as a service account, or try: gcloud auth application-default login"
    assert list(bad) == ([] if clients else ["PostgreSQL's clients"])
    assert all("postgresql-client-18" in remedy for remedy in bad.values())
    assert answer.returncode == 6
    assert {"configuration", "policies"} <= {one["subject"] for one in findings if one["good"]}
