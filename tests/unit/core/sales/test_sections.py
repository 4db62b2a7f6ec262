"""What a snapshot may say: sections, stamps, conflicts, and what nothing is booked from."""

from __future__ import annotations

import msgspec
import pytest
from sales_house import NOW, House
from sales_shop import Shop, eur

from hub.records.money import Money
from hub.records.order import Order, Payments


@pytest.fixture
def shop(house: House) -> Shop:
    house.stock(MUG_01=20, BOOK_01=20)
    made = Shop()
    made.add("MUG-01", 2, 1000)
    return made


def test_the_same_snapshot_again_changes_nothing(house: House, shop: Shop) -> None:
    shop.pay()
    assert house.sync(shop.snapshot()).outcome == "new"
    before = house.rows("SELECT count(*), max(id) FROM entry"), house.rows("SELECT * FROM sales_order")
    assert house.sync(shop.snapshot()).outcome == "unchanged"
    assert (house.rows("SELECT count(*), max(id) FROM entry"), house.rows("SELECT * FROM sales_order")) == before
    assert (
        len(house.told("invoice.issued")) == len(house.told("order.ready")) == len(house.told("payment.received")) == 1
    )


def test_an_older_snapshot_changes_nothing(house: House, shop: Shop) -> None:
    early = shop.snapshot()
    shop.pay()
    house.sync(shop.snapshot())
    before = house.balances()
    assert house.sync(early).outcome == "unchanged"
    assert house.balances() == before
    assert house.rows("SELECT financial_status FROM sales_order") == [("PAID",)]


def test_an_equal_stamp_with_other_content_is_read_back_and_not_booked(house: House, shop: Shop) -> None:
    house.sync(shop.snapshot())
    other = shop.snapshot()
    assert other.header is not None
    other = msgspec.structs.replace(
        other, header=msgspec.structs.replace(other.header, financial_status="PAID", outstanding=eur(0))
    )
    result = house.sync(other)
    assert result.needs == {"read_back"}
    assert house.documents() == []
    assert house.sync(other, read_back=True).needs == set()
    assert len(house.documents()) == 1


def test_rates_and_lines_written_differently_are_the_same_content(house: House, shop: Shop) -> None:
    shop.add("BOOK-01", 1, 1000, "0.055")
    house.sync(shop.snapshot())
    snapshot = shop.snapshot()
    assert snapshot.lines is not None
    lines = [
        msgspec.structs.replace(
            line, taxes=[msgspec.structs.replace(tax, rate=tax.rate.quantize(tax.rate / 1000000)) for tax in line.taxes]
        )
        for line in snapshot.lines.items
    ]
    again = msgspec.structs.replace(snapshot, lines=msgspec.structs.replace(snapshot.lines, items=lines))
    assert house.sync(again).needs == set()


def test_an_absent_section_is_not_an_empty_one(house: House, shop: Shop) -> None:
    shop.pay()
    shop.refund({"L1": 1})
    house.sync(shop.snapshot())
    before = house.balances(), house.levels(), house.net()
    shop.tick()
    header = shop.snapshot().header
    assert house.sync(Order(external_id=shop.id, header=header)).needs == set()
    assert (house.balances(), house.levels(), house.net()) == before


def test_an_incomplete_section_is_ignored_but_for_payments_which_are_facts(house: House, shop: Shop) -> None:
    house.sync(shop.snapshot())
    shop.pay()
    snapshot = shop.snapshot()
    assert snapshot.lines is not None
    partial = Order(
        external_id=shop.id,
        lines=msgspec.structs.replace(snapshot.lines, complete=False, items=[]),
        payments=Payments(as_of=shop.now(), complete=False, items=list(shop.payments)),
    )
    stamp = house.rows("SELECT payments_as_of FROM sales_order")
    house.sync(partial)
    house.sync(partial)
    assert house.balances() == {"517100": 2400, "411900": -2400}
    assert house.rows("SELECT count(*) FROM order_line WHERE present") == [(1,)]
    assert house.rows("SELECT payments_as_of FROM sales_order") == stamp


