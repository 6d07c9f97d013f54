"""Names and times of copies off Google's cloud: told apart by their names alone, deleted never before their age."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenantctl.model.backup import RetentionClass, bucket_name
from tenantctl.model.errors import Refused
from tenantctl.model.off_cloud import (
    HIDDEN_DAYS,
    REGIONS,
    ROUNDING_DAYS,
    aws_region,
    country_of,
    due_for_deletion,
    is_off_cloud,
    off_cloud_region,
    rounding_days,
)
from tenantctl.placement.catalogue import region_catalogue

PREFIXES = ("acme", "acme-aws", "x-aws-eu-central-1-daily-31d")


def test_the_name_says_region_class_and_term() -> None:
    name = bucket_name("acme", "aws:eu-central-1", RetentionClass.DAILY, 31)
    assert name == "acme-aws-eu-central-1-daily-31d"


@pytest.mark.parametrize("prefix", PREFIXES)
@pytest.mark.parametrize("retention_class", RetentionClass)
def test_a_name_says_whose_it_is(prefix: str, retention_class: RetentionClass) -> None:
    """Of every region of both clouds, and whatever the names begin with."""
    for region in REGIONS:
        assert off_cloud_region(bucket_name(prefix, region, retention_class, 331)) == region
        assert is_off_cloud(region)
    for one in region_catalogue().regions:
        assert off_cloud_region(bucket_name(prefix, one.id, retention_class, 331)) is None
        assert not is_off_cloud(one.id)


def test_names_are_such_as_s3_takes() -> None:
    """With a prefix of up to 30 characters; the longest name there is may have 63."""
    for region in REGIONS:
        for retention_class in RetentionClass:
            assert len(bucket_name("p" * 30, region, retention_class, 331)) <= 63


@pytest.mark.parametrize("region", ["europe-west1", "eu-central-1", "azure:westeurope"])
def test_other_regions_are_not_amazons(region: str) -> None:
    with pytest.raises(Refused, match="no region off Google's cloud"):
        aws_region(region)


def test_where_a_region_lies_is_known_or_refused() -> None:
    assert (country_of("aws:eu-central-1"), aws_region("aws:eu-central-1")) == ("DE", "eu-central-1")
    with pytest.raises(Refused, match="not known"):
        country_of("aws:eu-central-9")
    assert all(len(country_of(region)) == 2 for region in REGIONS)


@pytest.mark.parametrize(
    ("written", "due"),
    [
        # 30 days later is the 31st of January at 10:30: hidden on the 1st, gone a midnight after the 2nd.
        ("2026-01-01T10:30:00", "2026-02-03"),
        ("2026-01-01T23:59:59", "2026-02-03"),
        ("2026-01-01T00:00:00", "2026-02-03"),
        ("2026-01-02T00:00:01", "2026-02-04"),
    ],
)
def test_s3_counts_from_each_following_midnight(written: str, due: str) -> None:
    """Twice: once until the object is hidden, and once more until its bytes go."""
    assert due_for_deletion(datetime.fromisoformat(written).replace(tzinfo=UTC), 31) == datetime.fromisoformat(
        due
    ).replace(tzinfo=UTC)


@given(
    written=st.datetimes(min_value=datetime(2020, 1, 1), max_value=datetime(2040, 1, 1)),  # noqa: DTZ001
    hours=st.integers(-12, 14),
    age_days=st.integers(HIDDEN_DAYS + 1, 400),
)
def test_never_before_the_age_and_within_what_rounding_adds(written: datetime, hours: int, age_days: int) -> None:
    """Whatever the zone that a time is written in."""
    moment = written.replace(tzinfo=timezone(timedelta(hours=hours)))
    due = due_for_deletion(moment, age_days)
    assert timedelta(days=age_days) < due - moment <= timedelta(days=age_days + ROUNDING_DAYS)
    assert due.astimezone(UTC).time() == datetime.min.time()


def test_only_off_googles_cloud_is_rounded() -> None:
    assert (rounding_days("aws:eu-central-1"), rounding_days("europe-west1")) == (2, 0)


@pytest.mark.parametrize("age_days", [0, HIDDEN_DAYS])
def test_there_is_no_shorter_term_than_s3_has(age_days: int) -> None:
    with pytest.raises(ValueError, match="2 days old"):
        due_for_deletion(datetime(2026, 1, 1, tzinfo=UTC), age_days)
    with pytest.raises(ValueError, match="zone"):
        due_for_deletion(datetime(2026, 1, 1), 31)  # noqa: DTZ001
