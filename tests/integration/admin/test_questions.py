"""Questions are answered once, in one transaction, and what waited goes on."""

from __future__ import annotations

import pytest
import sqlalchemy as sa
from werkzeug import Response

from hub.connect.registry import Registry
from hub.outbox.plan import DELIVERY
from hub.workers.admin import bookkeeping, connections, events, questions, reports, verify
from hub.workers.admin.errors import AdminError, NotThere


def _asked(desk):
    return questions.listed(desk.hub)["items"]


def _levels(desk, sku):
    [item] = bookkeeping.stock(desk.hub, sku=sku)["items"]
    return item["levels"]


@pytest.fixture
def books(httpserver):
    """The books take every invoice."""
    httpserver.expect_request("/invoices", method="POST").respond_with_json({"id": "77"})


def _sound(desk):
    assert verify.verify(desk.hub) == {"ok": True, "faults": []}


# -- unknown SKUs -----------------------------------------------------------------------------------------------


def test_an_unknown_sku_is_mapped_to_an_item_and_the_order_goes_on(desk, books):
    events.trigger(desk.hub, "items", [{"sku": "MUG-01", "title": "Mug", "quantity": 3}])
    desk.order(sku="SHOP-MUG")
    [question] = _asked(desk)
    assert question["kind"] == "sku.unknown"

    answered = questions.answer(desk.hub, int(question["id"]), "map", {"sku": "MUG-01"}, by="Ada")
    desk.work()

    assert answered["closed"]
    assert _asked(desk) == []
    [done] = questions.listed(desk.hub, state="answered")["items"]
    assert (done["answered_by"], done["answer"]) == ("Ada", '{"answer": "map", "sku": "MUG-01"}')
    assert _levels(desk, "MUG-01")[0]["held"] == 1
    desk.order(1002, sku="SHOP-MUG")
    assert _asked(desk) == []
    _sound(desk)


def test_an_unknown_sku_is_made_an_item(desk, books):
    desk.order(sku="NEW-01")
    [question] = _asked(desk)

    questions.answer(desk.hub, int(question["id"]), "create")
    desk.work()

    [short] = _asked(desk)
    assert short["kind"] == "stock.short"
    assert _levels(desk, "NEW-01")[0]["waiting"] == 1
    _sound(desk)


def test_an_unknown_sku_is_not_kept_in_stock(desk, books):
    desk.order(sku="SERVICE")
    [question] = _asked(desk)

    questions.answer(desk.hub, int(question["id"]), "ignore")
    desk.work()

    assert _asked(desk) == []
    assert bookkeeping.stock(desk.hub)["items"] == []
    _sound(desk)


def test_goods_that_come_in_close_the_question_that_waits_for_them(desk, books):
    events.trigger(desk.hub, "items", [{"sku": "MUG-01", "title": "Mug"}])
    desk.order()
    [question] = _asked(desk)
    assert question["kind"] == "stock.short"

    assert not questions.answer(desk.hub, int(question["id"]), "wait")["closed"]
    assert len(_asked(desk)) == 1
    events.trigger(desk.hub, "receipts", [{"sku": "MUG-01", "ref": "R1", "quantity": 1}])
    desk.work()

    assert _asked(desk) == []
    _sound(desk)


# -- what may be answered ---------------------------------------------------------------------------------------


def test_an_answer_that_is_none_of_the_questions_changes_nothing(desk, books):
    desk.order(sku="NEW-01")
    [question] = _asked(desk)
    number = int(question["id"])

    with pytest.raises(AdminError, match="there are map, create, ignore"):
        questions.answer(desk.hub, number, "drop")
    with pytest.raises(AdminError, match="needs sku"):
        questions.answer(desk.hub, number, "map")
    with pytest.raises(AdminError, match="no item 'GONE'"):
        questions.answer(desk.hub, number, "map", {"sku": "GONE"})
    with pytest.raises(NotThere):
        questions.answer(desk.hub, 1, "map", {"sku": "GONE"})
    assert [each["id"] for each in _asked(desk)] == [question["id"]]


def test_a_question_is_answered_once(desk, books):
    desk.order(sku="NEW-01")
    [question] = _asked(desk)
    questions.answer(desk.hub, int(question["id"]), "create")

    with pytest.raises(AdminError, match="answered already"):
        questions.answer(desk.hub, int(question["id"]), "create")


# -- events and runs --------------------------------------------------------------------------------------------


def test_a_parked_event_is_worked_again_when_its_cause_is_gone(desk, books):
    good = (desk.home / "mappings/http/order.yaml").read_text()
    desk.write("mappings/http/order.yaml", good.replace("external_id: text(id)", "external_id: text(id) + 1"))
    desk.order()
    [question] = _asked(desk)
    assert question["kind"] == "mapping.error"

    desk.write("mappings/http/order.yaml", good)
    questions.answer(desk.hub, int(question["id"]), "replay")
    events.trigger(desk.hub, "items", [{"sku": "MUG-01", "title": "Mug", "quantity": 3}])
    desk.work()

    assert {event["state"] for event in reports.inbox(desk.hub)["items"]} == {"done"}
    assert len(bookkeeping.documents(desk.hub)["items"]) == 1
    _sound(desk)


