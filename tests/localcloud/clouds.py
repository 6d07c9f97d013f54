"""Throw-away local clouds for tests, and the real clients pointed at them.

`throw_away_cloud` starts one with its state under /tmp, where the user that PostgreSQL runs as can enter. It leaves
nothing running, even if the test process is killed. Tests share the one of their worker through the fixture
`local_cloud` unless they disturb it.
"""

import contextlib
import datetime
import functools
import shutil
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import google.cloud.storage
import psycopg
import pytest
from google.auth.credentials import AnonymousCredentials, Credentials
from google.cloud.sql.connector import Connector
from googleapiclient.discovery import build
from googleapiclient.errors import HttpError

from tenantctl.localcloud import client
from tenantctl.localcloud.client import LocalCloud

OPERATOR = "operator@example.com"
SERVICE_ACCOUNT = "worker@tenantctl-local.iam.gserviceaccount.com"
INSTANCES: Mapping[str, str] = {
    "control": "northamerica-northeast1",
    "one": "us-central1",
    "two": "europe-west1",
}

_CONNECTORS: dict[tuple[Path, int | None], Connector] = {}


class LocalCredentials(Credentials):
    """The credentials of an identity that the local cloud takes at its word."""

    def __init__(self, email: str = OPERATOR) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.token = f"local:{email}"

    def refresh(self, request: object) -> None:
        """Say until when the token holds; the connector asks for that."""
        self.expiry = datetime.datetime.now(datetime.UTC).replace(tzinfo=None) + datetime.timedelta(hours=1)


@contextlib.contextmanager
def throw_away_folder() -> Iterator[Path]:
    """Make a state folder that the user nobody can enter, stop what runs in it at the end, and remove it."""
    parent = Path(tempfile.mkdtemp(prefix="tenantctl-test-", dir="/tmp"))
    parent.chmod(0o755)
    try:
        yield parent / "state"
    finally:
        client.stop(parent / "state", purge=True)
        shutil.rmtree(parent)


@contextlib.contextmanager
def throw_away_cloud(instances: Mapping[str, str] | None = None, **options: Any) -> Iterator[LocalCloud]:
    """Run a local cloud for as long as the block.

    Args:
        instances: Region by name of the instances to make; each gets OPERATOR and SERVICE_ACCOUNT as IAM logins with
            the role cloudsqlsuperuser. None by default.
        **options: Passed on to `client.start`.
    """
    with throw_away_folder() as folder, contextlib.ExitStack() as closing:
        cloud = client.start(folder, **{"operation_seconds": 0.0, "leashed": True, **options})
        closing.callback(_close_connectors, cloud)
        make_instances(cloud, instances or {})
        yield cloud


def make_instances(cloud: LocalCloud, instances: Mapping[str, str]) -> None:
    """Make instances side by side, each with the IAM logins of the tests."""
    admin = admin_client(cloud)
    operations = [
        admin.instances()
        .insert(
            project=cloud.project,
            body={
                "name": name,
                "region": region,
                "databaseVersion": "POSTGRES_18",
                "settings": {"tier": "db-f1-micro", "userLabels": {"role": "control" if name == "control" else "data"}},
            },
        )
        .execute()
        for name, region in instances.items()
    ]
    for operation in operations:
        finish(cloud, operation)
    for email, kind in ((OPERATOR, "CLOUD_IAM_USER"), (SERVICE_ACCOUNT, "CLOUD_IAM_SERVICE_ACCOUNT")):
        body = {"name": email, "type": kind, "databaseRoles": ["cloudsqlsuperuser"]}
        operations = [
            admin.users().insert(project=cloud.project, instance=name, body=body).execute() for name in instances
        ]
        for operation in operations:
            finish(cloud, operation)


def admin_client(cloud: LocalCloud, email: str = OPERATOR) -> Any:
    """Return the unmodified Admin API client, as an identity; one for each thread, as it asks for."""
    return _admin_client(cloud.endpoints["sqladmin"], cloud.file.pid, email, threading.get_ident())


@functools.lru_cache(maxsize=64)
def _admin_client(endpoint: str, _supervisor: int | None, email: str, _thread: int) -> Any:
    return build(
        "sqladmin",
        "v1",
        credentials=LocalCredentials(email),
        client_options={"api_endpoint": endpoint},
        cache_discovery=False,
        static_discovery=True,
    )


def storage_client(cloud: LocalCloud) -> Any:
    """Return the unmodified Cloud Storage client, whom the local cloud asks for no token."""
    return google.cloud.storage.Client(
        project=cloud.project,
        credentials=AnonymousCredentials(),  # type: ignore[no-untyped-call]
        client_options={"api_endpoint": cloud.endpoints["storage"]},
    )


def finish(cloud: LocalCloud, operation: dict[str, Any], *, fails: bool = False) -> dict[str, Any]:
    """Wait until an operation is DONE, and return it; it must end as expected."""
    admin = admin_client(cloud)
    while operation["status"] != "DONE":
        time.sleep(0.005)
        operation = admin.operations().get(project=cloud.project, operation=operation["name"]).execute()
    assert ("error" in operation) == fails, operation
    return operation


@contextlib.contextmanager
def connector(cloud: LocalCloud, email: str = OPERATOR) -> Iterator[Connector]:
    """Return the unmodified Cloud SQL connector, as an identity, closed at the end of the block."""
    made = _connector(cloud, email)
    try:
        yield made
    finally:
        made.close()


def _connector(cloud: LocalCloud, email: str) -> Connector:
    return Connector(
        credentials=LocalCredentials(email),
        sqladmin_api_endpoint=cloud.endpoints["sqladmin"],
        refresh_strategy="lazy",
        timeout=20,
    )


def connection_name(cloud: LocalCloud, instance: str) -> str:
    """Return what the connector calls an instance: project, region and name."""
    found = {one["name"]: one["connection_name"] for one in cloud.status()["instances"]}
    return str(found[instance])


def refused(request: Any) -> tuple[int, str]:
    """Execute a request of the Admin API that is refused, and return the status and Google's reason."""
    with pytest.raises(HttpError) as caught:
        request.execute()
    details: Any = caught.value.error_details
    return int(caught.value.status_code), str(details[0]["reason"])


def ask_as_operator(cloud: LocalCloud, instance: str, question: str) -> tuple[Any, ...]:
    """Ask an instance one question through the connector, and return the first row.

    The connector is kept, because making its key takes longer than all the rest.
    """
    key = (cloud.folder.path, cloud.file.pid)
    if key not in _CONNECTORS:
        _CONNECTORS[key] = _connector(cloud, OPERATOR)
    session: psycopg.Connection[tuple[Any, ...]] = _CONNECTORS[key].connect(
        connection_name(cloud, instance), "psycopg", user=OPERATOR, db="postgres", enable_iam_auth=True
    )
    try:
        row = session.execute(question.encode()).fetchone()
    finally:
        session.close()
    assert row is not None
    return row


def _close_connectors(cloud: LocalCloud) -> None:
    for key in [key for key in _CONNECTORS if key[0] == cloud.folder.path]:
        _CONNECTORS.pop(key).close()
