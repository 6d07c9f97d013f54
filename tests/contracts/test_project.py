"""The port `Project` on the real client, against answers as Service Usage gives them."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from tenantctl.adapters.google.credentials import local_credentials
from tenantctl.adapters.google.project import GoogleProject
from tenantctl.model.errors import Refused
from tenantctl.model.sighting import Present, Unreachable
from tenantctl.ports.project import RateSeen

PAGES: dict[str, dict[str, Any]] = {
    "": {"services": [{"config": {"name": "sqladmin.googleapis.com"}}], "nextPageToken": "2"},
    "2": {"services": [{"config": {"name": "storage.googleapis.com"}}]},
}
METRICS = {
    "metrics": [
        {
            "displayName": "Queries",
            "consumerQuotaLimits": [
                {"unit": "1/min/{project}", "quotaBuckets": [{"effectiveLimit": "180", "defaultLimit": "180"}]},
                {"unit": "1/{project}/{region}", "quotaBuckets": [{"effectiveLimit": "40"}]},
            ],
        },
        {"metric": "mutate", "consumerQuotaLimits": [{"unit": "1/d/{project}", "quotaBuckets": [{}]}]},
    ]
}


class ServiceUsage(BaseHTTPRequestHandler):
    """Answers for the project acme, and knows no other."""

    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        asked = {name: values[0] for name, values in parse_qs(parts.query).items()}
        answer: dict[str, Any] = {"error": {"code": 403, "message": "caller lacks serviceusage.services.list"}}
        if parts.path == "/v1/projects/acme/services" and asked["filter"] == "state:ENABLED":
            answer = PAGES[asked.get("pageToken", "")]
        elif parts.path == "/v1beta1/projects/acme/services/sqladmin.googleapis.com/consumerQuotaMetrics":
            answer = METRICS
        body = json.dumps(answer).encode()
        self.send_response(403 if "error" in answer else 200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - its name in the library
        """Says nothing."""


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), ServiceUsage)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    thread.join()
    server.server_close()


def project(endpoint: str, name: str = "acme") -> GoogleProject:
    return GoogleProject(name, local_credentials("alice@example.com"), endpoint=endpoint)


def test_every_page_of_the_apis_is_read(endpoint: str) -> None:
    """One that stands on the second page is switched on as well."""
    assert project(endpoint).apis() == Present(frozenset({"sqladmin.googleapis.com", "storage.googleapis.com"}))


def test_rates_are_told_from_numbers_of_things(endpoint: str) -> None:
    """A limit that is not said is none."""
    assert project(endpoint).rates("sqladmin.googleapis.com") == Present(
        (
            RateSeen("sqladmin.googleapis.com", "Queries", "1/min/{project}", 180),
            RateSeen("sqladmin.googleapis.com", "mutate", "1/d/{project}", -1),
        )
    )


def test_what_we_may_not_see_is_not_switched_off(endpoint: str) -> None:
    """Nor is what does not answer at all."""
    for there in (endpoint, "http://127.0.0.1:9"):
        seen = project(there, "other").apis()
        assert isinstance(seen, Unreachable)
        assert isinstance(project(there, "other").rates("sqladmin.googleapis.com"), Unreachable)


def test_credentials_that_no_token_can_be_had_with_are_refused(endpoint: str) -> None:
    """It is tried, and not assumed."""
    with pytest.raises(Refused, match="not taken") as caught:
        project(endpoint).caller()
    assert "gcloud auth" in caught.value.hint