def test_a_parked_event_is_let_be(desk):
    desk.receive({"no": "id"})
    [question] = _asked(desk)

    questions.answer(desk.hub, int(question["id"]), "drop")
    desk.work()

    [event] = reports.inbox(desk.hub)["items"]
    assert (event["state"], event["outcome"]) == ("done", "dropped by a person")
    assert _asked(desk) == []


def test_a_parked_run_of_a_core_event_runs_again_alone(desk, books, httpserver):
    events.trigger(desk.hub, "items", [{"sku": "MUG-01", "title": "Mug", "quantity": 3}])
    good = (desk.home / "flows/invoices-to-books.yaml").read_text()
    check = "steps:\n  - validate: {that: \"invoice.party.name == 'Grace'\", else: it is Ada}\n"
    desk.write("flows/invoices-to-books.yaml", good.replace("steps:\n", check))
    desk.order()
    [question] = _asked(desk)
    assert question["subject"].endswith(":invoices-to-books")

    still = questions.answer(desk.hub, int(question["id"]), "replay")
    assert not still["closed"]
    assert len(_asked(desk)) == 1
    desk.write("flows/invoices-to-books.yaml", good)
    assert questions.answer(desk.hub, int(question["id"]), "replay")["closed"]
    desk.work()

    assert _asked(desk) == []
    assert len(bookkeeping.documents(desk.hub)["items"]) == 1
    [(request, _)] = httpserver.log
    assert request.json == {"number": "F2026-000001", "total": 12.00}
    assert [each["state"] for each in reports.outbox(desk.hub)["items"]] == ["confirmed"]
    _sound(desk)


MINI = """
connector: mini
title: Mini
records: {order: {read: "orders:read"}}
settings: {webhook_secret: {type: secret}}
webhooks:
  signature: {header: x-signature}
  topic: {value: event}
  topics: {event: {record: order, id: id}}
"""
READ = """
def read(link, record_id):
    return {"id": int(record_id), "sku": "MUG-01", "variant": "v1", "changed_at": "2026-11-24T10:00:00+01:00"}
"""


def test_an_order_that_was_corrected_in_the_shop_is_read_again(desk, books):
    """The lines add up to 12.00; the first snapshot says 13.00, the shop says 12.00 when it is asked again."""
    folder = desk.home / "connectors" / "mini"
    folder.mkdir(parents=True)
    (folder / "connector.yaml").write_text(MINI)
    (folder / "orders.py").write_text(READ)
    order = (desk.home / "mappings/http/order.yaml").read_text()
    total = "money(default(total, '12.00'), 'EUR')"
    order = order.replace("http", "mini").replace("total: money('12.00', 'EUR')", f"total: {total}")
    (desk.home / "mappings/mini").mkdir()
    (desk.home / "mappings/mini/order.yaml").write_text(order)
    (desk.home / "flows/shop-orders.yaml").write_text(
        (desk.home / "flows/shop-orders.yaml").read_text().replace("connector: http", "connector: mini")
    )
    desk.hub.registry = desk.hub.links.registry = Registry.discover(desk.home)
    text = (
        "connections: {mini: {connector: mini, mode: live, go_live_at: 2026-01-01}}\nroles: {shop: mini, books: books}"
    )
    assert "flows/shop-orders" not in str(connections.apply(desk.hub, text)["flow_problems"])
    desk.ids["shop"] = connections.link(desk.hub, "mini").id
    events.trigger(desk.hub, "items", [{"sku": "MUG-01", "title": "Mug", "quantity": 3}])
    desk.order(total="13.00")
    [question] = _asked(desk)
    assert (question["kind"], [each["answer"] for each in question["answers"]]) == ("order.sums", ["retry"])

    questions.answer(desk.hub, int(question["id"]), "retry")
    desk.work()

    assert _asked(desk) == []
    assert [document["total"] for document in bookkeeping.documents(desk.hub)["items"]] == ["12.00 EUR"]
    _sound(desk)


# -- deliveries -------------------------------------------------------------------------------------------------


@pytest.fixture
def parked(desk, httpserver):
    """One invoice whose delivery ended as the books' answer makes it: gives the question."""

    def make(status):
        httpserver.expect_ordered_request("/invoices").respond_with_response(Response("{}", status))
        events.trigger(desk.hub, "items", [{"sku": "MUG-01", "title": "Mug", "quantity": 3}])
        desk.order()
        [question] = _asked(desk)
        return question

    return make


def _delivery(desk):
    [delivery] = reports.outbox(desk.hub)["items"]
    return delivery


def test_an_uncertain_delivery_is_found_there(desk, parked):
    question = parked(502)
    assert question["kind"] == "delivery.uncertain"

    questions.answer(desk.hub, int(question["id"]), "confirmed", {"external_id": "88"})
    desk.work()

    delivery = _delivery(desk)
    assert (delivery["state"], delivery["external_id"]) == ("confirmed", "88")
    assert _asked(desk) == []
    _sound(desk)


