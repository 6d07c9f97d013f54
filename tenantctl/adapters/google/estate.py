"""Makes on a local cloud what Terraform makes in production, through the same APIs and with the same terms.

Everything here can be run again: what is there as it should be is left alone, what is there otherwise is refused and
named, because a bucket's locked retention can never be made shorter, and an instance never moved.
"""

import contextlib
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING

from google.api_core.exceptions import Conflict
from google.cloud.storage import Bucket, Client
from google.cloud.storage.constants import PUBLIC_ACCESS_PREVENTION_ENFORCED

from tenantctl.adapters.google.answers import AlreadyThere, explaining
from tenantctl.adapters.google.key_store import key_bucket_name
from tenantctl.adapters.google.keys import KEY, KEY_RING, GoogleKeys, asked, ring_name
from tenantctl.adapters.google.transport import TimeLimits, Watch
from tenantctl.adapters.google.vault import bucket_seen
from tenantctl.backups.exports import export_bucket_name, export_bucket_terms
from tenantctl.model.anchor import anchor_bucket_name
from tenantctl.model.backup import RetentionClass, bucket_name
from tenantctl.model.errors import NotFound, Refused, Transient
from tenantctl.model.policy import AnchorsPolicy, BackupsPolicy, Term
from tenantctl.model.sighting import Gone, Present, Unreachable
from tenantctl.ports.instances import Instances, InstanceSeen, OperationSeen
from tenantctl.ports.vault import BucketSeen

if TYPE_CHECKING:
    from google.cloud.kms_v1 import KeyManagementServiceClient

ROTATION = timedelta(days=90)  # of the keys that wrap backups' keys
INSTANCE_SECONDS_MAX = 1800.0  # Cloud SQL takes 7 to 20 minutes to make an instance
_LIMITS = TimeLimits()


@dataclass(frozen=True)
class BucketPlan:
    """A bucket as it must be."""

    name: str
    region: str
    term: Term

    @property
    def terms(self) -> BucketSeen:
        """What the bucket must say of itself."""
        return BucketSeen.locked_for(self.region, self.term)


def bucket_plans(prefix: str, regions: Sequence[str], policy: BackupsPolicy) -> Iterator[BucketPlan]:
    """The buckets that these regions need: one for each retention class in each region."""
    for region in regions:
        for name in RetentionClass:
            term = policy.classes[name]
            yield BucketPlan(bucket_name(prefix, region, name, term.age_days), region, term)


def ensure_buckets(client: Client, prefix: str, regions: Sequence[str], policy: BackupsPolicy) -> tuple[str, ...]:
    """Make the buckets that are missing, lock the retention of all, and return the names of those made.

    Raises:
        Refused: a bucket is there with other terms, or the API refuses.
        Transient: the API does not answer; run it again.
    """
    return tuple(plan.name for plan in bucket_plans(prefix, regions, policy) if ensure_bucket(client, plan))


def ensure_anchor_buckets(client: Client, prefix: str, policy: AnchorsPolicy) -> tuple[str, ...]:
    """Make the buckets for anchors that are missing, lock the retention of all, and return the names of those made.

    Raises:
        Refused: a bucket is there with other terms, or the API refuses.
        Transient: the API does not answer; run it again.
    """
    plans = (
        BucketPlan(anchor_bucket_name(prefix, region, policy.age_days), region, policy.term)
        for region in policy.regions
    )
    return tuple(plan.name for plan in plans if ensure_bucket(client, plan))


def ensure_bucket(client: Client, plan: BucketPlan) -> bool:
    """Make one bucket if it is missing, lock its retention, and say whether it was made.

    Raises:
        Refused: it is there with other terms, or the API refuses.
        Transient: the API does not answer; run it again.
    """
    bucket, made = _fetch(client, plan.name), False
    if bucket is None:
        bucket, made = _make(client, plan), True
    seen = bucket_seen(bucket)
    if not seen.locked and replace(seen, locked=True) == plan.terms:  # made just now, or before a crash
        bucket = _lock(client, bucket)
    seen = bucket_seen(bucket)
    if seen != plan.terms:
        raise Refused(
            f"gs://{plan.name} is there with other terms: {seen}, and should have {plan.terms}.",
            hint="Choose another prefix for the buckets; locked terms cannot be changed.",
        )
    return made


