"""`tenantctl region` as a person and as a program sees it."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from tenantctl.entrypoints.cli.main import cli
from tenantctl.model.errors import PolicyFault, Refused
from tenantctl.model.region import Placement

ROOT = Path(__file__).parents[2]
GOLDEN = ROOT / "tests" / "golden"


@pytest.fixture(autouse=True)
def shipped_policies(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TENANTCTL_POLICIES", str(ROOT / "policies"))


def run(*arguments: str) -> str:
    # Called as a user calls it: click keeps what it first made of a command's --help, for every later test too.
    outcome = CliRunner().invoke(cli, ["region", *arguments], catch_exceptions=False, standalone_mode=False)
    if outcome.exception:
        raise outcome.exception
    return outcome.stdout


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("region_list", ("list",)),
        ("region_nearest_southlake", ("nearest", "Southlake, TX, US")),
        ("region_nearest_athens", ("nearest", "Αθήνα")),
        ("region_nearest_london", ("nearest", "London, GB")),
        ("region_nearest_belgium", ("nearest", "Belgique", "--keep-in", "eu")),
        ("region_nearest_sydney", ("nearest", "-33.9,151.2", "--all")),
    ],
)
def test_the_tables_are_these(name: str, arguments: tuple[str, ...]) -> None:
    """Sentence, ranks, distances and reasons, letter by letter."""
    assert run(*arguments) == (GOLDEN / f"{name}.txt").read_text(encoding="utf-8")


def test_json_holds_the_whole_placement() -> None:
    """What is printed as JSON can be read back as the placement."""
    document = json.loads(run("nearest", "Luik", "-o", "json"))
    assert document.pop("distance_km") == 125.6
    placement = Placement.from_plain(document)
    assert (placement.query, placement.region, placement.kept_in) == ("Luik", "europe-west1", "EU")
    assert len(placement.candidates) == 43


def test_list_as_json_says_what_the_table_says() -> None:
    """All regions with state and partners, and the versions."""
    document = json.loads(run("list", "-o", "json"))
    assert len(document["regions"]) == 43
    assert document["version"]
    assert len(document["policy_digest"]) == 64
    dallas = next(one for one in document["regions"] if one["region"] == "us-south1")
    assert dallas["state"] == "open"
    assert dallas["partners"] == ["us-central1", "us-east5", "us-east1"]


def test_words_need_no_quotation_marks() -> None:
    """A shell that splits the place at its spaces gives the same answer."""
    assert run("nearest", "Southlake,", "TX,", "US") == run("nearest", "Southlake, TX, US")


@pytest.mark.parametrize("text", ["Springfield, US", "Germany", "Nowhereville", "91,0"])
def test_bad_places_are_refused(text: str) -> None:
    """Nothing is printed as if it were an answer."""
    with pytest.raises(Refused) as refused:
        run("nearest", text)
    assert refused.value.exit_code == 3


def test_an_unknown_option_is_a_usage_error() -> None:
    """Only numbers may look like options."""
    outcome = CliRunner().invoke(cli, ("region", "nearest", "Luik", "--everything"))
    assert outcome.exit_code == 2
    assert "--everything" in outcome.output


def test_a_faulty_policy_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """File, key and reason; no answer is given from half a policy."""
    text = (ROOT / "policies" / "regions.yaml").read_text(encoding="utf-8")
    (tmp_path / "regions.yaml").write_text(text.replace("us-south1: {state: open", "us-south1: {state: ajar"), "utf-8")
    monkeypatch.setenv("TENANTCTL_POLICIES", str(tmp_path))
    with pytest.raises(PolicyFault) as fault:
        run("nearest", "Luik")
    assert (fault.value.file, fault.value.key) == ("regions.yaml", "regions.us-south1.state")
