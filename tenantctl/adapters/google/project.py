"""The port `Project` on Google's Service Usage API, with Google's own client."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import googleapiclient.discovery
from google.auth.credentials import Credentials
from google.auth.exceptions import RefreshError, TransportError
from google.auth.transport.requests import Request

from tenantctl.adapters.google.described import called
from tenantctl.adapters.google.transport import TimeLimits
from tenantctl.model.errors import Refused, TenantctlError, Transient
from tenantctl.model.sighting import Present, Sighting, Unreachable
from tenantctl.ports.project import RateSeen

LOGIN_HINT: Final = "Run as a service account, or try: gcloud auth application-default login"


class GoogleProject:
    """A project as Service Usage tells of it.

    Args:
        project: its id.
        credentials: who is calling.
        endpoint: where the API is, for tests; None is Google's own.
        limits: for each call.
    """

    def __init__(
        self, project: str, credentials: Credentials, *, endpoint: str | None = None, limits: TimeLimits | None = None
    ) -> None:
        self._project, self._credentials, self._endpoint = project, credentials, endpoint
        self._limits = limits or TimeLimits()

    def caller(self) -> str:
        """Who we are, once a token was really had."""
        try:
            self._credentials.refresh(Request())  # type: ignore[no-untyped-call]
        except TransportError as error:
            raise Transient(f"Whoever gives tokens does not answer: {error}") from error
        except RefreshError as error:
            raise Refused(f"The Google credentials are not taken: {error}", hint=LOGIN_HINT) from error
        return str(getattr(self._credentials, "service_account_email", "") or "a person")

    def apis(self) -> Sighting[frozenset[str]]:
        """The APIs that are switched on."""
        services = self._client("v1").services()
        found: list[str] = []
        page: str | None = None
        try:
            while True:
                parent = f"projects/{self._project}"
                request = services.list(parent=parent, filter="state:ENABLED", pageSize=200, pageToken=page)
                answer = self._call(request, f"list the APIs of {self._project}")
                found += [str(one["config"]["name"]) for one in answer.get("services", ())]
                page = answer.get("nextPageToken")
                if not page:
                    return Present(frozenset(found))
        except (TenantctlError, KeyError) as error:
            return Unreachable(error.sentence if isinstance(error, TenantctlError) else f"the answer has no {error}")

    def rates(self, api: str) -> Sighting[Sequence[RateSeen]]:
        """The limits on the rate of an API's calls."""
        metrics = self._client("v1beta1").services().consumerQuotaMetrics()
        request = metrics.list(parent=f"projects/{self._project}/services/{api}", view="BASIC", pageSize=200)
        try:
            answer = self._call(request, f"look at the quotas of {api}")
        except TenantctlError as error:
            return Unreachable(error.sentence)
        return Present(tuple(_rates(api, answer)))

    def _client(self, version: str) -> Any:
        return googleapiclient.discovery.build(
            "serviceusage",
            version,
            credentials=self._credentials,
            client_options={"api_endpoint": self._endpoint} if self._endpoint else None,
            static_discovery=True,
            cache_discovery=False,
        )

    def _call(self, request: Any, doing: str) -> Any:
        return called(request, doing, credentials=self._credentials, endpoint=self._endpoint, limits=self._limits)


def _rates(api: str, answer: Mapping[str, Any]) -> Iterator[RateSeen]:
    for metric in answer.get("metrics", ()):
        for limit in metric.get("consumerQuotaLimits", ()):
            unit = str(limit.get("unit", ""))
            if "/min" not in unit and "/d" not in unit:
                continue  # a number of things, and no rate
            for bucket in limit.get("quotaBuckets", ()):
                name = str(metric.get("displayName") or metric.get("metric"))
                yield RateSeen(api, name, unit, int(bucket.get("effectiveLimit", -1)))