def test_an_unknown_order_without_header_is_read(house: House, shop: Shop) -> None:
    result = house.sync(Order(external_id=shop.id, lines=shop.snapshot().lines))
    assert (result.order_id, result.outcome, result.needs) == (None, "unknown", {"read_back"})


def test_a_header_alone_waits_for_the_lines(house: House, shop: Shop) -> None:
    shop.pay()
    result = house.sync(Order(external_id=shop.id, header=shop.snapshot().header))
    assert result.needs == {"read_back"}
    house.sync(shop.snapshot())
    assert len(house.documents()) == 1


def test_lines_newer_than_the_refunds_that_explain_them_are_read_back(house: House, shop: Shop) -> None:
    shop.pay()
    house.sync(shop.snapshot())
    shop.refund({"L1": 1})
    snapshot = shop.snapshot()
    result = house.sync(msgspec.structs.replace(snapshot, refunds=None))
    assert "read_back" in result.needs
    assert len(house.documents()) == 1  # no credit note of an edit that was a refund
    assert house.sync(snapshot, read_back=True).needs == set()
    assert [kind for kind, _, _ in house.documents()] == ["invoice", "credit_note"]
    assert house.rows("SELECT reason FROM document WHERE kind = 'credit_note'") == [("refund",)]


def test_an_answer_that_does_not_fit_itself_is_asked_about_instead_of_read_for_ever(house: House, shop: Shop) -> None:
    shop.pay()
    shop.refund({"L1": 1})
    snapshot = shop.snapshot()
    assert snapshot.refunds is not None
    line = msgspec.structs.replace(snapshot.refunds.items[0].lines[0], line_id="gone")
    refund = msgspec.structs.replace(snapshot.refunds.items[0], lines=[line])
    odd = msgspec.structs.replace(snapshot, refunds=msgspec.structs.replace(snapshot.refunds, items=[refund]))
    assert house.sync(odd).needs == {"read_back"}
    assert house.sync(odd, read_back=True).needs == set()
    assert "order.unclear" in house.questions()


def test_payments_that_a_read_could_not_give_whole_are_not_asked_for_again(house: House, shop: Shop) -> None:
    shop.pay()
    snapshot = shop.snapshot()
    read = msgspec.structs.replace(snapshot, payments=Payments(as_of=shop.now(), complete=False, items=[]))
    assert house.sync(snapshot.__class__(external_id=shop.id, header=snapshot.header, lines=snapshot.lines)).needs == {
        "payments"
    }
    assert house.sync(read, read_back=True).needs == set()


def test_payments_of_an_order_first_seen_when_all_was_given_back_are_asked_for(house: House, shop: Shop) -> None:
    shop.pay("shopify_payments", fee=31)
    shop.refund({"L1": 2})
    assert house.sync(shop.snapshot(payments=False)).needs == {"payments"}
    assert house.sync(shop.snapshot(), read_back=True).needs == set()
    assert house.rows("SELECT kind, amount FROM payment ORDER BY kind") == [("payment", 2400), ("refund", 2400)]
    assert house.sync(shop.snapshot(payments=False)).needs == set()


def test_a_line_that_the_shop_no_longer_lists_is_gone(house: House, shop: Shop) -> None:
    shop.add("BOOK-01", 1, 1000, "0.055")
    shop.pay()
    house.sync(shop.snapshot())
    shop.tick()
    shop.lines.pop()
    house.sync(shop.snapshot())
    assert house.net() == shop.current_total == 2400
    assert house.levels()["BOOK-01"] == (20, 0, 0)


def test_a_test_order_leaves_nothing(house: House, shop: Shop) -> None:
    shop.test = True
    shop.pay()
    assert house.sync(shop.snapshot()).outcome == "test"
    assert house.rows("SELECT count(*) FROM sales_order") == [(0,)]


