"""Batches: what an event does commits as a whole or not at all, and one that fails takes no other with it."""

from __future__ import annotations

import json
from typing import Any

import pytest
import sqlalchemy as sa
from lab_hub import SECOND, Lab
from lab_orders import ORDER, ORDERS, order
from sqlalchemy.exc import OperationalError

from hub.core.ledger.tables import ENTRY
from hub.core.ledger.verify import verify_ledger
from hub.core.plan import Plan, PlanConflict
from hub.core.sales.tables import DOCUMENT, SALES_ORDER
from hub.core.stock.tables import ITEM, MOVE
from hub.core.stock.verify import verify_stock
from hub.flows.tables import FlowActivation, FlowVersion, Run
from hub.inbox import claim, lanes
from hub.outbox import plan as outbox_plan

RUN = Run.__table__  # type: ignore[attr-defined]
VERSION = FlowVersion.__table__  # type: ignore[attr-defined]
ACTIVATION = FlowActivation.__table__  # type: ignore[attr-defined]

INVOICES = """
flow: invoices
on: {event: invoice.issued}
steps:
  - validate: {that: "invoice.number != 'never'", else: refused}
  - deliver: {role: books, operation: invoice.create, key: invoice.number, body: "{'number': invoice.number}"}
"""


@pytest.fixture
def shop(lab: Lab) -> Lab:
    """The lab with its flows, and ten mugs."""
    lab.write(orders=ORDERS, lab__order=ORDER, invoices=INVOICES)
    lab.trigger("items", {"sku": "MUG", "title": "Mug", "quantity": 10})
    lab.work()
    assert lab.questions() == []
    return lab


def tell(lab: Lab, record: Any, **more: Any) -> None:
    lab.receive(record, topic=more.pop("topic", "orders/changed"), kind="order", **more)


def sound(lab: Lab) -> None:
    """Ledger and stock agree with themselves."""
    with lab.database.read() as connection:
        assert verify_ledger(connection, 1, lambda key: lab.vault.key(connection, 1, key).key) == []
        assert verify_stock(connection, 1) == []


def numbers(lab: Lab) -> list[str]:
    return [row.number for row in lab.rows(DOCUMENT)]


# -- what is refused --------------------------------------------------------------------------------------------------


def test_an_event_that_is_refused_drops_all_its_part_and_leaves_no_gap(shop: Lab) -> None:
    for number in (1, 2, 3, 4):
        tell(shop, order(number, note="refuse me" if number == 2 else ""))
    shop.hub.books.work_once()
    assert [number[-2:] for number in numbers(shop)] == ["01", "02", "03"]
    assert [row.seq for row in shop.rows(ENTRY)] == list(range(1, len(shop.rows(ENTRY)) + 1))
    assert [row.state for row in shop.events(kind="webhook")] == ["done", "parked", "done", "done"]
    assert [row.external_id for row in shop.rows(SALES_ORDER)] == ["1", "3", "4"]
    assert len(shop.deliveries(operation="invoice.create")) == 3
    assert [question.reason for question in shop.questions()] == ["refused after it was planned"]
    sound(shop)


def test_a_subscriber_that_is_refused_parks_its_own_run_while_the_books_commit(shop: Lab) -> None:
    shop.write(invoices=INVOICES.replace("!= 'never'", "== 'never'"))
    tell(shop, order())
    shop.work()
    assert len(numbers(shop)) == 1
    assert shop.deliveries(operation="invoice.create") == []
    [question] = shop.questions()
    assert (question.kind, question.subject.rpartition(":")[2]) == ("validate", "invoices")
    [run] = shop.rows(RUN, flow="invoices")
    assert (run.state, run.trigger) == ("parked", "invoice.issued")
    assert [row.state for row in shop.events(kind="webhook")] == ["done"]
    sound(shop)


UNWORKABLE: list[tuple[Any, str | None, str]] = [
    (b"{not json", "record.unreadable", "not JSON"),
    (b"[]", "record.unreadable", "id"),
    ({"id": 1}, "record.unreadable", "lines"),
    (order(1, quantity="two"), "record.shape", "$.lines.items[0].quantity"),
    ({**order(1), "at": 5}, "record.shape", "as_of"),
    (order(1, total="twelve"), "mapping.error", "twelve"),
    (order(1, currency="EURO"), "mapping.error", "EURO"),
    (order(11, quantity=-1), None, "-1"),
    (order(12, total="13.00"), None, "13"),
]


