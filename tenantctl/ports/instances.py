"""Cloud SQL instances as the Admin API shows them."""

from dataclasses import dataclass
from typing import Protocol

from tenantctl.model.sighting import Sighting


@dataclass(frozen=True)
class InstanceSeen:
    """An instance as the Admin API describes it; `state` is the API's own word, such as RUNNABLE.

    `recovers_to_any_moment` is point-in-time recovery; `public` says that it has an address of the internet.
    """

    name: str
    region: str
    state: str
    database_version: str
    deletion_protected: bool
    flags: tuple[tuple[str, str], ...]
    addresses: tuple[str, ...]
    recovers_to_any_moment: bool = False
    public: bool = False


@dataclass(frozen=True)
class OperationSeen:
    """A long operation: its name, its status (PENDING, RUNNING, DONE), and its error once it has one."""

    name: str
    status: str
    error: str | None = None


class Instances(Protocol):
    """The instances of the project.

    1. `look` answers gone only if the API itself said so.
    2. An API that does not answer, or is over its quota, raises Transient.
    """

    def look(self, name: str) -> Sighting[InstanceSeen]:
        """One instance."""

    def all(self) -> Sighting[tuple[InstanceSeen, ...]]:
        """Every instance of the project."""

    def create(self, name: str, region: str) -> OperationSeen:
        """Starts the making of an instance, with deletion protection on.

        Raises:
            Refused: the API does not accept it.
        """

    def operation(self, name: str) -> OperationSeen:
        """How far an operation is."""

    def add_login(self, instance: str, email: str, *, roles: tuple[str, ...]) -> OperationSeen:
        """Makes an IAM database login with these database roles; the same again is a no-op."""
