"""Events that people bring in, files that are imported, and events that are worked again."""

from __future__ import annotations

from decimal import Decimal

import openpyxl
import pytest
import sqlalchemy as sa

from hub.workers.admin import bookkeeping, events, reports
from hub.workers.admin.errors import AdminError, NotThere


def test_records_of_a_manual_trigger_are_taken_once_under_a_key(desk):
    records = [{"sku": "A", "title": "A", "quantity": 2}, {"sku": "B", "title": "B"}]

    first = events.trigger(desk.hub, "items", records, key="file-1")
    again = events.trigger(desk.hub, "items", records, key="file-1")
    without = events.trigger(desk.hub, "items", records)
    desk.work()

    assert (first["received"], again["received"], again["repeats"], without["received"]) == (2, 0, 2, 2)
    assert [item["sku"] for item in bookkeeping.stock(desk.hub)["items"]] == ["A", "B"]
    assert bookkeeping.stock(desk.hub, sku="A")["items"][0]["levels"][0]["on_hand"] == 2


def test_a_trigger_that_no_flow_has_is_refused(desk):
    with pytest.raises(NotThere, match="there are items, receipts"):
        events.trigger(desk.hub, "itmes", [{}])
    assert reports.inbox(desk.hub)["items"] == []


def test_a_spreadsheet_is_imported(desk, tmp_path):
    book = openpyxl.Workbook()
    book.active.append(["SKU", "Title", "Quantity", "Price"])
    book.active.append([" MUG-01 ", "Mug", 10, 12.5])
    book.active.append([4006381333931, "Pen", 3.0, None])
    book.save(tmp_path / "items.xlsx")

    result = events.import_file(desk.hub, str(tmp_path / "items.xlsx"))
    desk.work()

    assert result["received"] == 2
    found = {item["sku"]: item["levels"][0]["on_hand"] for item in bookkeeping.stock(desk.hub)["items"]}
    assert found == {"MUG-01": 10, "4006381333931": 3}


def test_nothing_of_a_spreadsheet_with_bad_cells_is_taken(desk, tmp_path):
    book = openpyxl.Workbook()
    book.active.append(["SKU", "Title", "Quantity"])
    book.active.append(["A", "A", 1])
    book.active.append(["B", "#REF!", 1, "stray"])
    book.active["C4"] = "=1/0"
    book.active["C4"].data_type = "e"
    book.active["C4"] = "#DIV/0!"
    book.save(tmp_path / "items.xlsx")

    with pytest.raises(AdminError) as refused:
        events.import_file(desk.hub, str(tmp_path / "items.xlsx"))

    assert refused.value.problems == [
        "row 3, column title: the formula in it fails (#REF!)",
        "row 3, column D: there is a value, and no name above it",
        "row 4, column quantity: the formula in it fails (#DIV/0!)",
    ]
    assert reports.inbox(desk.hub)["items"] == []


def test_numbers_of_records_stay_exact(desk):
    desk.write(
        "flows/prices.yaml",
        "flow: prices\non: {manual: prices}\nsteps:\n  - validate: {that: record.price == 1, else: it is not}\n",
    )

    events.trigger(desk.hub, "prices", [{"price": Decimal("1.0000000000000000001")}])
    desk.work()

    assert [event["state"] for event in reports.inbox(desk.hub)["items"]] == ["parked"]


def test_a_done_event_is_worked_again_without_booking_twice(desk, httpserver):
    httpserver.expect_request("/invoices").respond_with_json({"id": "77"})
    events.trigger(desk.hub, "items", [{"sku": "MUG-01", "title": "Mug", "quantity": 3}])
    desk.order()
    seqs = [event["seq"] for event in reports.inbox(desk.hub)["items"]]
    before = bookkeeping.ledger(desk.hub), bookkeeping.stock(desk.hub)

    assert events.replay(desk.hub, seqs)["replayed"] == sorted(seqs)
    desk.work()

    assert (bookkeeping.ledger(desk.hub), bookkeeping.stock(desk.hub)) == before
    assert {event["state"] for event in reports.inbox(desk.hub)["items"]} == {"done"}
    assert len(httpserver.log) == 1


def test_an_event_whose_body_was_erased_is_not_worked_again(desk):
    events.trigger(desk.hub, "items", [{"sku": "MUG-01", "title": "Mug"}])
    desk.work()
    with desk.hub.database.write() as connection:
        connection.execute(sa.text("UPDATE inbox SET body = NULL"))
    [event] = reports.inbox(desk.hub)["items"]

    with pytest.raises(AdminError, match=rf"came in on {event['received_at'][:10]} .* erased"):
        events.replay(desk.hub, [event["seq"]])
    assert reports.inbox(desk.hub)["items"][0]["state"] == "done"


def test_an_event_that_is_not_there_or_not_done_is_not_worked_again(desk):
    events.trigger(desk.hub, "items", [{"sku": "MUG-01", "title": "Mug"}])
    [event] = reports.inbox(desk.hub)["items"]

    with pytest.raises(NotThere, match="there is no event 999"):
        events.replay(desk.hub, [event["seq"], 999])
    with pytest.raises(AdminError, match="is ready: it is worked anyway"):
        events.replay(desk.hub, [event["seq"]])


def test_lists_come_page_by_page(desk):
    events.trigger(desk.hub, "items", [{"sku": f"S{n}", "title": "x"} for n in range(5)])
    seen, before = [], None
    while True:
        page = reports.inbox(desk.hub, limit=2, before=before)
        seen += [event["seq"] for event in page["items"]]
        before = page["next"]
        if before is None:
            break

    assert len(seen) == 5
    assert seen == sorted(seen, reverse=True)
