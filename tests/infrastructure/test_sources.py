"""What can be seen of the infrastructure without Terraform: its tables, and what no plan shows."""

import re

import pytest

from tenantctl.entrypoints.cli.moments import duration_of
from tenantctl.model.plan import Duty
from tests.house.repository import ROOT
from tests.infrastructure.duties import PLACES, table
from tests.infrastructure.hcl import blocks, resources, without_comments
from tests.infrastructure.mutant_list import MUTANTS
from tests.infrastructure.plans import TERRAFORM
from tests.simulation.mutants import why_not

BESIDES_DUTIES = {"serve", "export", "migrate", "schedule", "push"}
SOURCES = sorted(TERRAFORM.rglob("*.tf"))
# What Terraform may never destroy; that it would is seen in no plan.
KEPT = {
    "region": {
        "google_kms_crypto_key.backups",
        "google_kms_crypto_key.databases",
        "google_kms_crypto_key.storage",
        "google_sql_database_instance.this",
        "google_storage_bucket.keys",
        "google_storage_bucket.locked",
    },
    "control": {"google_sql_database.registry", "google_sql_database_instance.registry"},
    "governance": {"google_logging_project_bucket_config.audit"},
}
TAKES = re.compile(
    r"(?i)delete|destroy|setiampolicy|overwrite|override|bypass|purge|truncate|\.set[A-Z]|\.\*|\.update$"
)


def test_each_duty_of_the_program_is_an_identity() -> None:
    """And a job; whoever is no duty is one of the few that the design has besides."""
    assert set(table().identities) == set(Duty) | BESIDES_DUTIES
    assert {name for name, one in table().identities.items() if "arguments" in one} == set(Duty)
    for duty in Duty:
        *words, begins_for = table().identities[duty]["arguments"]
        assert words == ["run", "--duty", duty, "--begin-for"]
        longest = duration_of(begins_for, "--begin-for", like=["50m", "4h"])
        assert longest is not None
        assert longest.total_seconds() < table().identities[duty]["seconds_max"]


def test_nothing_takes_away_but_what_is_for_it() -> None:
    """A permission to delete, or to change what guards, stands in its own power and holds at its own place."""
    for power, permissions in table().powers.items():
        for permission in permissions:
            if TAKES.search(permission) and (power, permission) != ("hold", "storage.objects.update"):
                assert table().takes_away[permission]["power"] == power
    for permission, one in table().takes_away.items():
        assert permission in table().powers[one["power"]]
        holders = [(name, place) for name, place in _holders(one["power"])]
        assert holders == [("audit", one["place"])]


def _holders(power: str) -> list[tuple[str, str]]:
    everybody = {**table().identities, **table().people}
    return [(name, place) for name, one in everybody.items() for place, powers in one["may"].items() if power in powers]


def test_the_table_names_what_there_is() -> None:
    """Powers that are used, places that exist, and an end for whatever runs."""
    used = {
        power
        for one in (*table().identities.values(), *table().people.values())
        for powers in one["may"].values()
        for power in powers
    }
    assert used == set(table().powers)
    for name, one in table().identities.items():
        assert set(one["may"]) <= PLACES
        assert ("arguments" in one) == ("every" in one) == ("seconds_max" in one), name
        assert len(f"tenantctl-{name}") <= 30, "an account has no longer name"


@pytest.mark.parametrize(
    ("identity", "place", "permission"),
    [
        ("backup", "keys", "cloudkms.cryptoKeyVersions.useToDecrypt"),
        ("backup", "vaults", "storage.objects.update"),
        ("audit", "keys", "cloudkms.cryptoKeyVersions.useToDecrypt"),
        ("audit", "vaults", "storage.objects.create"),
        ("destroy", "vaults", "storage.objects.get"),
        ("destroy", "key_buckets", "storage.objects.delete"),
        ("serve", "instances", "cloudsql.instances.login"),
        ("verify", "vaults", "storage.objects.create"),
    ],
)
def test_no_identity_has_what_another_is_for(identity: str, place: str, permission: str) -> None:
    """Whoever steals one worker's identity has that worker's power alone."""
    assert (place, permission) not in table().permissions(identity)


