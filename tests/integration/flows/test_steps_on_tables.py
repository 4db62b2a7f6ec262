"""Steps whose work is in the tables: looking up, moving goods, watching a shop's stock, delivering."""

from __future__ import annotations

import pytest
from lab_hub import Lab

from hub.core.stock.tables import ITEM, MOVE
from hub.flows.tables import Run

RUN = Run.__table__  # type: ignore[attr-defined]
THINGS = "flow: things\non: {role: shop, record: thing}\nsteps:\n"


def told(lab: Lab, steps: str, **record: object) -> None:
    problems = [problem for problem in lab.write(things=THINGS + steps) if "things" in problem.file]
    assert problems == []
    lab.receive({"id": 1, **record})
    lab.work()


def test_lookup_gives_the_external_id_null_or_a_question(lab: Lab) -> None:
    lab.plan("customer.ensure", "customer:7", {"ref": "7"})
    lab.send()
    steps = "  - lookup: {role: books, kind: customer, key: record.key, as: there}\n  - item.sync: {sku: \"default(there, 'none')\", title: \"'x'\"}\n"
    told(lab, steps, key="7")
    told(lab, steps, key="8")
    told(lab, steps)
    assert [row.sku for row in lab.rows(ITEM)] == ["c1", "none"]
    told(lab, steps.replace("as: there", "as: there, required: true"), key="8")
    assert [question.kind for question in lab.questions()] == ["lookup"]


def test_a_move_is_made_once_under_its_ref_and_needs_a_known_item(lab: Lab) -> None:
    steps = "  - stock.move: {source: supplier, destination: shelf, ref: record.ref}\n"
    told(lab, steps, sku="A", quantity=3, ref="R1")
    assert [question.kind for question in lab.questions()] == ["sku.unknown"]
    lab.trigger("items", {"sku": "A", "title": "A"})
    lab.work()
    for _ in range(2):
        told(lab, steps, sku="A", quantity=3, ref="R2")
    assert len(lab.rows(MOVE)) == 1
    told(lab, steps, sku="A", quantity=4, ref="R2")
    assert len(lab.questions()) == 2, "the same ref with other content"
    assert len(lab.rows(MOVE)) == 1


def test_a_delivery_that_is_planned_with_other_content_is_a_question_and_the_first_stands(lab: Lab) -> None:
    steps = "  - deliver: {role: books, operation: invoice.create, key: record.key, body: \"{'n': record.n}\"}\n"
    told(lab, steps, key="F1", n=1)
    told(lab, steps, key="F1", n=1)
    assert len(lab.deliveries()) == 1
    told(lab, steps, key="F1", n=2)
    assert [question.kind for question in lab.questions()] == ["delivery.conflict"]
    assert [call.body for call in lab.system.calls] == [b'{"n":1}']


def test_money_in_a_body_is_refused_with_what_to_do(lab: Lab) -> None:
    told(
        lab,
        "  - deliver: {role: books, operation: invoice.create, key: record.id, body: \"{'n': money('1', 'EUR')}\"}\n",
    )
    [question] = lab.questions()
    assert question.kind == "delivery.body"


def test_a_run_says_what_it_changed_and_one_that_was_never_meant_leaves_no_row(lab: Lab) -> None:
    told(lab, "  - item.sync: {sku: record.sku, title: record.sku}\n", sku="A")
    [run] = lab.rows(RUN)
    assert (run.flow, run.state, run.changed) == ("things", "done", f"item {lab.rows(ITEM)[0].id}")
    lab.write(things=THINGS.replace("steps:", "when: record.sku == 'B'\nsteps:") + "  - stop: x\n")
    lab.receive({"id": 1, "sku": "A"})
    lab.work()
    assert len(lab.rows(RUN)) == 1
    lab.receive({"id": 1, "sku": "B"})
    lab.work()
    assert [(row.state, row.reason) for row in lab.rows(RUN)][1:] == [("stopped", "x")]


@pytest.mark.parametrize("steps", ["  - deliver: {role: crm, operation: x, key: record.id}\n"])
def test_a_flow_that_only_delivers_to_nobody_does_nothing_and_one_that_books_still_books(lab: Lab, steps: str) -> None:
    told(lab, steps)
    assert lab.rows(RUN) == []
    told(lab, "  - item.sync: {sku: \"'A'\", title: \"'A'\"}\n" + steps)
    assert [row.sku for row in lab.rows(ITEM)] == ["A"]
    assert [row.state for row in lab.events()] == ["done", "done"]
    assert lab.questions() == []
