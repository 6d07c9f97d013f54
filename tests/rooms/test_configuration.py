"""Production's settings: Terraform's output loads unchanged, all faults are told at once, and no secret is printed."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from tenantctl.config import NAMING_PRODUCTION, PREFIX, Settings, effective_environment, load_settings
from tenantctl.config.document import Document
from tenantctl.config.production import READ_ELSEWHERE, Production, load_production, variable
from tenantctl.entrypoints.cli.main import cli
from tenantctl.entrypoints.service.identity import Role
from tenantctl.entrypoints.service.settings import service_settings
from tenantctl.model.errors import Refused
from tests.house.repository import PACKAGE, ROOT, python_files

OUTPUT = ROOT / "tests/fixtures/terraform-configuration.json"
SECRET = "s3cret-of-amazon"
NAMED = {
    "TENANTCTL_PROJECT": "acme-tenants",
    "TENANTCTL_REGISTRY_INSTANCE": "registry",
    "TENANTCTL_REGISTRY_DATABASE": "tenantctl",
    "TENANTCTL_BUCKET_PREFIX": "acme",
}


def refusal(environment: dict[str, str]) -> str:
    """The sentence by which these settings are refused."""
    with pytest.raises(Refused) as caught:
        load_settings(environment)
    return caught.value.sentence


def test_terraforms_output_loads_unchanged(tmp_path: Path) -> None:
    """As `terraform output -json configuration` prints it, and among all outputs; the service's part too."""
    every = tmp_path / "outputs.json"
    output = json.loads(OUTPUT.read_text())
    every.write_text(json.dumps({"configuration": {"sensitive": False, "type": "x", "value": output}}))
    for path in (OUTPUT, every):
        environment = {"TENANTCTL_CONFIG": str(path)}
        settings = load_settings(environment)
        assert settings == Settings(
            "acme-tenants-trial",
            "registry",
            "tenantctl",
            "acme-trial",
            outbound_topic="projects/acme-tenants-trial/topics/tenantctl-outbound",
        )
        service = service_settings(effective_environment(environment))
        assert service.audience == output["service"]["audience"]
        assert Role.BILLING in service.callers[output["identities"]["push"]]


def test_the_output_and_the_program_name_the_same_things() -> None:
    """The fixture is what Terraform's source says, and the program knows each key and variable of it."""
    source = (ROOT / "terraform/outputs.tf").read_text()
    block = source[source.index('output "configuration"') :]
    keys = set(re.findall(r"^    (\w+) += ", block[: block.index("\n}")], re.MULTILINE))
    assert keys == set(Document.model_fields) == set(json.loads(OUTPUT.read_text()))
    jobs = (ROOT / "terraform/modules/control/jobs.tf").read_text()
    told = set(re.findall(r"\b(TENANTCTL_[A-Z_0-9]+|AWS_[A-Z_]+)\b", jobs))
    assert told <= {variable(name) for name in Production.model_fields} | READ_ELSEWHERE
    assert {f"{PREFIX}{name}" for name in NAMING_PRODUCTION} <= told


def test_every_variable_that_the_program_reads_is_known() -> None:
    """Else whoever sets it would be told that nobody reads it."""
    read = {
        name
        for path in python_files(PACKAGE)
        if "localcloud" not in path.parts
        for name in re.findall(r"(?<![_\w])TENANTCTL_[A-Z_0-9]*[A-Z0-9]\b", path.read_text())
    }
    known = {variable(name) for name in Production.model_fields} | READ_ELSEWHERE
    assert {name for name in read if not name.endswith("_COMPLETE")} <= known


