"""Spans and measures of a run on fakes, as OpenTelemetry's own exporters in memory have them."""

import threading
from collections.abc import Mapping
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from tenantctl.adapters.api_errors import NO_ANSWER, api_errors
from tenantctl.adapters.google.answers import explained, explaining
from tenantctl.adapters.google.credentials import local_credentials
from tenantctl.adapters.json_log import TRACE
from tenantctl.adapters.telemetry import Telemetry, google_telemetry
from tenantctl.bootstrap import CloudWorld
from tenantctl.bootstrap.telemetry import LOCATION, telemetry
from tenantctl.config import Settings
from tenantctl.model import metrics
from tenantctl.model.errors import Refused, Transient
from tenantctl.model.metrics import METRICS, Kind
from tenantctl.model.plan import Do, Plan, Step
from tenantctl.sweeps.gauges import measure_fleet
from tenantctl.sweeps.tenants import sweep
from tests.rooms.company import HOME, PARTNER, Company

CANARY = "kanarienvogel"
ATTRIBUTES = {"tenant", "plan", "purpose", "duty", "step"}


@dataclass(frozen=True)
class Kept:
    """What was told."""

    watching: Telemetry
    exporter: InMemorySpanExporter
    reader: InMemoryMetricReader

    @property
    def spans(self) -> tuple[ReadableSpan, ...]:
        return self.exporter.get_finished_spans()

    def points(self, name: str) -> dict[tuple[tuple[str, Any], ...], Any]:
        """The points of a measure by their attributes."""
        data = self.reader.get_metrics_data()
        found: dict[tuple[tuple[str, Any], ...], Any] = {}
        for resource in data.resource_metrics if data is not None else ():
            for scope in resource.scope_metrics:
                for metric in scope.metrics:
                    if metric.name == name:
                        found |= {tuple(sorted((p.attributes or {}).items())): p for p in metric.data.data_points}
        return found


def kept() -> Kept:
    exporter, reader = InMemorySpanExporter(), InMemoryMetricReader()
    tracers = TracerProvider()
    tracers.add_span_processor(SimpleSpanProcessor(exporter))
    return Kept(Telemetry(tracers, MeterProvider([reader])), exporter, reader)


def test_a_life_has_a_span_for_each_plan_and_step_and_no_customer_in_any() -> None:
    """Steps lie in their plan's trace, and nothing but codes and identifiers is told of them."""
    told, company = kept(), Company()
    tenant = company.request(CANARY)
    list(sweep(company.world, observer=told.watching))
    plans = {span.attributes["plan"]: span for span in told.spans if span.name.startswith("plan ") and span.attributes}
    steps = [span for span in told.spans if span.name.startswith("step ")]
    begun = [entry for entry in company.registry.entries(tenant.uid) if entry.event == "step-begun"]
    assert {span.name for span in steps} >= {"step create-database", "step open-logins", "step back-up"}
    assert len(steps) >= len(begun) > 0
    for span in steps:
        assert span.attributes is not None
        assert span.parent is not None
        plan = plans[span.attributes["plan"]].get_span_context()
        assert plan is not None
        assert (plan.trace_id, plan.span_id) == (span.parent.trace_id, span.parent.span_id)
    for span in told.spans:
        assert set(span.attributes or {}) <= ATTRIBUTES
        assert CANARY not in span.to_json()
        assert not span.events
    durations = told.points(metrics.STEP_SECONDS.name)
    assert sum(point.count for point in durations.values()) == len(steps)
    assert {dict(key)["outcome"] for key in durations} == {"acted"}
    assert TRACE.get() is None


@pytest.mark.parametrize(("error", "outcome"), [(Transient(CANARY), "transient"), (KeyError(CANARY), "broken")])
def test_what_goes_wrong_is_told_by_its_kind(error: Exception, outcome: str) -> None:
    """The span is marked, the duration is counted, and the words are nobody's business."""
    told, plan = kept(), Plan("t1", "back up", (Step(Do.BACK_UP, "t1", f"because of {CANARY}"),))

    def work() -> None:
        with told.watching.plan(plan), told.watching.step(plan, plan.steps[0]):
            here = TRACE.get()
            assert here is not None
            assert len(here.trace_id) == 32
            raise error

    with pytest.raises(type(error)):
        work()
    assert [span.status.description for span in told.spans] == [type(error).__name__] * 2
    assert not any(CANARY in span.to_json() for span in told.spans)
    ((key, _),) = told.points(metrics.STEP_SECONDS.name).items()
    assert dict(key) == {"step": "back-up", "duty": "backup", "outcome": outcome}


def test_a_destroyed_database_is_counted_once() -> None:
    """When it was dropped, and not when the step only found it gone."""
    told, company = kept(), Company()
    company.deactivated()
    company.advance(days=25)
    list(sweep(company.world, observer=told.watching))
    company.run()
    assert [point.value for point in told.points(metrics.DESTROYED.name).values()] == [1]