@pytest.mark.parametrize("go_live_at", [None, NOW + 86_400_000_000])
def test_an_order_from_before_the_connection_went_live_is_known_and_never_posted(
    house: House, shop: Shop, go_live_at: int | None
) -> None:
    shop.pay()
    for _ in range(2):
        shop.tick()
        assert house.sync(shop.snapshot(), go_live_at=go_live_at).outcome == "before_go_live"
    assert house.rows("SELECT state FROM sales_order") == [("before_go_live",)]
    assert house.entries() == []
    assert house.levels()["MUG-01"] == (20, 0, 0)
    assert house.channel()["MUG-01"] == 20


def test_an_order_in_another_currency_than_the_book_is_a_question(house: House, shop: Shop) -> None:
    snapshot = shop.snapshot()
    assert snapshot.header is not None
    header = msgspec.structs.replace(snapshot.header, currency="USD", total=Money(2400, "USD"))
    assert house.sync(msgspec.structs.replace(snapshot, header=header)).outcome == "question"
    assert house.questions() == {"order.currency"}
    assert house.entries() == []


def test_a_negative_quantity_is_a_question(house: House, shop: Shop) -> None:
    snapshot = shop.snapshot()
    assert snapshot.lines is not None
    line = msgspec.structs.replace(snapshot.lines.items[0], quantity=-1, current_quantity=-1)
    lines = msgspec.structs.replace(snapshot.lines, items=[line])
    assert house.sync(msgspec.structs.replace(snapshot, lines=lines)).outcome == "question"
    assert house.questions() == {"order.quantity"}
    assert house.entries() == []


def test_a_batch_that_is_rolled_back_leaves_no_gap(house: House, shop: Shop) -> None:
    from hub.core.ledger.rules import load_rules
    from hub.core.plan import Plan
    from hub.core.sales.sync import sync

    shop.pay()
    other = Shop(id="O2")
    other.add("BOOK-01", 1, 1000, "0.055")
    other.payments.append(msgspec.structs.replace(other.pay(), external_id="P2"))
    other.payments.pop(0)

    def do(plan: Plan) -> None:
        values = {"connection_id": 7, "go_live_at": 0, "policy": house.policy, "rules": load_rules()}
        mark = plan.mark()
        sync(plan, shop.snapshot(), **values)  # type: ignore[arg-type]
        plan.rollback(mark)
        sync(plan, other.snapshot(), **values)  # type: ignore[arg-type]

    house.work(do)
    assert house.documents() == [("invoice", "F2026-000001", 1055)]
    assert house.rows("SELECT seq FROM entry ORDER BY seq") == [(1,), (2,)]
    house.sync(shop.snapshot())
    assert house.documents()[1] == ("invoice", "F2026-000002", 2400)


def test_what_a_person_accepted_is_not_asked_again_until_it_changes(house: House) -> None:
    house.stock(MUG_01=20)
    odd = Shop()
    odd.add("MUG-01", 1, 1000, tax=190)
    odd.pay()
    for _ in range(3):
        odd.tick()
        house.sync(odd.snapshot())
    assert len(house.told("question.raised")) == 1
    odd.lines[0].tax = 180
    odd.tick()
    house.sync(odd.snapshot())
    assert len([asked for asked in house.told("question.raised") if asked["kind"] == "order.tax"]) == 2


def test_a_question_about_one_fact_is_closed_by_a_person_only(house: House, shop: Shop) -> None:
    shop.pay()
    house.sync(shop.snapshot())
    shop.payments[0] = msgspec.structs.replace(shop.payments[0], amount=eur(2300))
    shop.tick()
    house.sync(shop.snapshot())
    shop.tick()
    house.sync(shop.snapshot(payments=False))
    assert "payment.changed" in house.questions()
