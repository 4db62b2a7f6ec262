"""`deliver.retry`: a delivery gives up as its flow says, and ends as its ladder says."""

from __future__ import annotations

import pytest
from lab_hub import Lab

from hub.workers.admin import questions


def start(lab: Lab, operation: str, retry: str) -> None:
    text = (
        "flow: send\non: {manual: go}\nsteps:\n  - deliver: {role: books, key: record.id, body: record, "
        f"operation: {operation}, retry: {retry}}}\n"
    )
    assert [str(problem) for problem in lab.write(send=text) if problem.file == "flows/send.yaml"] == []
    lab.trigger("go", {"id": "F1", "ref": "F1"})


def try_on(lab: Lab, turns: int) -> list[str]:
    found = []
    for _ in range(turns):
        lab.work()
        found.append(lab.states()["F1"])
        lab.clock.forward(3600)
    return found


@pytest.mark.parametrize(
    ("operation", "kind", "status", "end"),
    [
        ("invoice.create", "status", 429, "rejected"),
        ("invoice.create", "status_after", 503, "uncertain"),
        ("customer.ensure", "status_after", 503, "uncertain"),
    ],
)
def test_it_gives_up_after_its_attempts(lab: Lab, operation: str, kind: str, status: int, end: str) -> None:
    lab.system.fault("/invoices", kind, status, times=99)
    lab.system.fault("POST /customers", kind, status, times=99)
    lab.system.fault("GET /customers", "status", 429, times=99)
    start(lab, operation, "{attempts: 2}")
    assert try_on(lab, 2) == ["retry", end]
    [question] = lab.questions()
    assert question.kind == f"delivery.{end}"
    assert "given up after 2 attempts" in question.reason


def test_an_ambiguous_attempt_without_a_ladder_is_uncertain_at_once(lab: Lab) -> None:
    lab.system.fault("/messages", "drop_after", times=9)
    start(lab, "message.send", "{attempts: 5, within: 2d}")
    assert try_on(lab, 2) == ["uncertain", "uncertain"]
    assert len(lab.system.messages) == 1


def test_it_gives_up_after_a_time_and_sent_again_starts_anew(lab: Lab) -> None:
    lab.system.fault("/invoices", "status", 429, times=4)
    start(lab, "invoice.create", "{within: 90m}")
    assert try_on(lab, 3) == ["retry", "retry", "rejected"]
    questions.answer(lab.hub, lab.questions()[0].id, "resend")
    assert try_on(lab, 2) == ["retry", "confirmed"]
