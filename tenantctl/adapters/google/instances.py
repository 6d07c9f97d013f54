"""The project's Cloud SQL instances through the Admin API, with Google's own client.

The client's description of the API ships with it, so nothing is looked up to make it. Its transport cannot be shared
between threads: each call has its own, which ends in time. A list is taken as complete only if the API says nothing
of regions that it could not reach.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final

import googleapiclient.discovery
from google.auth.credentials import Credentials

from tenantctl.adapters.google.described import called
from tenantctl.adapters.google.transport import TimeLimits
from tenantctl.model.errors import NotFound, TenantctlError, Transient
from tenantctl.model.sighting import Gone, Present, Sighting, Unreachable
from tenantctl.ports.instances import InstanceSeen, OperationSeen

NOTHING_TO_DO: Final = OperationSeen(name="", status="DONE")
_SERVICE_ACCOUNT_SUFFIX: Final = ".gserviceaccount.com"

INSTANCE_SETTINGS: Final[Mapping[str, Any]] = {
    "tier": "db-custom-2-8192",
    "edition": "ENTERPRISE",
    "databaseFlags": [
        {"name": "cloudsql.iam_authentication", "value": "on"},  # our own logins have no passwords
        {"name": "cloudsql.logical_decoding", "value": "on"},  # a tenant can be moved while it works
        {"name": "log_min_error_statement", "value": "panic"},  # the log repeats no customer's statement
        {"name": "log_error_verbosity", "value": "terse"},  # nor the row that one met
    ],
    "ipConfiguration": {"sslMode": "ENCRYPTED_ONLY"},
    "backupConfiguration": {
        "enabled": True,
        "pointInTimeRecoveryEnabled": True,
        "transactionLogRetentionDays": 7,
        "backupRetentionSettings": {"retentionUnit": "COUNT", "retainedBackups": 7},
    },
}


class GoogleInstances:
    """The port `Instances` on the Admin API.

    Args:
        project: the project of the instances.
        credentials: who is calling.
        database_version: the API's word for what `create` makes, such as POSTGRES_18.
        endpoint: the URL of a local cloud's Admin API; None in production.
        settings: of what `create` makes, in the API's own shape; deletion protection is always added.
        limits: for each call.
        admit: called before each request goes out, and returns when it may.
    """

    def __init__(
        self,
        project: str,
        credentials: Credentials,
        *,
        database_version: str,
        endpoint: str | None = None,
        settings: Mapping[str, Any] = INSTANCE_SETTINGS,
        limits: TimeLimits | None = None,
        admit: Callable[[], None] = lambda: None,
    ) -> None:
        self._project, self._credentials, self._endpoint = project, credentials, endpoint
        self._database_version, self._settings = database_version, settings
        self._limits = limits or TimeLimits()
        self._admit = admit
        # Any: the stubs want literal dictionaries; the local cloud checks what is sent against the API's description.
        self._service: Any = googleapiclient.discovery.build(
            "sqladmin",
            "v1",
            credentials=credentials,
            client_options={"api_endpoint": endpoint} if endpoint else None,
            static_discovery=True,
            cache_discovery=False,
        )

    def look(self, name: str) -> Sighting[InstanceSeen]:
        """One instance; gone only if the list of all says so too, since a project's 404 looks like an instance's."""
        request = self._service.instances().get(project=self._project, instance=name)
        try:
            return Present(_instance_seen(self._call(request, f"look at instance {name}")))
        except NotFound:
            everything = self.all()
            if not isinstance(everything, Present):
                return everything
            listed = next((seen for seen in everything.value if seen.name == name), None)
            return Gone() if listed is None else Present(listed)
        except TenantctlError as error:
            return Unreachable(error.sentence)

    def all(self) -> Sighting[tuple[InstanceSeen, ...]]:
        """Every instance of the project, by name; none is Present too. Never Gone."""
        found: list[InstanceSeen] = []
        page: str | None = None
        try:
            while True:
                request = self._service.instances().list(project=self._project, pageToken=page)
                answer = self._call(request, f"list the instances of {self._project}")
                if answer.get("kind") != "sql#instancesList":
                    return Unreachable("The Admin API's list of instances is not one.")
                if answer.get("warnings"):
                    said = "; ".join(str(warning.get("message", warning)) for warning in answer["warnings"])
                    return Unreachable(f"The Admin API's list of instances is not complete: {said}")
                found.extend(_instance_seen(item) for item in answer.get("items", ()))
                page = answer.get("nextPageToken")
                if not page:
                    return Present(tuple(sorted(found, key=lambda seen: seen.name)))
        except TenantctlError as error:
            return Unreachable(error.sentence)

    def create(self, name: str, region: str) -> OperationSeen:
        """Starts the making of an instance, with deletion protection on."""
        body = {
            "name": name,
            "region": region,
            "databaseVersion": self._database_version,
            "settings": {**self._settings, "deletionProtectionEnabled": True},
        }
        request = self._service.instances().insert(project=self._project, body=body)
        return _operation_seen(self._call(request, f"create instance {name} in {region}"))

    def operation(self, name: str) -> OperationSeen:
        """How far an operation is."""
        if name == NOTHING_TO_DO.name:
            return NOTHING_TO_DO
        request = self._service.operations().get(project=self._project, operation=name)
        return _operation_seen(self._call(request, f"look at operation {name}"))

    def add_login(self, instance: str, email: str, *, roles: tuple[str, ...]) -> OperationSeen:
        """Makes an IAM database login, or grants it the roles that it lacks; `NOTHING_TO_DO` if it has them all."""
        name, kind = login_name(email), _login_kind(email)
        users = self._service.users()
        listed = self._call(users.list(project=self._project, instance=instance), f"list the logins of {instance}")
        known = next((user for user in listed.get("items", ()) if user.get("name") == name), None)
        body = {"name": name, "type": kind, "databaseRoles": list(roles)}
        if known is None:
            request = users.insert(project=self._project, instance=instance, body=body)
            return _operation_seen(self._call(request, f"add the login {name} to {instance}"))
        if set(roles) <= set(known.get("databaseRoles", ())):
            return NOTHING_TO_DO
        request = users.update(
            project=self._project, instance=instance, name=name, databaseRoles=list(roles), body={"name": name}
        )
        return _operation_seen(self._call(request, f"grant roles to the login {name} of {instance}"))

    def _call(self, request: Any, doing: str) -> Any:
        self._admit()
        return called(request, doing, credentials=self._credentials, endpoint=self._endpoint, limits=self._limits)


def login_name(email: str) -> str:
    """What PostgreSQL calls an IAM login: its address, that of a service account without its usual ending."""
    return email.removesuffix(_SERVICE_ACCOUNT_SUFFIX)


def _login_kind(email: str) -> str:
    return "CLOUD_IAM_SERVICE_ACCOUNT" if email.endswith(_SERVICE_ACCOUNT_SUFFIX) else "CLOUD_IAM_USER"


def _instance_seen(answer: Mapping[str, Any]) -> InstanceSeen:
    settings = answer.get("settings", {})
    backups = settings.get("backupConfiguration", {})
    try:
        return InstanceSeen(
            name=answer["name"],
            region=answer["region"],
            state=answer["state"],
            database_version=answer["databaseVersion"],
            deletion_protected=settings.get("deletionProtectionEnabled", False) is True,
            flags=tuple(sorted((flag["name"], flag.get("value", "")) for flag in settings.get("databaseFlags", ()))),
            addresses=tuple(address["ipAddress"] for address in answer.get("ipAddresses", ())),
            recovers_to_any_moment=backups.get("enabled") is True and backups.get("pointInTimeRecoveryEnabled") is True,
            public=any(address.get("type") == "PRIMARY" for address in answer.get("ipAddresses", ())),
        )
    except KeyError as error:
        raise Transient(f"The Admin API's answer about an instance has no {error.args[0]}.") from error


def _operation_seen(answer: Mapping[str, Any]) -> OperationSeen:
    if "name" not in answer or "status" not in answer:
        raise Transient("The Admin API's answer about an operation is cut short.")
    failures = answer.get("error", {}).get("errors", ())
    said = "; ".join(str(failure.get("message") or failure.get("code")) for failure in failures)
    return OperationSeen(name=answer["name"], status=answer["status"], error=said or None)