@pytest.mark.parametrize("duty", Duty)
def test_each_duty_sees_all_that_a_plan_rests_on(duty: Duty) -> None:
    """One plan for all of them: whoever sees less than another would put a tenant off for what only it cannot see."""
    held = table().permissions(duty)
    assert held >= {("instances", "cloudsql.instances.connect"), ("instances", "cloudsql.instances.login")}
    assert held >= {("anchors", permission) for permission in table().powers["look"]}


@pytest.mark.parametrize("module", sorted(KEPT))
def test_terraform_never_destroys_what_keeps_data(module: str) -> None:
    """`prevent_destroy` on each; a disk that has grown is no change."""
    found = resources(TERRAFORM / "modules" / module)
    for name in KEPT[module]:
        assert re.search(r"^  lifecycle \{\n(?:.*\n)*?    prevent_destroy\s*= true$", found[name], re.MULTILINE), name
        if "sql_database_instance" in name:
            assert re.search(r"^    ignore_changes\s*= \[settings\[0\]\.disk_size\]", found[name], re.MULTILINE), name
    kinds = ("google_kms_crypto_key.", "google_sql_database_instance.", "google_storage_bucket.")
    data = {name for name in found if name.startswith(kinds)} - {"google_storage_bucket.exports"}
    assert data <= KEPT[module], "what keeps data stands in the list above"


def test_nothing_is_locked_unless_a_person_says_so() -> None:
    """The default is false, and no example says otherwise."""
    variables = dict(blocks((TERRAFORM / "variables.tf").read_text()))
    assert re.search(r"^  default\s*= false$", variables["variable", "lock_retention"], re.MULTILINE)
    assert not [path for path in TERRAFORM.rglob("*.tfvars.json") if "lock_retention" in path.read_text()]


def test_no_term_is_said_twice() -> None:
    """The numbers of the policies stand in the policies: no bucket's lock or age is written out in Terraform."""
    for path in SOURCES:
        text = without_comments(path.read_text(encoding="utf-8"))
        assert not re.search(r"(?:lock|age)_?(?:days)?\s*=\s*\d", text), path
        assert not re.search(r"\b(?:330|331|400|401)\b\s*(?:\*|$)", text, re.MULTILINE), path


def test_every_scanner_s_finding_is_skipped_with_a_reason() -> None:
    """`#checkov:skip=ID:reason`, a sentence of its own each."""
    for path in SOURCES:
        for line in path.read_text(encoding="utf-8").splitlines():
            if "checkov:skip" in line:
                assert re.fullmatch(r"  #checkov:skip=CKV2?_GCP_\d+:[A-Z].{20,}", line), (
                    f"{path.relative_to(ROOT)}: {line}"
                )


def test_the_language_is_read_as_it_is_written() -> None:
    """The reader of blocks finds a body, and a brace or a comment sign in a string is neither."""
    text = 'resource "a" "b" {\n  name = "x } # y"\n  lifecycle {\n    z = 1 # no\n  }\n}\n'
    ((words, body),) = blocks(text)
    assert words == ("resource", "a", "b")
    assert without_comments(body) == '  name = "x } # y"\n  lifecycle {\n    z = 1 \n  }\n'


def test_every_known_mistake_can_be_planted() -> None:
    """Its old text stands once in its file; `python -m tests.infrastructure.mutants` sees that it is found."""
    assert not [sentence for mutant in MUTANTS if (sentence := why_not(mutant, ROOT))]
    assert len({mutant.name for mutant in MUTANTS}) == len(MUTANTS) >= 30
    assert all(mutant.old != mutant.new for mutant in MUTANTS)
