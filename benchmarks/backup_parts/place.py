"""A local cloud of the benchmark's own: an instance with the databases, one to restore into, buckets in two regions.

What is measured goes through the same doors as in production: the connector's TLS port and the object store's API. The
processes that are measured find it by the text of a `Place`.
"""

import json
from dataclasses import asdict, dataclass
from typing import Final

from tenantctl.adapters.google.credentials import local_credentials
from tenantctl.adapters.google.sessions import Sessions
from tenantctl.model.tenant import Hosting

SOURCE, TARGET = "source", "target"
REGIONS: Final = ("us-central1", "europe-west1")
FLEET: Final = 64
_OPERATOR: Final = "operator@example.com"


@dataclass(frozen=True)
class Place:
    """Where everything is.

    Attributes:
        project: the local cloud's project.
        sqladmin: the URL of its Admin API.
        storage: the URL of its object store.
        sockets: the folder of the servers' own sockets.
        folder: where the cloud keeps its state; all its processes were started on it.
        big: the uid of the big database's tenant.
        small: the uid of the small one's.
        fleet: the uids of many small ones.
    """

    project: str
    sqladmin: str
    storage: str
    sockets: str
    folder: str
    big: str
    small: str
    fleet: tuple[str, ...]

    def to_text(self) -> str:
        """As an argument of a process."""
        return json.dumps(asdict(self))

    @classmethod
    def from_text(cls, text: str) -> "Place":
        """What `to_text` wrote."""
        said = json.loads(text)
        return cls(**{**said, "fleet": tuple(said["fleet"])})

    def sessions(self) -> Sessions:
        """The way to the instances."""
        return Sessions(self.project, self.sqladmin, local_credentials(_OPERATOR), _OPERATOR)


def hosting_of(uid: str) -> Hosting:
    """Where a tenant's database is."""
    return Hosting(uid, SOURCE, REGIONS[0], 1)


def bucket_of(region: str) -> str:
    """The bucket of a region."""
    return f"benchmark-{region}"