def test_what_cannot_be_worked_on_is_kept_and_asked_about_with_its_place(shop: Lab) -> None:
    for index, (record, _, _) in enumerate(UNWORKABLE):
        tell(shop, record, key=f"bad{index}")
    tell(shop, order(2))
    shop.work()
    asked = shop.questions()
    assert len(asked) == len(UNWORKABLE), "nothing is dropped in silence"
    for (record, kind, says), question in zip(UNWORKABLE, asked, strict=True):
        assert kind is None or question.kind == kind, (record, question)
        assert says in question.reason + question.details, (record, question)
    assert shop.rows(SALES_ORDER, external_id="2"), "the other order is booked"
    sound(shop)


def test_an_unknown_topic_is_kept_and_asked_about(shop: Lab) -> None:
    tell(shop, {"id": 5}, topic="orders/strange")
    shop.work()
    [question] = shop.questions()
    assert question.kind == "record.unreadable"
    assert "orders/strange" in question.reason


def test_short_stock_is_asked_about_with_the_money_booked_and_goes_on_when_goods_come_in(shop: Lab) -> None:
    tell(shop, order(1, quantity=25))
    shop.work()
    assert len(numbers(shop)) == 1
    [question] = shop.questions()
    assert "MUG" in question.reason + question.details
    sound(shop)
    shop.trigger("receipts", {"sku": "MUG", "quantity": 20, "ref": "R1"})
    shop.work()
    assert shop.questions() == []
    sound(shop)
    shop.trigger("receipts", {"sku": "MUG", "quantity": 20, "ref": "R1"}, key="again")
    shop.work()
    assert len(shop.rows(MOVE, kind="receipt")) == 1, "the same receipt again moves nothing"


# -- what the database refuses ------------------------------------------------------------------------------------------


def _refuse_item(lab: Lab, owner_url: str, sku: str) -> None:
    from hub.db.engine import admin_engine

    engine = admin_engine(owner_url)
    with engine.begin() as connection:
        if connection.dialect.name == "sqlite":
            statements = [
                f"CREATE TRIGGER poison BEFORE INSERT ON item WHEN NEW.sku = '{sku}'"
                " BEGIN SELECT RAISE(ABORT, 'poisoned'); END"
            ]
        else:
            statements = [
                f"CREATE FUNCTION poison() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN IF NEW.sku = '{sku}' THEN"
                " RAISE EXCEPTION 'poisoned'; END IF; RETURN NEW; END $$",
                "CREATE TRIGGER poison BEFORE INSERT ON item FOR EACH ROW EXECUTE FUNCTION poison()",
            ]
        for statement in statements:
            connection.execute(sa.text(statement))
    engine.dispose()


def test_of_a_batch_that_the_database_refuses_only_the_culprit_is_parked(lab: Lab, owner_url: str) -> None:
    _refuse_item(lab, owner_url, "BAD")
    for number, sku in enumerate(["A", "BAD", "C"]):
        lab.trigger("items", {"sku": sku, "title": sku}, key=str(number))
    lab.work()
    assert [row.sku for row in lab.rows(ITEM)] == ["A", "C"]
    assert [row.state for row in lab.events()] == ["done", "parked", "done"]
    [question] = lab.questions()
    assert question.kind == "event.refused"
    assert "poisoned" in question.reason


