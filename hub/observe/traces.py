"""Traces of OpenTelemetry, where somebody asks for them (`pip install hub[otel]`, and the standard `OTEL_*` variables): what
came in, what was worked, read and sent. All that is done for one event is one trace, in whatever process it is done: its id is
made of the number of the event, so that nothing has to be carried along. Spans hold ids, and nothing of a record."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from hashlib import sha256
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from opentelemetry.sdk.trace.export import SpanExporter

#: where the standard says that spans are to be sent
_ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
_tracer: Any = None
_provider: Any = None
#: tells the events of hubs apart that send to one place
_hub = b""
#: names of the standard's own; all others are the hub's
_STANDARD = {"method": "http.request.method", "host": "server.address", "status": "http.response.status_code"}
#: the event that the next span without a parent is of
_event: ContextVar[int | None] = ContextVar("event_of_span", default=None)


class TracesMissing(Exception):
    """Traces are asked for, and what sends them is not installed."""


def wanted() -> bool:
    """Whether the environment asks for traces."""
    return any(os.environ.get(name) for name in _ENDPOINTS) and os.environ.get("OTEL_SDK_DISABLED", "") != "true"


def start(service: str, hub: str, exporter: SpanExporter | None = None) -> None:
    """Spans go out from now on. `service`: the name of this process's kind, unless `OTEL_SERVICE_NAME` gives one; `hub`: what
    all processes of one hub have in common, such as its database; `exporter`: of a test. Raises: TracesMissing."""
    global _tracer, _provider, _hub
    try:
        from opentelemetry.sdk.resources import SERVICE_NAME, Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor

        if exporter is None:
            from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

            exporter = OTLPSpanExporter()
    except ImportError as error:
        asked = next(name for name in _ENDPOINTS if os.environ.get(name))
        raise TracesMissing(f"{asked} asks for traces: run `pip install 'hub[otel]'`, or unset it ({error})") from None
    named = {} if os.environ.get("OTEL_SERVICE_NAME") else {SERVICE_NAME: service}
    _hub = sha256(hub.encode()).digest()
    _provider = TracerProvider(resource=Resource.create(named), id_generator=_ids())
    _provider.add_span_processor(BatchSpanProcessor(exporter))
    _tracer = _provider.get_tracer("hub")


def stop() -> None:
    """Sends what is left, and ends. A process that serves need not call it: what is left is sent when it exits."""
    global _tracer, _provider
    if _provider is not None:
        _provider.shutdown()
    _tracer = _provider = None


@contextmanager
def span(name: str, event_seq: int | None = None, **attributes: str | int | None) -> Iterator[None]:
    """What is done inside is a span, of an event where one is named; spans inside it are under it. An error marks it, by its
    kind: its words may hold what is nobody's business."""
    if _tracer is None:
        yield
        return
    token = _event.set(event_seq)
    try:
        with _tracer.start_as_current_span(
            name, attributes=_known(attributes, event_seq), record_exception=False, set_status_on_exception=False
        ) as made:
            try:
                yield
            except BaseException as error:
                _failed(made, type(error).__name__)
                raise
    finally:
        _event.reset(token)


def note(**attributes: str | int | None) -> None:
    """Adds to the span at hand."""
    if _tracer is not None:
        from opentelemetry.trace import get_current_span

        get_current_span().set_attributes(_known(attributes, None))


def worked(name: str, began_ns: int, event_seq: int, *, failed: str = "", **attributes: str | int | None) -> None:
    """A span of an event that ends now, for what is done for many events together. `began_ns`: `now_ns` of then."""
    if _tracer is None:
        return
    token = _event.set(event_seq)
    try:
        made = _tracer.start_span(name, start_time=began_ns, attributes=_known(attributes, event_seq))
    finally:
        _event.reset(token)
    if failed:
        _failed(made, failed)
    made.end()


def now_ns() -> int:
    """Nanoseconds since 1970, as spans count; 0 where there are none."""
    return time.time_ns() if _tracer is not None else 0


def _failed(made: Any, kind: str) -> None:
    from opentelemetry.trace import StatusCode

    made.set_attribute("error.type", kind)
    made.set_status(StatusCode.ERROR)


def _known(attributes: dict[str, Any], event_seq: int | None) -> dict[str, Any]:
    named = {_STANDARD.get(name, f"hub.{name}"): value for name, value in attributes.items() if value is not None}
    return {**named, "hub.event_seq": event_seq} if event_seq is not None else named


def _ids() -> Any:
    from opentelemetry.sdk.trace.id_generator import RandomIdGenerator

    class OfEvents(RandomIdGenerator):
        """The id of a trace is that of its event."""

        def generate_trace_id(self) -> int:
            event_seq = _event.get()
            if event_seq is None:
                return super().generate_trace_id()
            made = sha256(_hub + event_seq.to_bytes(8, "big")).digest()
            return int.from_bytes(made[:16], "big") or 1

    return OfEvents()
