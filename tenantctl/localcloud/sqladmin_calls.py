"""What every method of the Admin API emulator is given, and how it refuses."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, NoReturn, TypeAlias

from tenantctl.localcloud.certificates import Authority
from tenantctl.localcloud.fleet import Fleet, Instance
from tenantctl.localcloud.operations import Operations

_TOKEN_PREFIX: Final = "local:"  # noqa: S105 - the form of the tokens, none of them
_PAGE: Final = 500
_SERVICE_ACCOUNT_SUFFIX: Final = ".gserviceaccount.com"


class ApiRefusal(Exception):
    """A request is refused, in Google's words.

    Args:
        status: The HTTP status.
        reason: Google's short reason, such as `operationInProgress`.
        message: The sentence for the reader.
    """

    def __init__(self, status: int, reason: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.reason = reason
        self.message = message


@dataclass(frozen=True)
class CloudSql:
    """Everything behind the Admin API of one project."""

    fleet: Fleet
    operations: Operations
    authority: Authority

    @property
    def database_version(self) -> str:
        """The one version that this local cloud runs, as the API names it."""
        return f"POSTGRES_{self.fleet.setup.programs.major}"


@dataclass(frozen=True)
class Call:
    """One request, checked against the description of the API.

    Attributes:
        cloud: What it acts on.
        parameters: The parameters of its path and of its query, the path's first.
        body: The document that came with it; empty if none did.
        user: The identity that calls.
        root_url: How links begin in the version of the API that was called.
    """

    cloud: CloudSql
    parameters: Mapping[str, str]
    body: Mapping[str, Any]
    user: str
    root_url: str

    def instance(self) -> Instance:
        """Return the instance that the path names.

        Raises:
            ApiRefusal: 404, there is none.
        """
        name = self.parameters["instance"]
        found = self.cloud.fleet.get(name)
        if found is None or self.parameters["project"] != self.cloud.fleet.project:
            raise ApiRefusal(404, "instanceDoesNotExist", f"The Cloud SQL instance does not exist: {name}.")
        return found

    def running_instance(self) -> Instance:
        """Return the instance that the path names, which runs.

        Raises:
            ApiRefusal: 404, there is none; 400, it is stopped.
        """
        found = self.instance()
        if not found.cluster.running():
            refuse_request(f"Invalid request since instance {found.name} is not running.")
        return found

    def free(self, instance: Instance) -> Instance:
        """Return the instance, on which no operation runs.

        Raises:
            ApiRefusal: 409, one does.
        """
        if self.cloud.operations.busy(instance.name):
            raise ApiRefusal(
                409,
                "operationInProgress",
                "Operation failed because another operation was already in progress. "
                "Try your request after the current operation is complete.",
            )
        return instance

    def page(self, kind: str, items: Sequence[dict[str, Any]]) -> dict[str, Any]:
        """Return the page of a list that was asked for.

        Raises:
            ApiRefusal: 400, the page token or the number of results is none, or a filter was asked for.
        """
        if "filter" in self.parameters:
            refuse_request("The local cloud does not filter lists.")
        try:
            begin = int(self.parameters.get("pageToken", "0"))
            size = min(int(self.parameters.get("maxResults", _PAGE)), _PAGE)
        except ValueError:
            begin = size = 0
        if begin < 0 or size < 1:
            refuse_request("Invalid page token or number of results.")
        answer: dict[str, Any] = {"kind": kind}
        if items:
            answer["items"] = list(items[begin : begin + size])
        if begin + size < len(items):
            answer["nextPageToken"] = str(begin + size)
        return answer

    def submit(self, operation_type: str, instance: Instance, work: str, **arguments: Any) -> dict[str, Any]:
        """Begin an operation on an instance, and return it.

        Raises:
            ApiRefusal: 409, another one runs.
        """
        self.free(instance)  # asked again: other requests were served while this one looked around
        arguments["instance"] = instance.name
        return self.cloud.operations.submit(
            operation_type, instance.name, work, arguments, user=self.user, root_url=self.root_url
        )


Answer: TypeAlias = dict[str, Any]
ApiMethod: TypeAlias = Callable[[Call], Awaitable[Answer]]


def refuse_request(message: str) -> NoReturn:
    """Refuse a request that makes no sense as it is.

    Raises:
        ApiRefusal: 400, always.
    """
    raise ApiRefusal(400, "invalidRequest", message)


def identity_of(token: str | None) -> str | None:
    """Return whom an access token stands for; locally it says so itself: `local:EMAIL`."""
    email = (token or "").removeprefix(_TOKEN_PREFIX)
    return email if token != email and "@" in email and email.isascii() and email.isprintable() else None


def login_of(email: str) -> str:
    """Return the database login of an identity: a service account's is shortened, as Cloud SQL does."""
    return email.removesuffix(_SERVICE_ACCOUNT_SUFFIX)
