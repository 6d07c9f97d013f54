"""Object stores that what the vault needs is asked of: the local cloud, and a real project where one is named.

With `TENANTCTL_TEST_PROJECT` and `TENANTCTL_TEST_BUCKET_PREFIX` set the checks run against that Google Cloud project as
well (`pytest -m live`), with the caller's own credentials; buckets are made for each check, retentions last seconds,
and everything is deleted again once they are over.
"""

import os
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from google.api_core import exceptions
from google.cloud.storage import Client
from google.cloud.storage.exceptions import InvalidResponse

from tests.localcloud.object_service import ObjectService, serving

PROJECT, PREFIX = os.environ.get("TENANTCTL_TEST_PROJECT"), os.environ.get("TENANTCTL_TEST_BUCKET_PREFIX")
LIVE = pytest.param(
    "live",
    marks=[pytest.mark.live, pytest.mark.skipif(not (PROJECT and PREFIX), reason="names no Google Cloud project")],
)
STORES = ["local", LIVE]
UNIT = 256 * 1024


@dataclass
class Place:
    """A store under test: its client, and how its time passes."""

    client: Any
    local: ObjectService | None
    prefix: str
    made: list[str] = field(default_factory=list)

    def bucket(self, *, enable_object_retention: bool = False, **settings: Any) -> Any:
        """Make a bucket without soft delete, so that it can be emptied when the check is over."""
        bucket = self.client.bucket(f"{self.prefix}-{secrets.token_hex(6)}")
        bucket.soft_delete_policy.retention_duration_seconds = 0
        bucket.iam_configuration.uniform_bucket_level_access_enabled = True
        for name, value in settings.items():
            setattr(bucket, name, value)
        self.client.create_bucket(bucket, location="europe-west1", enable_object_retention=enable_object_retention)
        self.made.append(bucket.name)
        return bucket

    def pass_seconds(self, seconds: int) -> None:
        """Let time pass: on the local cloud at once."""
        if self.local is None:
            time.sleep(seconds)
        else:
            self.local.clock.advance(timedelta(seconds=seconds))

    def now(self) -> datetime:
        return datetime.now(UTC) if self.local is None else self.local.clock.now()

    def clear(self) -> None:
        """Delete what the check has made, once its retentions are over."""
        self.pass_seconds(20)
        for name in self.made:
            for blob in self.client.list_blobs(name, versions=True):
                if blob.temporary_hold or blob.event_based_hold:
                    blob.temporary_hold = blob.event_based_hold = False
                    blob.patch()
            self.pass_seconds(20)
            for blob in self.client.list_blobs(name, versions=True):
                with suppress(exceptions.NotFound):
                    blob.delete()
            self.client.bucket(name).delete()


@contextmanager
def opened(name: str, folder: Path) -> Iterator[Place]:
    """One of `STORES`, and what was made in it cleared up at the end."""
    if name == "local":
        with serving(folder) as service:
            yield Place(service.client(), service, "vault")
        return
    live = Place(Client(project=PROJECT), None, str(PREFIX))
    yield live
    live.clear()


def reason_of(error: exceptions.GoogleAPICallError | InvalidResponse) -> str:
    """The reason of a refusal; a refused upload hides it in the response, and a stream raises an error of its own."""
    errors = getattr(error, "errors", None) or error.response.json()["error"]["errors"]
    return str(errors[0]["reason"])
