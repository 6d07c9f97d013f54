"""A legal hold through the command line, on a real local cloud: held copies outlive their age, then go."""

import json
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest
from google.api_core.exceptions import Forbidden

from tenantctl.backups.keys import key_name
from tests.localcloud.clouds import storage_client
from tests.localcloud.company import PLACE, Company, throw_away_company

CASE = ("--case", "AZ 12/26")


@pytest.fixture(scope="module")
def company() -> Iterator[Company]:
    """One tenant with a backup of each class that it can have."""
    with throw_away_company() as made:
        made.do("tenant", "create", "acme", "--based-in", PLACE, "--wait")
        for _ in range(3):
            made.do("backup", "now", "acme")
        yield made


def copies(company: Company, retention_class: str | None = None) -> list[dict[str, Any]]:
    """The copies of the tenant's backups, of one class or of all."""
    backups = json.loads(company.do("backup", "list", "acme", "-o", "json"))
    return [
        copy
        for backup in backups
        if backup["retention_class"] == (retention_class or backup["retention_class"])
        for copy in backup["copies"]
    ]


def in_days(company: Company, days: int) -> str:
    """So many days from now, by the local cloud's clock."""
    return (datetime.fromisoformat(company.cloud.status()["clock"]) + timedelta(days=days)).isoformat()


def objects(company: Company, copy: dict[str, Any]) -> list[Any]:
    """What the store has of a copy, as Google's own client sees it: the dump and its manifest."""
    below = copy["object_name"].rsplit("/", 1)[0] + "/"
    return list(storage_client(company.cloud).list_blobs(copy["bucket"], prefix=below))


def keys(company: Company, copy: dict[str, Any]) -> list[Any]:
    """The wrapped key of a copy in its region's key bucket."""
    client = storage_client(company.cloud)
    name = key_name(copy["tenant_uid"], copy["backup_id"])
    buckets = [bucket.name for bucket in client.list_buckets() if bucket.name.endswith(f"{copy['region']}-keys")]
    return [blob for bucket in buckets for blob in client.list_blobs(bucket, prefix=name)]


def test_bad_input_is_refused_in_a_sentence(company: Company) -> None:
    """A hold without a case, or one to be reviewed in the past, is none."""
    later = ("--review-by", "2100-01-01")
    for arguments, code, words in (
        (("hold", "place", "acme", *later), 2, "--case"),
        (("hold", "place", "acme", "--case", " ", *later), 3, "refers to a case"),
        (("hold", "place", "acme", *CASE, "--review-by", "2020-01-01"), 3, "which has passed"),
        (("hold", "place", "nobody", *CASE, *later), 4, "nobody"),
        (("hold", "release", "acme", *CASE, "--reason", "why"), 4, "under no hold"),
        (("hold", "release", "acme", *CASE, "--reason", " "), 3, "has a reason"),
        (("hold", "review", "acme", *CASE, "--reason", "why", *later), 4, "under no hold"),
        (("hold", "review", "acme", *CASE, "--reason", "why", "--review-by", "2020-01-01"), 3, "which has passed"),
    ):
        answer = company.ask(*arguments)
        assert (answer.code, words in answer.err) == (code, True), (arguments, answer)
    assert "Nothing is under a legal hold" in company.do("hold", "list")


def test_what_is_held_outlives_its_age_and_goes_after_the_release(company: Company) -> None:
    """With the real client, the real lifecycle, and the cloud's owner, who may do everything and deletes nothing."""
    company.do("hold", "place", "acme", *CASE, "--review-by", in_days(company, 900))
    company.ask("run")
    assert all(copy["held_at"] for copy in copies(company))
    assert all([blob.temporary_hold for blob in objects(company, copy)] == [True, True] for copy in copies(company))
    old = copies(company, "daily")
    assert old
    company.do("local", "advance", "45d")
    assert company.ask("run").code in {0, 5}  # a night's backup, and copies written since
    for copy in old:
        found = objects(company, copy)
        assert [blob.temporary_hold for blob in found] == [True, True]
        assert keys(company, copy)
        for blob in found:
            with pytest.raises(Forbidden, match="hold"):
                blob.delete(retry=None)
    explained = company.do("tenant", "explain", "acme")
    assert "legal hold" in explained
    assert CASE[1] not in explained
    places = json.loads(company.do("residue", "acme", "-o", "json"))
    assert {place["kind"] for place in places if place["held"]} == {"copy", "key"}
    assert "until released" in company.do("residue", "acme")
    checks = json.loads(company.ask("doctor", "-o", "json").out)
    assert any("legal hold" in check["sentence"] and check["good"] for check in checks)
    assert not any(
        "overdue" in check["sentence"] or "date" in check["sentence"] for check in checks if not check["good"]
    )

    company.do("hold", "release", "acme", *CASE, "--reason", "order of the court")
    company.do("run", "--tenant", "acme")
    assert not any(blob.temporary_hold for copy in copies(company) for blob in objects(company, copy))
    assert not any(keys(company, copy) for copy in old)
    company.do("local", "advance", "3d")
    company.ask("run")
    assert not any(objects(company, copy) for copy in old)
    names = {(copy["backup_id"], copy["region"]) for copy in old}
    after = [copy for copy in copies(company) if (copy["backup_id"], copy["region"]) in names]
    assert {(copy["state"], copy["held_at"]) for copy in after} == {("lapsed", None)}
    assert company.do("journal", "verify")


def test_an_overdue_review_is_reported_until_it_was_made(company: Company) -> None:
    """By the run and by the list, each of which ends with 6; the case is named by the list alone."""
    company.do("hold", "place", "acme", *CASE, "--review-by", in_days(company, 30))
    company.do("local", "advance", "32d")
    answer = company.ask("run", "--tenant", "acme")
    assert answer.code == 6, answer
    assert "hold-review-overdue" in company.ask("doctor").out
    assert company.ask("hold", "list").code == 6
    company.do("hold", "review", "acme", *CASE, "--reason", "still needed", "--review-by", in_days(company, 90))
    assert company.ask("hold", "list").code == 0
    company.ask("run", "--tenant", "acme")
    assert "hold-review-overdue" not in company.ask("doctor").out
    assert not any(CASE[1] in json.dumps(entry) for entry in company.journal("acme"))