def test_all_faults_are_told_at_once_with_their_place(tmp_path: Path) -> None:
    """Missing, blank, mistaken, misspelt and misplaced: one sentence has them all."""
    file = tmp_path / "tenantctl.yaml"
    file.write_text(
        f"environment:\n  TENANTCTL_PROJECT: Not A Project\n  TENANTCTL_BUCKETS: x\n  AWS_SECRET_ACCESS_KEY: {SECRET}\n"
    )
    said = refusal(
        {
            "TENANTCTL_CONFIG": str(file),
            "TENANTCTL_REGISTRY_DATABASE": " ",
            "TENANTCTL_REGISTY_INSTANCE": "registry",
            "TENANTCTL_BILLING_URL": f"https://user:{SECRET}@billing.example.com/{{tenant}}",
            "TENANTCTL_S3_OWNER": "12",
            "TENANTCTL_TEST_PROJECT": "somebody-elses",
        }
    )
    assert said.startswith("The configuration has 9 faults: ")
    for fault in (
        "TENANTCTL_REGISTY_INSTANCE (environment): nobody reads it; did you mean TENANTCTL_REGISTRY_INSTANCE?",
        f"TENANTCTL_BUCKETS (environment of {file}): nobody reads it",
        f"AWS_SECRET_ACCESS_KEY (environment of {file}): a secret comes from the environment alone",
        f"TENANTCTL_PROJECT (environment of {file}): is not written as Google writes it",
        "TENANTCTL_REGISTRY_INSTANCE: is not set",
        "TENANTCTL_REGISTRY_DATABASE (environment): is blank",
        "TENANTCTL_BUCKET_PREFIX: is not set",
        "TENANTCTL_BILLING_URL (environment): must not carry a password",
        "TENANTCTL_S3_OWNER (environment): is not written as Google writes it",
    ):
        assert fault in said, fault
    assert SECRET not in said


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("environment: {A: 1}\nbucket: {}\n", "bucket: Extra inputs are not permitted"),
        ("- a\n", "the whole file"),
        ("environment: {\n", "cannot be read"),
        ("environment: {A: b}\nenvironment: {A: c}\n", "cannot be read"),
        ("buckets: {}\n", "environment: Field required"),
    ],
)
def test_a_file_of_another_shape_is_refused(content: str, says: str, tmp_path: Path) -> None:
    """An unknown key is never taken for nothing."""
    file = tmp_path / "tenantctl.yaml"
    file.write_text(content)
    assert says in refusal({**NAMED, "TENANTCTL_CONFIG": str(file)})


@pytest.mark.parametrize("path", ["", "/nowhere/tenantctl.yaml"])
def test_a_file_that_is_named_must_be_there(path: str) -> None:
    """A name that leads nowhere is no reason to work on what the environment says alone."""
    assert refusal({**NAMED, "TENANTCTL_CONFIG": path})


def test_the_environment_counts_before_the_file() -> None:
    """And is shown as where it came from."""
    loaded = load_production({"TENANTCTL_CONFIG": str(OUTPUT), "TENANTCTL_BUCKET_PREFIX": "other"})
    assert loaded.settings.bucket_prefix == "other"
    assert (loaded.sources["bucket_prefix"], loaded.sources["project"]) == ("environment", f"environment of {OUTPUT}")


def ask(monkeypatch: pytest.MonkeyPatch, *arguments: str, **environment: str) -> Any:
    """A command with this environment and no other of ours."""
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    return CliRunner().invoke(cli, ["config", "show", *arguments])


def test_no_secret_is_ever_printed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither shown, nor in a representation, nor in what a fault says."""
    amazons = {"AWS_ACCESS_KEY_ID": f"id-{SECRET}", "AWS_SECRET_ACCESS_KEY": SECRET}
    for form in ("table", "json"):
        shown = ask(monkeypatch, "-o", form, **NAMED, **amazons)
        assert shown.exit_code == 0
        assert SECRET not in shown.output
        assert "AWS_SECRET_ACCESS_KEY" in shown.output
        assert "acme-tenants" in shown.output
    loaded = load_production({**NAMED, **amazons})
    assert SECRET not in repr(loaded)
    assert SECRET not in loaded.settings.model_dump_json()
    assert SECRET not in refusal({**NAMED, **amazons, "TENANTCTL_S3_ENDPOINT": f"ftp://{SECRET}"})


def test_a_local_clouds_settings_are_shown_with_their_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same command tells which cloud a shell works on."""
    Settings("p", "registry", "tenantctl", "b", sqladmin_endpoint="http://127.0.0.1:1", identities=("a@x",)).write(
        tmp_path
    )
    for name in NAMED:
        monkeypatch.delenv(name, raising=False)
    shown = ask(monkeypatch, "-o", "json", TENANTCTL_LOCAL_DIR=str(tmp_path), TENANTCTL_IDENTITY="a")
    rows = {row["variable"]: row for row in json.loads(shown.output)}
    assert rows["TENANTCTL_PROJECT"] == {
        "variable": "TENANTCTL_PROJECT",
        "value": "p",
        "source": str(tmp_path / "tenantctl.json"),
    }
    assert rows["TENANTCTL_LOGIN"]["source"] == "environment"
    assert rows["TENANTCTL_S3_OWNER"]["source"] == "not set"