@pytest.mark.parametrize(("status", "kind"), [(502, "delivery.uncertain"), (400, "delivery.rejected")])
def test_a_parked_delivery_is_sent_again_when_a_person_says_so(desk, parked, httpserver, status, kind):
    question = parked(status)
    assert question["kind"] == kind
    httpserver.expect_ordered_request("/invoices").respond_with_json({"id": "99"})

    questions.answer(desk.hub, int(question["id"]), "resend")
    desk.work()

    assert (_delivery(desk)["state"], _delivery(desk)["external_id"]) == ("confirmed", "99")
    assert len(httpserver.log) == 2
    _sound(desk)


def test_a_parked_delivery_is_dropped(desk, parked, httpserver):
    question = parked(400)

    questions.answer(desk.hub, int(question["id"]), "drop")
    desk.work()

    assert _delivery(desk)["state"] == "superseded"
    assert len(httpserver.log) == 1
    _sound(desk)


def test_a_delivery_that_moved_on_is_not_touched(desk, parked):
    question = parked(502)
    with desk.hub.database.write() as connection:
        connection.execute(DELIVERY.update().values(state="confirmed"))

    with pytest.raises(AdminError, match="moved on"):
        questions.answer(desk.hub, int(question["id"]), "resend")
    assert len(_asked(desk)) == 1


# -- stock ------------------------------------------------------------------------------------------------------


@pytest.fixture
def drift(desk):
    """The shop shows 7 where 10 were expected; we have 8, and 2 more were sold since. Gives the question's number."""
    events.trigger(desk.hub, "items", [{"sku": "MUG-01", "title": "Mug", "quantity": 8}])
    desk.work()
    hub, shop = desk.hub, desk.ids["shop"]
    hub.database.ids.ensure(10)
    question, delivery, level = (hub.database.ids.next() for _ in range(3))
    with hub.database.write() as connection:
        item = connection.execute(sa.text("SELECT id FROM item")).scalar_one()
        values = {"item": item, "shop": shop, "question": question, "delivery": delivery, "level": level}
        for statement in (
            "INSERT INTO channel_level (id, merchant_id, connection_id, item_id, expected, acknowledged, adopted_at) "
            "VALUES (:level, 1, :shop, :item, 8, 10, 1)",
            "INSERT INTO delivery (id, merchant_id, connection_id, operation, key, version, ladder, is_state, is_ensure, "
            "ordering_key, state, attempts, maybe_sent, stale, next_attempt_at, lease_until, created_at) VALUES "
            "(:delivery, 1, :shop, 'stock.set', 'item:' || :item, 0, 'compare_and_set', true, false, 'item:' || :item, "
            "'waiting', 3, false, 0, 0, 0, 1)",
            "INSERT INTO question (id, merchant_id, kind, error_class, subject, reason, details, answers, state, delivery_id, "
            "created_at) "
            "VALUES (:question, 1, 'stock.drift', 'drift', 'item:' || :item, 'drift', :details, :answers, 'open', :delivery, 1)",
        ):
            found = f'{{"expected": 10, "found": 7, "wanted": 8, "connection_id": {shop}, "item_id": {item}}}'
            answers = '[{"answer": "adopt"}, {"answer": "push"}]'
            statement = statement.replace("'item:' || :item", f"'item:{item}'")
            known = {**values, "details": found, "answers": answers}
            connection.execute(
                sa.text(statement), {name: value for name, value in known.items() if f":{name}" in statement}
            )
    return question


def _expected(desk):
    with desk.hub.database.read() as connection:
        expected = connection.execute(sa.text("SELECT expected FROM channel_level")).scalar_one()
        state = connection.execute(sa.text("SELECT state FROM delivery")).scalar_one()
    return expected, state


def test_a_shop_that_is_right_is_adopted_as_an_inventory_move(desk, drift):
    questions.answer(desk.hub, drift, "adopt")

    assert _levels(desk, "MUG-01")[0]["on_hand"] == 5
    assert _expected(desk) == (5, "planned")
    _sound(desk)


def test_our_number_is_pushed_from_what_the_shop_shows(desk, drift):
    questions.answer(desk.hub, drift, "push")

    assert _levels(desk, "MUG-01")[0]["on_hand"] == 8
    assert _expected(desk) == (5, "planned")
    _sound(desk)


def test_a_drift_that_orders_hold_cannot_be_adopted(desk, drift, httpserver):
    httpserver.expect_request("/invoices").respond_with_json({"id": "77"})
    for number in range(2001, 2008):
        desk.order(number)

    with pytest.raises(AdminError, match="release orders first"):
        questions.answer(desk.hub, drift, "adopt")
    assert _levels(desk, "MUG-01")[0]["on_hand"] == 8
    assert int(_asked(desk)[-1]["id"]) == drift