def test_a_database_that_is_away_blames_no_event(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    real = Plan.write
    failures = iter([OperationalError("x", {}, Exception("locked"))] * 6)

    def unlucky(self: Plan, *arguments: Any) -> None:
        error = next(failures, None)
        if error is not None:
            raise error
        real(self, *arguments)

    monkeypatch.setattr(Plan, "write", unlucky)
    lab.trigger("items", {"sku": "A", "title": "A"})
    lab.trigger("items", {"sku": "B", "title": "B"}, key="2")
    for _ in range(6):
        with pytest.raises(OperationalError):
            lab.work()
    lab.work()
    assert [row.state for row in lab.events()] == ["done", "done"]
    assert lab.questions() == []


def test_an_event_whose_reading_was_overtaken_is_worked_again(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    real = Plan.write
    failures = iter([PlanConflict("overtaken")] * 2)

    def overtaken(self: Plan, *arguments: Any) -> None:
        error = next(failures, None)
        if error is not None:
            raise error
        real(self, *arguments)

    monkeypatch.setattr(Plan, "write", overtaken)
    lab.trigger("items", {"sku": "A", "title": "A"})
    lab.work()
    assert [row.state for row in lab.events()] == ["done"]


def test_a_batch_whose_lane_was_taken_over_writes_nothing(lab: Lab) -> None:
    lab.trigger("items", {"sku": "A", "title": "A"})
    with lab.database.write() as connection:
        claimed = claim.claim(connection, 1, owner="slow", now=lab.clock())
    assert claimed is not None
    lab.clock.forward(61)
    with lab.database.write() as connection:
        taken = claim.claim(connection, 1, owner="quick", now=lab.clock())
    assert taken is not None
    with pytest.raises(lanes.LeaseLost):
        lab.hub.batch.work(claimed, lab.hub.active(1))
    assert lab.rows(ITEM) == []
    lab.hub.batch.work(taken, lab.hub.active(1))
    assert [row.sku for row in lab.rows(ITEM)] == ["A"]
    assert [row.state for row in lab.events()] == ["done"]


def test_an_event_that_stops_its_worker_is_worked_alone_and_parked_in_the_end(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = outbox_plan.settle
    crashes = 0

    def crash(connection: Any, plan: Plan) -> None:
        nonlocal crashes
        if any(row["sku"] == "BAD" for row in plan.planned(ITEM)):
            crashes += 1
            raise KeyboardInterrupt  # nothing of ours catches it: the process dies
        real(connection, plan)

    monkeypatch.setattr(outbox_plan, "settle", crash)
    for number, sku in enumerate(["A", "BAD", "C"]):
        lab.trigger("items", {"sku": sku, "title": sku}, key=str(number))
    for _ in range(10):
        try:
            lab.work()
        except KeyboardInterrupt:
            continue
        break
    assert crashes == 1 + claim.MAX_LONE_CLAIMS, "once with others, then alone"
    assert [row.state for row in lab.events()] == ["done", "parked", "done"]
    [question] = lab.questions()
    assert question.kind == "event.crashes"
    assert [row.sku for row in lab.rows(ITEM)] == ["A", "C"]


# -- order --------------------------------------------------------------------------------------------------------------

STRICT = """
flow: things
on: {role: shop, record: thing}
order: strict
steps:
  - validate: {that: record.good, else: not good}
  - item.sync: {sku: record.name, title: record.name}
"""


@pytest.mark.parametrize("order", ["strict", "latest"])
def test_a_parked_event_holds_the_later_ones_of_its_key_only_in_a_strict_flow(lab: Lab, order: str) -> None:
    lab.write(things=STRICT.replace("strict", order))
    lab.receive({"id": 1, "good": False, "name": "first"})
    lab.receive({"id": 1, "good": True, "name": "second"})
    lab.receive({"id": 2, "good": True, "name": "other"})
    lab.work()
    assert [row.sku for row in lab.rows(ITEM)] == (["other"] if order == "strict" else ["second", "other"])
    lab.receive({"id": 1, "good": True, "name": "third"})
    lab.work()
    states = [row.state for row in lab.events()]
    assert states == (["parked", "ready", "done", "ready"] if order == "strict" else ["parked", "done", "done", "done"])
    if order == "strict":
        from hub.workers.admin import questions

        questions.answer(lab.hub, lab.questions()[0].id, "drop")
        lab.work()
        assert [row.sku for row in lab.rows(ITEM)] == ["other", "second", "third"]


def test_an_answer_works_every_event_again_that_its_question_is_about(lab: Lab) -> None:
    """The second event of a key was parked by the question of the first."""
    from hub.workers.admin import questions

    lab.write(things=STRICT.replace("strict", "latest"))
    lab.receive({"id": 1, "good": False, "name": "first"})
    lab.receive({"id": 1, "good": False, "name": "second"})
    lab.work()
    [question] = lab.questions()
    lab.write(things=STRICT.replace("strict", "latest").replace("record.good", "record.name"))
    questions.answer(lab.hub, question.id, "replay")
    lab.work()
    assert [row.sku for row in lab.rows(ITEM)] == ["first", "second"]
    assert [row.state for row in lab.events()] == ["done", "done"]


# -- merchants, reads, loops ----------------------------------------------------------------------------------------------


def test_merchants_take_turns_and_one_that_waits_keeps_no_other_waiting(lab: Lab) -> None:
    lab.open_merchant(2)
    lab.trigger("items", {"sku": "A0", "title": "A"}, merchant_id=1)
    with lab.database.write() as connection:  # merchant 1 has an event that is held by its key
        connection.execute(
            sa.text("UPDATE inbox SET state = 'retry', next_attempt_at = :at"), {"at": lab.clock() + 60 * SECOND}
        )
    lab.trigger("items", {"sku": "A1", "title": "A"}, merchant_id=1)
    for number in range(60):
        lab.trigger("items", {"sku": f"B{number}", "title": "B"}, key=str(number), merchant_id=2)
    lab.work()
    assert len(lab.rows(ITEM, merchant_id=2)) == 60
    assert lab.rows(ITEM, merchant_id=1) == []
    lab.clock.forward(61)
    for number in range(60):
        lab.trigger("items", {"sku": f"C{number}", "title": "C"}, key=f"c{number}", merchant_id=2)
    turns = []
    while lab.hub.books.work_once():
        turns.append(len(lab.rows(ITEM, merchant_id=1)))
    assert turns[1] >= 1, "the other merchant came second at the latest"


def test_hints_of_one_record_make_one_read(shop: Lab) -> None:
    shop.system.records["/order/1"] = order(1)
    for _ in range(3):
        tell(shop, {"id": 1}, topic="orders/hint", key="1")
    shop.work()
    assert len([call for call in shop.system.calls if call.path == "/order/1"]) == 1
    assert [row.kind for row in shop.events(record="order")] == ["webhook"] * 3 + ["read"]
    assert len(shop.rows(SALES_ORDER)) == 1


def test_the_end_of_a_connection_asks_to_connect_again(lab: Lab) -> None:
    lab.receive({"id": 1}, topic="app/uninstalled")
    lab.work()
    assert [question.kind for question in lab.questions()] == ["connection.reconnect"]


def test_an_emitted_event_is_answered_and_flows_that_feed_each_other_end_in_a_question(lab: Lab) -> None:
    lab.write(
        first="flow: first\non: {manual: go}\nsteps:\n  - emit: {event: ping.sent, record: \"{'n': 1}\"}\n",
        ping="flow: ping\non: {event: ping.sent}\nsteps:\n  - emit: {event: pong.sent, record: \"{'n': ping.n + 1}\"}\n",
        pong="flow: pong\non: {event: pong.sent}\nsteps:\n  - when: pong.n < 3\n  - item.sync: {sku: \"'never'\", title: \"'x'\"}\n",
    )
    lab.trigger("go", {})
    lab.work()
    assert lab.questions() == []
    assert [row.sku for row in lab.rows(ITEM)] == ["never"]
    lab.write(
        pong="flow: pong\non: {event: pong.sent}\nsteps:\n  - emit: {event: ping.sent, record: \"{'n': pong.n + 1}\"}\n"
    )
    lab.trigger("go", {})
    lab.work()
    [question] = lab.questions()
    assert question.kind == "flow.loop"


def test_an_expression_bomb_parks_its_event_and_never_hangs(lab: Lab) -> None:
    lab.write(
        things="flow: things\non: {role: shop, record: thing}\nsteps:\n"
        '  - set: {a: "[x for x in record.n for y in record.n for z in record.n for w in record.n]"}\n'
        "  - item.sync: {sku: record.name, title: record.name}\n"
    )
    lab.receive({"id": 1, "n": list(range(400)), "name": "A"})
    lab.receive({"id": 2, "n": [1], "name": "B"})
    lab.work()
    assert [row.sku for row in lab.rows(ITEM)] == ["B"]
    [question] = lab.questions()
    assert question.kind == "mapping.error"


# -- versions -------------------------------------------------------------------------------------------------------------

GOOD = "flow: things\non: {role: shop, record: thing}\nsteps:\n  - map: thing\n  - item.sync: {sku: item.sku, title: item.sku}\n"
MAPPING = "mapping: lab/thing\nfrom: lab.thing\nto: item\nmap:\n  sku: name\n"


def test_each_version_is_kept_and_each_run_names_its_own(lab: Lab) -> None:
    assert [p for p in lab.write(things=GOOD, lab__thing=MAPPING) if "things" in p.file] == []
    lab.receive({"id": 1, "name": "A"})
    lab.work()
    lab.write(lab__thing=MAPPING.replace("sku: name", "sku: upper(name)"))
    lab.receive({"id": 2, "name": "b"})
    lab.work()
    assert [row.sku for row in lab.rows(ITEM)] == ["A", "B"]
    one, two = lab.rows(RUN, flow="things")
    assert one.version_hash != two.version_hash, "another mapping is another version"
    with lab.database.read() as connection:
        texts = {row.hash: json.loads(row.text) for row in connection.execute(sa.select(VERSION))}
        active = connection.execute(
            sa.select(ACTIVATION.c.version_hash).where(ACTIVATION.c.flow == "things")
        ).scalar_one()
    assert active == two.version_hash
    assert texts[one.version_hash]["mappings"]["lab/thing"] == MAPPING
    lab.write(lab__thing=MAPPING)
    lab.receive({"id": 3, "name": "c"})
    lab.work()
    assert lab.rows(RUN, flow="things")[2].version_hash == one.version_hash


@pytest.mark.parametrize(
    ("files", "place"),
    [
        ({"things": GOOD.replace("item.sync:", "item.sink:")}, "flows/things.yaml:5:5"),
        ({"things": GOOD.replace("  - map: thing", "  - {map: thing")}, "flows/things.yaml:"),
        ({"things": GOOD + "steps: []\n"}, "flows/things.yaml:6:1"),
        ({"lab__thing": MAPPING.replace("sku: name", "sku: name +")}, "mappings/lab/thing.yaml:5:"),
        ({"lab__thing": MAPPING.replace("map:", "map: [")}, "mappings/lab/thing.yaml:"),
    ],
)
def test_a_flow_or_mapping_that_does_not_lint_is_refused_and_the_version_before_goes_on(
    lab: Lab, files: dict[str, str], place: str
) -> None:
    lab.write(things=GOOD, lab__thing=MAPPING)
    twin = GOOD.replace("flow: things", "flow: twins").replace("record: thing", "record: order")
    lab.write(twins=twin.replace("from", "from"))
    before = {flow.name: flow.version_hash for flow in lab.hub.active(1).flows}
    problems = lab.write(**files)
    assert any(str(problem).startswith(place) for problem in problems), [str(p) for p in problems]
    after = {flow.name: flow.version_hash for flow in lab.hub.active(1).flows}
    assert after == before, "all of them go on"
    lab.receive({"id": 1, "name": "A"})
    lab.work()
    assert [row.sku for row in lab.rows(ITEM)] == ["A"]
    again = lab.another_hub()
    assert {flow.name: flow.version_hash for flow in again.active(1).flows} == before, "after a restart too"
    again.intake.close()


def test_a_flow_of_the_home_takes_the_place_of_the_shipped_one_of_its_name(lab: Lab) -> None:
    name = "import-items"
    lab.write(
        **{name: f"flow: {name}\non: {{manual: items}}\nsteps:\n  - item.sync: {{sku: \"'own-' + record.sku\"}}\n"}
    )
    lab.trigger("items", {"sku": "A", "title": "A"})
    lab.work()
    assert [row.sku for row in lab.rows(ITEM)] == ["own-A"]


def test_the_problems_of_all_merchants_are_told_once(lab: Lab) -> None:
    lab.open_merchant(2)
    problems = lab.write(things=GOOD.replace("item.sync", "item.sink"))
    assert len([problem for problem in problems if problem.rule == "unknown-step"]) == 1
    assert len(problems) == len(set(map(str, problems)))
