"""An eye that is not the program's: Google's own clients, asked what the cloud shows and what it refuses.

Nothing here is known from the program but names; what the program says is held against this.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final

from google.api_core.exceptions import Forbidden, GoogleAPICallError, NotFound
from google.cloud.storage import Client
from googleapiclient.discovery import build

from tests.demo.identity import Identity

_SEVEN_DAYS: Final = 7 * 86_400


class Witness:
    """Looks at the cloud as its owner, with every right that the owner has.

    Args:
        status: what `tenantctl local status -o json` said.
    """

    def __init__(self, status: Mapping[str, Any]) -> None:
        self._project = status["project"]
        owner = Identity("owner@example.com")
        endpoints = status["endpoints"]
        self._storage = Client(
            project=self._project, credentials=owner, client_options={"api_endpoint": endpoints["storage"]}
        )
        self._admin = build(
            "sqladmin",
            "v1",
            credentials=owner,
            client_options={"api_endpoint": endpoints["sqladmin"]},
            cache_discovery=False,
            static_discovery=True,
        )

    def databases(self, instance: str) -> set[str]:
        """The databases that an instance shows."""
        answer = self._admin.databases().list(project=self._project, instance=instance).execute()
        return {item["name"] for item in answer.get("items", ())}

    def logins(self, instance: str) -> set[str]:
        """The logins that an instance shows."""
        answer = self._admin.users().list(project=self._project, instance=instance).execute()
        return {item["name"] for item in answer.get("items", ())}

    def size(self, bucket: str, name: str) -> int | None:
        """The size of an object in bytes; None if the bucket says that there is none."""
        found = self._storage.bucket(bucket).get_blob(name)
        return None if found is None else int(found.size)

    def objects_under(self, prefix: str) -> list[str]:
        """The objects in any bucket whose names begin so, as `gs://bucket/name`."""
        return [
            f"gs://{bucket.name}/{blob.name}"
            for bucket in self._storage.list_buckets()
            for blob in self._storage.list_blobs(bucket.name, prefix=prefix, versions=True)
        ]

    def delete(self, bucket: str, name: str) -> str:
        """Tries to delete an object; what came of it."""
        return _attempt(self._storage.bucket(bucket).blob(name).delete)

    def overwrite(self, bucket: str, name: str) -> str:
        """Tries to put other bytes in an object's place; what came of it."""
        blob = self._storage.bucket(bucket).blob(name)
        return _attempt(lambda: blob.upload_from_string(b"something else"))

    def shorten(self, bucket: str) -> str:
        """Tries to shorten a bucket's locked retention; what came of it."""
        found = self._storage.get_bucket(bucket)
        found.retention_period = _SEVEN_DAYS
        return _attempt(found.patch)

    def close(self) -> None:
        """Lets the connections go."""
        self._storage.close()
        self._admin.close()


def _attempt(act: Callable[[], object]) -> str:
    """`done`, or the status with which it was refused; 403 is what a lock says."""
    try:
        act()
    except Forbidden:
        return "403"
    except NotFound:
        return "404"
    except GoogleAPICallError as error:
        return str(error.code or error)
    return "done"