def _fetch(client: Client, name: str) -> Bucket | None:
    try:
        with explaining(f"look at gs://{name}"), Watch(_LIMITS.whole_seconds):
            return client.get_bucket(name, timeout=_LIMITS.for_requests, retry=None)
    except NotFound:
        return None


def _make(client: Client, plan: BucketPlan) -> Bucket:
    bucket = client.bucket(plan.name)
    bucket.retention_period = timedelta(days=plan.term.lock_days) // timedelta(seconds=1)
    bucket.add_lifecycle_delete_rule(age=plan.term.age_days)
    return _create(client, bucket, plan.region)


def _create(client: Client, bucket: Bucket, region: str) -> Bucket:
    bucket.iam_configuration.uniform_bucket_level_access_enabled = True
    bucket.iam_configuration.public_access_prevention = PUBLIC_ACCESS_PREVENTION_ENFORCED
    bucket.soft_delete_policy.retention_duration_seconds = 0
    bucket.versioning_enabled = False
    with explaining(f"make gs://{bucket.name}"), Watch(_LIMITS.whole_seconds):
        try:
            return client.create_bucket(bucket, location=region, timeout=_LIMITS.for_requests, retry=None)
        except Conflict:  # another one was as fast: what it made is looked at like any that was there
            return client.get_bucket(bucket.name, timeout=_LIMITS.for_requests, retry=None)


def _lock(client: Client, bucket: Bucket) -> Bucket:
    try:
        with explaining(f"lock gs://{bucket.name}"), Watch(_LIMITS.whole_seconds):
            bucket.lock_retention_policy(timeout=_LIMITS.for_requests, retry=None)
    except AlreadyThere:  # it has changed since it was looked at: another one was as fast, or the terms will tell
        pass
    with explaining(f"look at gs://{bucket.name}"), Watch(_LIMITS.whole_seconds):
        return client.get_bucket(bucket.name, timeout=_LIMITS.for_requests, retry=None)


def ensure_key_buckets(client: Client, prefix: str, regions: Sequence[str]) -> tuple[str, ...]:
    """Make the key buckets that are missing, and return the names of those made.

    They keep nothing of what is removed from them: no retention, no soft delete, no versions, no lifecycle.

    Raises:
        Refused: a bucket is there with other terms, or the API refuses.
        Transient: the API does not answer; run it again.
    """
    made = []
    for region in regions:
        name = key_bucket_name(prefix, region)
        terms = BucketSeen(region, locked=False, lock_days=None, age_days=None, soft_delete_seconds=0, versioning=False)
        bucket = _fetch(client, name)
        if bucket is None:
            bucket = _create(client, client.bucket(name), region)
            made.append(name)
        if (seen := bucket_seen(bucket)) != terms:
            raise Refused(f"gs://{name} is there with other terms: {seen}, and should have {terms}.")
    return tuple(made)


def ensure_export_bucket(client: Client, prefix: str, region: str, age_days: int) -> bool:
    """Make the bucket for a region's exports if it is missing, and say whether it was made.

    It keeps nothing longer than its age: no retention, no soft delete, no versions.

    Raises:
        Refused: it is there with other terms, or the API refuses.
        Transient: the API does not answer; run it again.
    """
    name, terms = export_bucket_name(prefix, region, age_days), export_bucket_terms(region, age_days)
    bucket = _fetch(client, name)
    made = bucket is None
    if bucket is None:
        wanted = client.bucket(name)
        wanted.add_lifecycle_delete_rule(age=age_days)
        bucket = _create(client, wanted, region)
    if (seen := bucket_seen(bucket)) != terms:
        raise Refused(f"gs://{name} is there with other terms: {seen}, and should have {terms}.")
    return made


def ensure_kms_keys(
    client: "KeyManagementServiceClient", project: str, regions: Sequence[str], *, now: datetime
) -> tuple[str, ...]:
    """Make the keys that wrap backups' keys where they are missing, and return the regions of those made.

    Args:
        client: as `keys.kms_client` makes it.
        project: the project that the keys belong to.
        regions: where to have one.
        now: the time by the clock of the cloud, UTC; the first rotation is `ROTATION` after it.

    Raises:
        Refused: a key is there that does not wrap, or rotates otherwise; or the API refuses.
        Transient: the API does not answer; run it again.
    """
    keys, made = GoogleKeys(client, project), []
    for region in regions:
        sighting = keys.look(region)
        if isinstance(sighting, Gone):
            _make_key(client, project, region, now + ROTATION)
            made.append(region)
            sighting = keys.look(region)
        if not isinstance(sighting, Present):
            raise Transient(f"Whether {region} has a key cannot be told: {getattr(sighting, 'reason', 'it went away')}")
        seen = sighting.value
        if seen.state != "ENABLED" or seen.rotation != ROTATION:
            raise Refused(f"The key of {region} is there, and is not as it should be: {seen}.")
    return tuple(made)


