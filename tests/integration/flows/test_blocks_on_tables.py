"""Deliveries inside of `for_each`, `switch` and `call`: all or nothing, and one version with what is called."""

from __future__ import annotations

import json

import sqlalchemy as sa
from lab_hub import Lab

from hub.core.stock.tables import ITEM
from hub.flows.tables import FlowVersion, Run

RUN = Run.__table__  # type: ignore[attr-defined]
VERSION = FlowVersion.__table__  # type: ignore[attr-defined]
THINGS = "flow: things\non: {role: shop, record: thing}\nsteps:\n"
DELIVER = "deliver: {role: books, operation: invoice.create, key: line.key, body: \"{'n': line.n}\"}"
EACH = f"""\
  - for_each:
      in: record.lines
      as: line
      steps:
        - item.sync: {{sku: line.key, title: line.key}}
        - switch:
            on: line.kind
            cases:
              sale: [{{{DELIVER}}}]
              gift: [{{stop: a gift}}]
"""
HALVE = "flow: halve\non: {call: [line]}\nsteps:\n  - deliver: {role: books, operation: invoice.create, key: line.key, body: line}\n"


def told(lab: Lab, record: dict[str, object], **flows: str) -> None:
    problems = [problem for problem in lab.write(**flows) if "shipped" not in problem.file and "things" in problem.file]
    assert problems == []
    lab.receive({"id": 1, **record})
    lab.work()


def line(key: str, kind: str = "sale") -> dict[str, object]:
    return {"key": key, "kind": kind, "n": 1}


def test_each_item_delivers_and_one_that_stops_lets_the_next_go_on(lab: Lab) -> None:
    told(lab, {"lines": [line("A"), line("B", "gift"), line("C")]}, things=THINGS + EACH)
    assert lab.states() == {"A": "confirmed", "C": "confirmed"}
    [run] = lab.rows(RUN)
    assert (run.state, run.reason) == ("done", "record.lines[1] stopped: a gift")


def test_an_item_that_is_refused_leaves_nothing_of_the_others(lab: Lab) -> None:
    told(lab, {"lines": [line("A"), line("B", "rental")]}, things=THINGS + EACH)
    assert lab.deliveries() == []
    assert lab.rows(ITEM) == []
    [question] = lab.questions()
    assert question.kind == "switch.unhandled"
    assert question.reason.startswith("record.lines[1]: line.kind is 'rental'")
    assert json.loads(question.details)["item"] == "record.lines[1]"


def test_every_connection_of_a_role_gets_its_own_delivery(lab: Lab) -> None:
    second = lab.connect("second", ("books",))
    steps = (
        "  - for_each:\n      connections: books\n      as: book\n      steps:\n"
        "        - deliver: {role: books, connection: book.id, operation: invoice.create, key: record.key, body: \"{'to': book.name}\"}\n"
    )
    told(lab, {"key": "F1"}, things=THINGS + steps)
    found = {row.connection_id: json.loads(row.body) for row in lab.deliveries()}
    assert found == {lab.lab: {"to": "lab"}, second: {"to": "second"}}


def test_the_deliveries_of_a_batch_are_read_at_once_though_they_stand_in_blocks(lab: Lab) -> None:
    """Two hundred events with a loop each, and no query for each of their deliveries."""
    lab.write(
        start="flow: start\non: {manual: go}\nsteps:\n  - emit: {event: line.sold, record: record}\n",
        tell="flow: tell\non: {event: line.sold}\nsteps:\n"
        "  - for_each: {in: record.lines, as: line, steps: [{when: {if: line.n, steps: [{" + DELIVER + "}]}}]}\n",
    )
    for number in range(20):
        lab.trigger("go", {"lines": [line(f"{number}:{part}") for part in range(3)]}, key=str(number))
    asked: list[str] = []

    def count(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        if "FROM delivery" in statement and "ORDER BY delivery.version" in statement:
            asked.append(statement)

    sa.event.listen(sa.Engine, "before_cursor_execute", count)
    try:
        assert lab.hub.books.work_once()
    finally:
        sa.event.remove(sa.Engine, "before_cursor_execute", count)
    assert len(lab.deliveries()) == 60
    assert len(asked) == 1


def test_a_called_flow_is_frozen_with_its_caller_and_goes_on_when_it_no_longer_lints(lab: Lab) -> None:
    call = THINGS + "  - call: {flow: halve, with: {line: record}}\n"
    told(lab, {"key": "A", "n": 1}, things=call, halve=HALVE)
    [first] = lab.rows(RUN)
    lab.write(halve=HALVE.replace("key: line.key", "key: \"'x' + line.key\""))
    lab.receive({"id": 1, "key": "A", "n": 1})
    lab.work()
    second = lab.rows(RUN)[-1]
    assert first.version_hash != second.version_hash
    assert list(lab.states()) == ["A", "xA"]
    problems = lab.write(halve=HALVE.replace("deliver", "deliwer"))
    assert any(problem.file == "flows/halve.yaml" and problem.line == 4 for problem in problems)
    for hub in (lab.hub, lab.another_hub()):
        assert [flow.version_hash for flow in hub.active(1).flows if flow.name == "things"] == [second.version_hash]
    lab.receive({"id": 1, "key": "B", "n": 1})
    lab.work()
    assert list(lab.states()) == ["A", "xA", "xB"]
    assert {flow.name for flow in lab.hub.active(1).flows}.isdisjoint({"halve"})
    with lab.database.read() as connection:
        texts = [json.loads(text) for text in connection.execute(sa.select(VERSION.c.text)).scalars()]
    assert {text["calls"]["halve"]["file"] for text in texts if "calls" in text} == {"flows/halve.yaml"}
