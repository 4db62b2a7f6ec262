"""Traces: what is done for one event is one trace, whichever processes do it, and says nothing of a record."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from lab_hub import Lab
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from pytest_httpserver import HTTPServer

from hub.cli import tracing
from hub.cli.errors import CommandError
from hub.observe import traces
from hub.workers.settings import Settings

FLOW = (
    "flow: send\non: {manual: go}\nsteps:\n"
    "  - deliver: {role: books, operation: customer.ensure, key: record.id, body: record}\n"
)


@pytest.fixture
def collector(httpserver: HTTPServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[HTTPServer]:
    """What takes spans as the standard's collectors do."""
    httpserver.expect_request("/v1/traces", method="POST").respond_with_data(
        b"", headers={"content-type": "application/x-protobuf"}
    )
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", httpserver.url_for(""))
    yield httpserver
    traces.stop()


def spans(collector: HTTPServer) -> list[Any]:
    traces.stop()
    return [
        span
        for request, _ in collector.log
        for resource in ExportTraceServiceRequest.FromString(request.data).resource_spans
        for scope in resource.scope_spans
        for span in scope.spans
    ]


def begin(lab: Lab) -> None:
    """As a process of this hub does that starts."""
    traces.stop()
    tracing.set_up(Settings(home=lab.home, database_url=lab.database.url.render_as_string(hide_password=False)), "hub")


def test_what_is_done_for_an_event_is_one_trace_whichever_process_does_it(lab: Lab, collector: HTTPServer) -> None:
    lab.write(send=FLOW)
    begin(lab)
    for name in ("F1", "F2"):
        lab.trigger("go", {"id": name, "ref": name})
    lab.hub.books.work_once()
    begin(lab)  # another process sends
    lab.work()

    made = spans(collector)
    by_name = {name: [span for span in made if span.name == name] for name in ("work", "send", "http")}
    assert [len(each) for each in by_name.values()] == [2, 2, 2]
    assert {span.trace_id for span in by_name["work"]} == {span.trace_id for span in by_name["send"]}
    assert len({span.trace_id for span in made}) == 2
    of_send = {span.span_id: span.trace_id for span in by_name["send"]}
    assert all(of_send[span.parent_span_id] == span.trace_id for span in by_name["http"])


def test_spans_hold_ids_and_nothing_of_a_record(lab: Lab, collector: HTTPServer) -> None:
    lab.write(send=FLOW)
    begin(lab)
    lab.system.fault("/customers", "echo", 422, times=99)
    lab.trigger("go", {"id": "F1", "ref": "F1", "email": "camille@example.org"})
    lab.work()
    [send] = [span for span in spans(collector) if span.name == "send"]
    sent = b"".join(request.data for request, _ in collector.log)

    assert {each.key for each in send.attributes} == {
        f"hub.{name}" for name in ("merchant_id", "connection_id", "delivery_id", "event_seq", "operation", "outcome")
    }
    assert b"camille" not in sent
    assert b"hub.outcome" in sent


def test_a_hub_without_a_collector_makes_no_spans(lab: Lab) -> None:
    assert not traces.wanted()
    with traces.span("send", 1):
        traces.note(outcome="Confirmed")
    assert traces.now_ns() == 0


def test_traces_that_cannot_be_sent_are_refused_at_the_start(
    lab: Lab, collector: HTTPServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "opentelemetry.exporter.otlp.proto.http.trace_exporter", None)
    with pytest.raises(CommandError, match=r"OTEL_EXPORTER_OTLP_ENDPOINT asks for traces.*hub\[otel\]"):
        begin(lab)
