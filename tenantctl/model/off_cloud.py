"""Copies off Google's cloud: what their regions and buckets are called, where they lie, and when S3 deletes them.

A region off Google's cloud bears its cloud before a colon: `aws:eu-central-1`. So it stands in a policy, in
`Copy.region`, and in what a vault says of a bucket. A colon cannot stand in a bucket's name, and there it is a dash:
`bucket_name` makes `PREFIX-aws-eu-central-1-daily-31d` of it. The name alone tells whose bucket it is: no region of
Google's has a dash before its number.

S3 counts in whole days, from each following midnight UTC. An object is hidden by a marker at the first midnight that
comes `age_days - HIDDEN_DAYS` after its writing, and its bytes are deleted at the first midnight that comes
`HIDDEN_DAYS` after the marker. By this count alone bytes go up to `ROUNDING_DAYS` after their age, never before it.
Both times S3 queues what is due, and states no bound for the queue: the policy's `lifecycle_lag_days` is for that.
Source: Amazon S3 User Guide, "Lifecycle configuration elements" (both roundings) and "Expiring objects" (the marker,
and the queue).
"""

import re
from datetime import UTC, datetime, time, timedelta
from typing import Final

from tenantctl.model.backup import RetentionClass
from tenantctl.model.errors import Refused

AWS: Final = "aws"
HIDDEN_DAYS: Final = 1  # between the marker and the deletion of the bytes: S3 takes no less
ROUNDING_DAYS: Final = 2
AGE_DAYS_MIN: Final = HIDDEN_DAYS + 1

_REGIONS_OF: Final = {  # Amazon's, those that anybody may use, by country: ISO 3166-1 alpha-2
    "AE": "me-central-1",
    "AU": "ap-southeast-2 ap-southeast-4",
    "BH": "me-south-1",
    "BR": "sa-east-1",
    "CA": "ca-central-1 ca-west-1",
    "CH": "eu-central-2",
    "DE": "eu-central-1",
    "ES": "eu-south-2",
    "FR": "eu-west-3",
    "GB": "eu-west-2",
    "HK": "ap-east-1",
    "ID": "ap-southeast-3",
    "IE": "eu-west-1",
    "IL": "il-central-1",
    "IN": "ap-south-1 ap-south-2",
    "IT": "eu-south-1",
    "JP": "ap-northeast-1 ap-northeast-3",
    "KR": "ap-northeast-2",
    "MX": "mx-central-1",
    "MY": "ap-southeast-5",
    "NZ": "ap-southeast-6",
    "SE": "eu-north-1",
    "SG": "ap-southeast-1",
    "TH": "ap-southeast-7",
    "TW": "ap-east-2",
    "US": "us-east-1 us-east-2 us-west-1 us-west-2",
    "ZA": "af-south-1",
}
_COUNTRIES: Final = {f"{AWS}:{region}": country for country, said in _REGIONS_OF.items() for region in said.split()}
REGIONS: Final = tuple(sorted(_COUNTRIES))

_CLASSES: Final = "|".join(RetentionClass)
_BUCKET: Final = re.compile(rf".+-{AWS}-([a-z]{{2}}(?:-[a-z]+)+-[0-9]+)-(?:{_CLASSES})-[0-9]+d")


def is_off_cloud(region: str) -> bool:
    """Whether a region is one off Google's cloud."""
    return region.startswith(f"{AWS}:")


def aws_region(region: str) -> str:
    """What Amazon calls a region: `eu-central-1` for `aws:eu-central-1`.

    Raises:
        Refused: it is no region off Google's cloud.
    """
    if not is_off_cloud(region):
        raise Refused(f"{region} is no region off Google's cloud.", hint=f"They are called like {REGIONS[0]}.")
    return region.removeprefix(f"{AWS}:")


def country_of(region: str) -> str:
    """The country that a region off Google's cloud lies in, ISO 3166-1 alpha-2: by it go its law and its customers.

    Raises:
        Refused: no such region is known.
    """
    if region not in _COUNTRIES:
        raise Refused(f"Where {region} lies is not known.", hint=f"Known are {', '.join(REGIONS)}.")
    return _COUNTRIES[region]


def off_cloud_region(bucket: str) -> str | None:
    """The region that a bucket's name says, `aws:eu-central-1`; None for a bucket in Google's cloud."""
    match = _BUCKET.fullmatch(bucket)
    return f"{AWS}:{match[1]}" if match else None


def rounding_days(region: str) -> int:
    """The most days that a region's own count adds to a term; they come before `lifecycle_lag_days`, not out of it."""
    return ROUNDING_DAYS if is_off_cloud(region) else 0


def due_for_deletion(written_at: datetime, age_days: int) -> datetime:
    """The midnight at which S3 counts an object's bytes as due, if it hides it the moment that is due.

    Raises:
        ValueError: S3 has no term as short, or the time has no zone.
    """
    if age_days < AGE_DAYS_MIN:
        raise ValueError(f"in S3 an object is {AGE_DAYS_MIN} days old at least when it goes, not {age_days}")
    if written_at.tzinfo is None:
        raise ValueError("a time without its zone")
    hidden_at = _midnight_after(written_at + timedelta(days=age_days - HIDDEN_DAYS))
    return _midnight_after(hidden_at + timedelta(days=HIDDEN_DAYS))


def _midnight_after(moment: datetime) -> datetime:
    """The next midnight UTC; of a midnight itself the next one, since a scan comes after it and never before."""
    day = moment.astimezone(UTC).date() + timedelta(days=1)
    return datetime.combine(day, time(0), UTC)