def _make_key(client: "KeyManagementServiceClient", project: str, region: str, rotates_at: datetime) -> None:
    location, ring = f"projects/{project}/locations/{region}", ring_name(project, region)
    wanted = {"purpose": "ENCRYPT_DECRYPT", "rotation_period": ROTATION, "next_rotation_time": rotates_at}
    requests = (
        (client.create_key_ring, {"parent": location, "key_ring_id": KEY_RING, "key_ring": {}}),
        (client.create_crypto_key, {"parent": ring, "crypto_key_id": KEY, "crypto_key": wanted}),
    )
    for create, request in requests:
        with contextlib.suppress(AlreadyThere):  # another one was as fast, or a crash came between the two
            asked(f"make a key in {region}", partial(create, request, retry=None, timeout=None))


def ensure_instance(
    instances: Instances,
    name: str,
    region: str,
    *,
    seconds: float = INSTANCE_SECONDS_MAX,
    sleep: Callable[[float], None] = time.sleep,
    clock: Callable[[], float] = time.monotonic,
) -> InstanceSeen:
    """Make an instance if it is missing, wait until it runs, and return it.

    Raises:
        Refused: it is there in another region, cannot come to run, or the API refuses.
        Transient: the API does not answer, or it does not run within `seconds`; run it again.
    """
    deadline = clock() + seconds
    sighting = instances.look(name)
    if isinstance(sighting, Unreachable):
        raise Transient(f"Whether instance {name} exists cannot be told: {sighting.reason}")
    if isinstance(sighting, Gone):
        made = instances.create(name, region)
        wait_for(instances, made, f"create instance {name}", seconds=seconds, sleep=sleep, clock=clock)
    pause = 0.05
    while True:
        sighting = instances.look(name)
        if isinstance(sighting, Present):
            seen = sighting.value
            if seen.region != region:
                raise Refused(f"Instance {name} is in {seen.region}, not in {region}.", hint="Choose another name.")
            if seen.state == "RUNNABLE":
                return seen
            if seen.state in ("FAILED", "SUSPENDED", "PENDING_DELETE"):
                raise Refused(f"Instance {name} is {seen.state}.", hint="Look at its operations in the console.")
        if clock() + pause >= deadline:
            raise Transient(f"Instance {name} does not run yet after {seconds:g} s.", hint="Run this again.")
        sleep(pause)
        pause = min(pause * 1.5, 10.0)


def wait_for(
    instances: Instances,
    operation: OperationSeen,
    doing: str,
    *,
    seconds: float = INSTANCE_SECONDS_MAX,
    sleep: Callable[[float], None] = time.sleep,
    clock: Callable[[], float] = time.monotonic,
) -> None:
    """Wait for the end of an operation.

    Args:
        instances: where it runs.
        operation: as it was submitted.
        doing: what it does, as it stands in a sentence.
        seconds: how long to wait at most.
        sleep: how to wait.
        clock: seconds that only grow.

    Raises:
        Refused: it ended in an error.
        Transient: the API does not answer, or it is not done within `seconds`.
    """
    deadline, pause, seen = clock() + seconds, 0.05, operation
    while seen.status != "DONE":
        if clock() + pause >= deadline:
            raise Transient(f"Google has not ended to {doing} after {seconds:g} s ({seen.status}).")
        sleep(pause)
        pause = min(pause * 1.5, 10.0)
        seen = instances.operation(seen.name)
    if seen.error:
        raise Refused(f"Google failed to {doing}: {seen.error}")


def ensure_login(
    instances: Instances,
    instance: str,
    email: str,
    *,
    roles: tuple[str, ...],
    seconds: float = 120.0,
) -> None:
    """Make an IAM login, or grant it what it lacks, and wait until that is done.

    Raises:
        Refused: the API refuses.
        Transient: the API does not answer, or is busy for longer than this.
    """
    operation = instances.add_login(instance, email, roles=roles)
    wait_for(instances, operation, f"add the login {email} to {instance}", seconds=seconds)
