"""Spans and measures of the work, by OpenTelemetry: one trace a plan with a span for each of its steps.

Attributes are uids, digests, duties and codes, and nothing that a customer wrote; of what went wrong the kind of error
is told, not its words. Where the packages of the extra `telemetry` are missing nothing is measured, and work goes on.
"""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

from tenantctl.adapters.api_errors import api_errors
from tenantctl.adapters.json_log import TRACE, Trace
from tenantctl.model.errors import LeaseLost, Refused, Transient
from tenantctl.model.metrics import API_ERRORS, DESTROYED, METRICS, STEP_SECONDS, Kind, Metric
from tenantctl.model.plan import DUTY_OF, Do, Plan, Step

if TYPE_CHECKING:
    from google.auth.credentials import Credentials
    from opentelemetry.metrics import MeterProvider
    from opentelemetry.trace import Span, TracerProvider

ENDPOINT: Final = "https://telemetry.googleapis.com"
EXPORT_SECONDS: Final = 5.0  # a job has ten between SIGTERM and its end
NAME: Final = "tenantctl"

Gauges = Mapping[Metric, Mapping[str, float]]
"""What was seen of the fleet: gauge → value of its one label, "" where it has none → number."""


class Telemetry:
    """What watches work and tells OpenTelemetry of it.

    Args:
        tracers: where spans go.
        meters: where measures go.
        close: sends what is still to be sent.
    """

    def __init__(
        self, tracers: "TracerProvider", meters: "MeterProvider", *, close: Callable[[], None] = lambda: None
    ) -> None:
        self._tracer = tracers.get_tracer(NAME)
        self._meter = meters.get_meter(NAME)
        self._close = close
        self._steps = self._meter.create_histogram(STEP_SECONDS.name, STEP_SECONDS.unit, STEP_SECONDS.says)
        self._destroyed = self._meter.create_counter(DESTROYED.name, DESTROYED.unit, DESTROYED.says)
        self._meter.create_observable_counter(API_ERRORS.name, [_count], API_ERRORS.unit, API_ERRORS.says)
        self._gauges = {
            metric: self._meter.create_gauge(metric.name, metric.unit, metric.says)
            for metric in METRICS
            if metric.kind is Kind.GAUGE
        }

    @contextmanager
    def plan(self, plan: Plan) -> Iterator[None]:
        """See the port: a trace of its own for each plan that is carried out."""
        duty = plan.duty.value if plan.duty is not None else ""
        said = {"tenant": plan.tenant_uid, "plan": plan.digest, "purpose": plan.purpose, "duty": duty}
        with self._span(f"plan {plan.purpose}", said):
            yield

    @contextmanager
    def step(self, plan: Plan, step: Step) -> Iterator[None]:
        """See the port: a span, and how long the step took."""
        duty = DUTY_OF[step.do].value
        said = {"tenant": plan.tenant_uid, "plan": plan.digest, "step": step.do.value, "duty": duty}
        begun, outcome = time.monotonic(), "broken"
        try:
            with self._span(f"step {step.do}", said):
                yield
            outcome = "acted"
        except (Transient, Refused, LeaseLost) as trouble:
            outcome = type(trouble).__name__.lower()
            raise
        finally:
            labels = {"step": step.do.value, "duty": duty, "outcome": outcome}
            self._steps.record(time.monotonic() - begun, labels)
            if step.do is Do.DROP_DATABASE and outcome == "acted":
                self._destroyed.add(1)

    def show(self, gauges: Gauges) -> None:
        """What the fleet was seen to be."""
        for metric, values in gauges.items():
            for label, value in values.items():
                self._gauges[metric].set(value, {metric.labels[0]: label} if metric.labels else {})

    def close(self) -> None:
        """Sends what is still to be sent, within a few seconds; what cannot be sent is lost."""
        self._close()

    @contextmanager
    def _span(self, name: str, attributes: Mapping[str, str]) -> Iterator[None]:
        told: dict[str, Any] = {"record_exception": False, "set_status_on_exception": False}  # no error's own words
        with self._tracer.start_as_current_span(name, attributes=attributes, **told) as span:
            here = span.get_span_context()
            before = TRACE.set(Trace(f"{here.trace_id:032x}", f"{here.span_id:016x}") if here.is_valid else None)
            try:
                yield
            except BaseException as error:
                _mark(span, error)
                raise
            finally:
                TRACE.reset(before)


def google_telemetry(project: str, location: str, instance: str, credentials: "Credentials") -> Telemetry:
    """What is sent to Google Cloud, by its own endpoint for OpenTelemetry.

    Args:
        project: the project that it is about, and that keeps it.
        location: the region that this process runs in.
        instance: this process, unlike any other that runs at the same time.
        credentials: who sends it.

    Raises:
        ModuleNotFoundError: the extra `telemetry` is not installed.
    """
    from google.auth.transport.requests import AuthorizedSession  # noqa: PLC0415 - who measures nothing, imports nothing
    from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter  # noqa: PLC0415
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter  # noqa: PLC0415
    from opentelemetry.sdk.metrics import MeterProvider  # noqa: PLC0415
    from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader  # noqa: PLC0415
    from opentelemetry.sdk.resources import Resource  # noqa: PLC0415
    from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415
    from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415

    session = AuthorizedSession(credentials)  # type: ignore[no-untyped-call]
    resource = Resource(
        {
            "service.name": NAME,
            "service.namespace": NAME,
            "service.instance.id": instance,
            "gcp.project_id": project,
            "cloud.region": location,
        }
    )
    spans = OTLPSpanExporter(f"{ENDPOINT}/v1/traces", timeout=EXPORT_SECONDS, session=session)
    measures = OTLPMetricExporter(f"{ENDPOINT}/v1/metrics", timeout=EXPORT_SECONDS, session=session)
    tracers = TracerProvider(resource=resource, shutdown_on_exit=False)
    tracers.add_span_processor(BatchSpanProcessor(spans, export_timeout_millis=EXPORT_SECONDS * 1000))
    meters = MeterProvider([PeriodicExportingMetricReader(measures)], resource=resource, shutdown_on_exit=False)

    def close() -> None:
        tracers.shutdown()
        meters.shutdown(timeout_millis=EXPORT_SECONDS * 1000)

    return Telemetry(tracers, meters, close=close)


def _count(_options: object) -> Iterator[Any]:
    from opentelemetry.metrics import Observation  # noqa: PLC0415 - likewise

    for code, count in api_errors().items():
        yield Observation(count, {API_ERRORS.labels[0]: code})


def _mark(span: "Span", error: BaseException) -> None:
    from opentelemetry.trace import Status, StatusCode  # noqa: PLC0415 - likewise

    span.set_status(Status(StatusCode.ERROR, type(error).__name__))