def test_the_fleet_is_measured_as_it_stands() -> None:
    """A backup that nobody made, work that nobody did and what should be gone show themselves."""
    company = Company()
    company.create()
    company.run()
    calm = measure_fleet(company.world)
    assert set(calm) == {metric for metric in METRICS if metric.kind is Kind.GAUGE}
    assert calm[metrics.OVERDUE_EXPIRY] == calm[metrics.WITHOUT_BACKUP] == calm[metrics.STUCK] == {"": 0}
    company.vault.unreachable = {HOME, PARTNER}
    company.advance(days=40)
    late = measure_fleet(company.world)
    assert late[metrics.OLDEST_BACKUP_HOURS][""] >= 40 * 24
    assert late[metrics.OVERDUE_BACKUPS] == late[metrics.DUE] == late[metrics.STUCK] == {"": 1}
    company.run()
    assert measure_fleet(company.world)[metrics.ALARMS_OPEN]["trouble"] == 1
    company.vault.unreachable.clear()
    company.advance(days=500)
    assert measure_fleet(company.world)[metrics.OVERDUE_EXPIRY][""] >= 2, "copies of 40 days ago, in two regions"


def test_every_measure_is_shown_under_its_name() -> None:
    """With its label, where it has one."""
    told = kept()
    values: dict[metrics.Metric, Mapping[str, float]] = {metrics.DUE: {"": 7}, metrics.ALARMS_OPEN: {"trouble": 2}}
    told.watching.show(values)
    assert [point.value for point in told.points(metrics.DUE.name).values()] == [7]
    ((key, point),) = told.points(metrics.ALARMS_OPEN.name).items()
    assert (dict(key), point.value) == ({"alarm": "trouble"}, 2)


def test_the_answers_of_apis_are_counted_by_code() -> None:
    """Where they are understood, whoever asked."""
    before = api_errors()
    explained(503, None, "look")
    with pytest.raises(Transient), explaining("look"):
        raise ConnectionResetError
    now = api_errors()
    assert {code: now[code] - before.get(code, 0) for code in ("503", NO_ANSWER)} == {"503": 1, NO_ANSWER: 1}
    points = kept().points(metrics.API_ERRORS.name)
    assert points[("code", "503"),].value == now["503"]


def test_what_is_sent_to_google_is_what_opentelemetry_sends(monkeypatch: pytest.MonkeyPatch) -> None:
    """To both addresses of its endpoint, as who we are, with the region that its points must name; all at the end."""
    got: list[tuple[str, str | None, bytes]] = []

    class Endpoint(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            got.append((self.path, self.headers["Authorization"], body))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Nothing is printed."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Endpoint)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    monkeypatch.setattr("tenantctl.adapters.telemetry.ENDPOINT", f"http://127.0.0.1:{server.server_port}")
    try:
        watching = google_telemetry("a-project", "us-south1", "execution/0", local_credentials("worker@example.com"))
        plan = Plan("t1", "back up", (Step(Do.BACK_UP, "t1", "because"),))
        with watching.plan(plan), watching.step(plan, plan.steps[0]):
            watching.show({metrics.DUE: {"": 3}})
        watching.close()
    finally:
        server.shutdown()
        server.server_close()
    assert {who for _, who, _ in got} == {"Bearer local:worker@example.com"}
    sent = {path: body for path, _, body in got}
    assert set(sent) == {"/v1/traces", "/v1/metrics"}
    traces, measures = ExportTraceServiceRequest.FromString(sent["/v1/traces"]), sent["/v1/metrics"]
    (resource,) = traces.resource_spans
    said = {one.key: one.value.string_value for one in resource.resource.attributes}
    assert said["cloud.region"] == "us-south1"
    assert said["gcp.project_id"] == "a-project"
    assert said["service.instance.id"] == "execution/0"
    assert {span.name for scope in resource.scope_spans for span in scope.spans} == {"plan back up", "step back-up"}
    (measured,) = ExportMetricsServiceRequest.FromString(measures).resource_metrics
    names = {metric.name for scope in measured.scope_metrics for metric in scope.metrics}
    assert {metrics.DUE.name, metrics.STEP_SECONDS.name} <= names <= {metric.name for metric in METRICS}


def test_nothing_is_measured_unless_it_is_configured() -> None:
    """Never on a local cloud; a blank location is a mistake."""
    production = Settings("p", "registry", "tenantctl", "b")
    local = Settings("p", "registry", "tenantctl", "b", sqladmin_endpoint="http://127.0.0.1:1")
    for settings, environment in ((production, {}), (local, {LOCATION: "europe-west1"})):
        with telemetry(CloudWorld(settings), environment) as watching:
            assert watching is None
    with pytest.raises(Refused, match="blank"), telemetry(CloudWorld(production), {LOCATION: ""}):
        raise AssertionError("it was refused before")
