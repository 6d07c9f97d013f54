"""The wheel has everything that the program needs where there is no checkout."""

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.house.repository import PACKAGE, ROOT, files


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel as it would be released, built without a network."""
    target = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(target)]
    ended = subprocess.run(build, cwd=ROOT, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    return next(target.glob("tenantctl-*.whl"))


def test_the_wheel_has_every_file_of_the_package_and_the_policies(wheel: Path) -> None:
    """Code, data, migrations, the marker that it is typed; and the policies under the name at which they are found."""
    names = set(zipfile.ZipFile(wheel).namelist())
    package = {str(path.relative_to(ROOT)) for path in files(PACKAGE)}
    assert not package - names
    assert {f"tenantctl/_policies/{path.name}" for path in (ROOT / "policies").glob("*.yaml")} <= names
    assert not [name for name in names if name.startswith(("tests/", "benchmarks/", "docs/", "policies/"))]
    assert {name.rpartition("/")[2] for name in names if "/licenses/" in name} == {"LICENSE", "NOTICE"}


def test_the_wheel_answers_by_itself(wheel: Path, tmp_path: Path) -> None:
    """Unpacked where no checkout is, it finds its policies and its places."""
    zipfile.ZipFile(wheel).extractall(tmp_path)
    program = "import sys; sys.path.insert(0, sys.argv.pop(1)); from tenantctl.__main__ import main; main()"
    ask = [sys.executable, "-c", program, str(tmp_path), "region", "nearest", "Liège, Belgium"]
    ended = subprocess.run(ask, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert "europe-west1" in ended.stdout
    check = [sys.executable, "-c", program, str(tmp_path), "policy", "check"]
    ended = subprocess.run(check, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert f"The policies in {tmp_path}/tenantctl/_policies are in order" in ended.stdout
