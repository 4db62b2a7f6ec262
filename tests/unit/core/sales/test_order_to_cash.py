"""The money of an order, case by case: the ones that break integrations."""

from __future__ import annotations

from decimal import Decimal

import msgspec
import pytest
from sales_house import House
from sales_shop import Shop, discount

from hub.core.sales.sync import Policy
from hub.records.money import Money
from hub.records.order import Address, Party

BRUSSELS = Address(name="Café Central", company="Central SRL", postcode="1000", city="Bruxelles", country="BE")


@pytest.fixture(autouse=True)
def _stock(house: House) -> None:
    house.stock(MUG_01=20, BOOK_01=20)


def lines_of(house: House, number: str) -> list[tuple[str, int, int, int]]:
    return [
        (str(kind), int(quantity), int(net), int(tax))
        for kind, quantity, net, tax in house.rows(
            "SELECT l.kind, l.quantity, l.net, l.tax FROM document_line l JOIN document d ON d.id = l.document_id "
            "WHERE d.number = :number ORDER BY l.line",
            number=number,
        )
    ]


# -- prices, discounts, taxes -------------------------------------------------------------------------------------------


def test_prices_without_tax_are_invoiced_to_the_cent_with_the_taxes_of_the_shop(house: House) -> None:
    shop = Shop()
    shop.add("MUG-01", 2, 1000, discount=200)
    shop.add("BOOK-01", 1, 1000, "0.055", discount=100)
    shop.ship_cost(500)
    shop.pay(fee=81)
    house.sync(shop.snapshot())
    assert house.documents() == [("invoice", "F2026-000001", 3710)]
    assert house.balances() == {
        "445711": -460,
        "445713": -50,
        "517100": 3710 - 81,
        "627800": 81,
        "707100": -1800,
        "707155": -900,
        "708510": -500,
    }
    assert house.vat()["445711", "FR-20"] == -460


def test_prices_with_tax_keep_what_was_paid_and_take_the_tax_out_of_it(house: House) -> None:
    shop = Shop(included=True)
    shop.add("BOOK-01", 1, 2848, "0.055", tax=148)  # 27.00 x 5.5 % would be 1.49
    shop.pay()
    house.sync(shop.snapshot())
    assert house.documents() == [("invoice", "F2026-000001", 2848)]
    assert house.balances() == {"445713": -148, "517100": 2848, "707155": -2700}
    assert house.questions() == set()


def test_a_discount_is_netted_in_sales_and_kept_on_the_document(house: House) -> None:
    shop = Shop(included=True)
    shop.add("MUG-01", 3, 999)
    shop.add("BOOK-01", 1, 1000, "0.055")
    discount(shop, 500)
    shop.pay()
    house.sync(shop.snapshot())
    invoice = house.told("invoice.issued")[0]
    assert [line["discount"].amount for line in invoice["lines"]] == [375, 125]
    assert invoice["total"] == Money(3 * 999 + 1000 - 500, "EUR")
    assert not any(code.startswith("709") for code in house.balances())


def test_shipping_is_a_line_with_its_own_tax_and_its_refund_reverses_it(house: House) -> None:
    shop = Shop()
    shop.add("BOOK-01", 1, 1000, "0.055")
    cost = shop.ship_cost(600)
    shop.pay()
    house.sync(shop.snapshot())
    assert house.vat()["445711", "FR-20"] == -120
    shop.refund({cost.id: 1})
    house.sync(shop.snapshot())
    assert lines_of(house, "A2026-000001") == [("shipping", 1, 600, 120)]
    assert "708510" not in house.balances()
    assert "445711" not in house.balances()


def test_a_tip_has_its_own_account_and_does_not_leak_to_the_next_lines(house: House) -> None:
    shop = Shop()
    shop.add("MUG-01", 1, 1000)
    shop.add(None, 1, 300, None, kind="tip")
    shop.add("MUG-01", 1, 1000)
    shop.pay()
    house.sync(shop.snapshot())
    assert house.balances()["758200"] == -300
    assert house.balances()["707100"] == -2000


def test_a_tax_that_differs_by_more_than_a_unit_is_asked_about_and_booked_as_the_shop_has_it(house: House) -> None:
    shop = Shop()
    shop.add("MUG-01", 1, 1000, tax=190)
    shop.pay()
    assert house.sync(shop.snapshot()).outcome == "question"
    assert house.questions() == {"order.tax"}
    assert house.balances()["445711"] == -190


def test_a_rate_that_has_no_account_books_the_payment_and_asks(house: House) -> None:
    shop = Shop()
    shop.add("MUG-01", 1, 1000, "0.19")
    shop.pay()
    house.sync(shop.snapshot())
    assert house.questions() == {"tax.unmapped"}
    assert house.documents() == []
    assert house.balances() == {"517100": 1190, "411900": -1190}
    assert house.levels()["MUG-01"] == (20, 1, 0)
    assert house.told("order.ready") == []


def test_a_tax_that_a_marketplace_remits_is_no_vat_of_ours(house: House) -> None:
    shop = Shop()
    shop.add("MUG-01", 1, 1000, liable=True)
    shop.address = Address(country="US", postcode="10001")
    shop.pay()
    house.sync(shop.snapshot())
    assert house.documents() == [("invoice", "F2026-000001", 1200)]
    assert house.balances() == {"517100": 1200, "707400": -1000, "471000": -200}


def test_presentment_money_is_kept_on_the_invoice_and_never_added(house: House) -> None:
    shop = Shop(presentment=Money(1320, "USD"))
    shop.add("MUG-01", 1, 1000)
    shop.pay()
    house.sync(shop.snapshot())
    assert house.told("invoice.issued")[0]["presentment_total"] == Money(1320, "USD")
    assert house.rows("SELECT DISTINCT currency FROM posting") == [("EUR",)]


# -- roundings ----------------------------------------------------------------------------------------------------------


def test_a_total_that_differs_by_a_unit_a_line_goes_to_the_rounding_account(house: House) -> None:
    shop = Shop()
    shop.add("MUG-01", 3, 333)
    shop.total_override = shop.total + 1
    shop.pay()
    house.sync(shop.snapshot())
    assert house.documents() == [("invoice", "F2026-000001", shop.total)]
    assert house.balances()["758000"] == -1
    assert house.questions() == set()


def test_a_total_that_differs_by_more_books_nothing_and_explains(house: House) -> None:
    shop = Shop()
    shop.add("MUG-01", 1, 1000)
    shop.total_override = 1350
    shop.pay()
    result = house.sync(shop.snapshot())
    assert result.outcome == "question"
    asked = house.told("question.raised")[0]
    assert asked["details"] == {"expected": "13.50 EUR", "found": "12.00 EUR", "difference": "1.50 EUR"}
    assert house.balances() == {}
    shop.total_override = None
    shop.payments.clear()
    shop.tick()
    shop.pay()
    house.sync(shop.snapshot())
    assert house.questions() == set()
    assert house.documents() == [("invoice", "F2026-000001", 1200)]


def test_cash_rounding_is_booked_apart_from_the_invoice(house: House) -> None:
    shop = Shop(rounding=-2)
    shop.add("MUG-01", 1, 1002, tax=200)
    shop.pay()
    house.sync(shop.snapshot())
    house.sync(shop.snapshot())
    assert house.documents() == [("invoice", "F2026-000001", 1202)]
    assert "411900" not in house.balances()
    assert house.balances()["658000"] == 2


def test_woocommerce_64668_refunds_that_round_up_one_by_one_end_at_what_was_paid(house: House) -> None:
    """Three units at 59.75 with tax inside; each refund rounds its tax and price up, and their sum is a cent too much."""
    shop = Shop(included=True)
    shop.add("MUG-01", 3, 5975, tax=2988)
    shop.pay()
    house.sync(shop.snapshot())
    assert house.net() == 17925
    for units in (1, 1, 1):
        shop.refund({"L1": units})
        # the shop rounds each refund by itself: 49.79 + 9.96 = 59.75; 3 x 49.79 = 149.37, 3 x 9.96 = 29.88
        last = shop.refunds[-1]
        line = msgspec.structs.replace(last.lines[0], subtotal=Money(4980, "EUR"), tax=Money(996, "EUR"))
        shop.refunds[-1] = msgspec.structs.replace(last, lines=[line])
        house.sync(shop.snapshot())
    assert house.net() == 0
    assert "refund.exceeds" not in house.questions()
    assert {code: amount for code, amount in house.balances().items() if amount} == {}


def test_prestashop_40271_a_slip_whose_amounts_round_differently_leaves_no_cent(house: House) -> None:
    shop = Shop()
    shop.add("BOOK-01", 3, 333, "0.055")  # 9.99, tax 0.55
    shop.pay()
    house.sync(shop.snapshot())
    shop.refund({"L1": 2})
    shop.refund({"L1": 1})
    house.sync(shop.snapshot())
    assert house.net() == 0
    assert house.balances() == {}
    assert house.questions() <= {"order.edited_after_release"}


# -- refunds ------------------------------------------------------------------------------------------------------------


def test_a_partial_refund_is_one_credit_note_with_the_figures_of_the_shop(house: House) -> None:
    shop = Shop()
    shop.add("MUG-01", 2, 1000, discount=200)
    shop.pay()
    house.sync(shop.snapshot())
    shop.refund({"L1": 1})
    for _ in range(3):
        house.sync(shop.snapshot())
    assert house.documents()[1:] == [("credit_note", "A2026-000001", 1080)]
    note = house.told("credit_note.issued")[0]
    assert note["corrects_number"] == "F2026-000001"
    assert note["corrects_date"] == house.told("invoice.issued")[0]["effective_date"]
    assert house.entries()[-1] == ("refund:7:R1", "VE", [("411900", -1080), ("707100", 900), ("445711", 180)])
    assert house.told("payment.refunded")[0]["invoice"]["number"] == "F2026-000001"


def test_each_refund_has_its_own_credit_note(house: House) -> None:
    shop = Shop()
    shop.add("MUG-01", 3, 1000)
    shop.pay()
    house.sync(shop.snapshot())
    shop.refund({"L1": 1})
    shop.refund({"L1": 1})
    house.sync(shop.snapshot())
    assert [kind for kind, _, _ in house.documents()] == ["invoice", "credit_note", "credit_note"]


def test_a_refund_seen_with_the_first_snapshot_is_invoiced_first_and_credited_then(house: House) -> None:
    shop = Shop()
    shop.add("MUG-01", 2, 1000)
    shop.pay()
    shop.refund({"L1": 1})
    house.sync(shop.snapshot())
    assert house.documents() == [("invoice", "F2026-000001", 2400), ("credit_note", "A2026-000001", 1200)]


def test_a_refund_of_an_amount_only_is_split_over_the_rates_by_what_is_left(house: House) -> None:
    shop = Shop(included=True)
    shop.add("MUG-01", 1, 12000)
    shop.add("BOOK-01", 1, 4000, "0.055", tax=209)
    shop.pay()
    house.sync(shop.snapshot())
    shop.refund({}, total=1000)
    house.sync(shop.snapshot())
    assert lines_of(house, "A2026-000001") == [("adjustment", 0, 625, 125), ("adjustment", 0, 237, 13)]
    assert house.net() == 15000


def test_an_adjustment_of_a_refund_is_a_line_with_its_reason(house: House) -> None:
    shop = Shop()
    shop.add("MUG-01", 2, 1000)
    shop.pay()
    house.sync(shop.snapshot())
    shop.refund({"L1": 1}, adjustments=(("return_fee", -200, -40),))
    house.sync(shop.snapshot())
    assert lines_of(house, "A2026-000001") == [("product", 1, 1000, 200), ("adjustment", 0, -200, -40)]
    assert house.told("credit_note.issued")[0]["lines"][1]["title"] == "return_fee"
    assert house.net() == shop.current_total == 1440


def test_what_was_given_back_as_an_amount_is_taken_off_the_refund_of_the_rest(house: House) -> None:
    shop = Shop(included=True)
    shop.add("MUG-01", 1, 12000)
    shop.add("BOOK-01", 1, 4000, "0.055")
    shop.pay()
    shop.refund({}, total=1000)
    house.sync(shop.snapshot())
    shop.refund({"L1": 1, "L2": 1}, adjustments=(("already given back", -1000, 0),))
    house.sync(shop.snapshot())
    assert house.net() == shop.current_total == 0
    assert house.balances() == {}


def test_more_than_is_invoiced_is_a_question_and_no_credit_note(house: House) -> None:
    shop = Shop()
    shop.add("MUG-01", 1, 1000)
    shop.pay()
    house.sync(shop.snapshot())
    shop.refund({}, total=1500)
    house.sync(shop.snapshot())
    assert "refund.exceeds" in house.questions()
    assert [kind for kind, _, _ in house.documents()] == ["invoice"]


def test_a_refund_that_changes_after_its_credit_note_is_a_question(house: House) -> None:
    shop = Shop()
    shop.add("MUG-01", 2, 1000)
    shop.pay()
    shop.refund({"L1": 1})
    house.sync(shop.snapshot())
    line = msgspec.structs.replace(shop.refunds[0].lines[0], subtotal=Money(900, "EUR"))
    shop.refunds[0] = msgspec.structs.replace(shop.refunds[0], lines=[line])
    shop.tick()
    house.sync(shop.snapshot())
    assert "refund.changed" in house.questions()
    assert len(house.documents()) == 2


# -- edits, cancellations -----------------------------------------------------------------------------------------------


def test_a_line_added_after_the_invoice_is_invoiced_when_it_is_paid(house: House) -> None:
    shop = Shop()
    shop.add("MUG-01", 1, 1000)
    shop.pay()
    house.sync(shop.snapshot())
    shop.tick()
    shop.add("BOOK-01", 1, 1000, "0.055")
    house.sync(shop.snapshot())
    assert len(house.documents()) == 1
    shop.pay()
    house.sync(shop.snapshot())
    assert house.documents()[1] == ("invoice", "F2026-000002", 1055)
    assert "invoice:" in house.entries()[-1][0]
    assert house.entries()[-1][0].endswith(":2")


def test_a_second_payment_pays_the_second_invoice_whichever_process_issued_it(house: House) -> None:
    """Each process takes ids from blocks of its own: a later document may have a lower id."""
    ids = house.database.ids
    ids.ensure(60_000)
    blocks = ids.blocks()
    ids.restore(((blocks[-1][1] - 20_000, blocks[-1][1]),))
    shop = Shop()
    shop.add("MUG-01", 1, 1000)
    shop.pay()
    house.sync(shop.snapshot())
    ids.restore(((blocks[0][0], blocks[0][0] + 20_000),))
    shop.tick()
    shop.add("BOOK-01", 1, 1000, "0.055")
    shop.pay()
    house.sync(shop.snapshot(payments=False))
    house.sync(shop.snapshot())
    assert [[(part["invoice"]["number"], part["amount"].amount) for part in told["allocations"]] for told in house.told("payment.received")] == [
        [("F2026-000001", 1200)],
        [("F2026-000002", 1055)],
    ]  # fmt: skip


def test_money_that_is_paid_again_after_some_was_given_back_is_told_though_no_invoice_is_left_for_it(
    house: House,
) -> None:
    shop = Shop()
    shop.add("MUG-01", 1, 1000)
    shop.pay()
    shop.give_money_back(200)
    shop.tick()
    shop.pay()
    assert (shop.outstanding, shop.paid) == (0, 1200)
    house.sync(shop.snapshot())
    assert house.documents() == [("invoice", "F2026-000001", 1200)]
    assert [
        (told["payment"]["amount"].amount, [part["amount"].amount for part in told["allocations"]])
        for told in house.told("payment.received")
    ] == [(1200, [1200]), (200, [])]
    shop.pay(amount=0)
    house.sync(shop.snapshot())
    assert len(house.told("payment.received")) == 2, "nothing is told of nothing"


def test_a_payment_waits_for_the_invoice_of_a_line_whose_tax_is_unknown(house: House) -> None:
    shop = Shop()
    shop.add("MUG-01", 1, 1000)
    shop.pay()
    house.sync(shop.snapshot())
    shop.tick()
    shop.add("BOOK-01", 1, 1000, "0.133")
    shop.pay()
    house.sync(shop.snapshot())
    assert len(house.documents()) == 1
    assert len(house.told("payment.received")) == 1


def test_units_taken_off_after_the_invoice_are_credited_and_the_discount_with_them(house: House) -> None:
    shop = Shop()
    shop.add("MUG-01", 4, 1200, discount=960)  # 38.40 for four: an edit must not keep the old discount
    shop.pay()
    house.sync(shop.snapshot())
    shop.remove("L1", 1)
    house.sync(shop.snapshot())
    assert house.documents()[1] == ("credit_note", "A2026-000001", 1152)
    assert house.net() == shop.current_total
    assert house.told("credit_note.issued")[0]["lines"][0]["discount"] == Money(240, "EUR")


def test_units_taken_off_before_the_invoice_are_never_invoiced(house: House) -> None:
    shop = Shop()
    shop.add("MUG-01", 3, 1000)
    house.sync(shop.snapshot())
    shop.remove("L1", 1)
    shop.pay()
    house.sync(shop.snapshot())
    assert house.documents() == [("invoice", "F2026-000001", 2400)]
    assert lines_of(house, "F2026-000001") == [("product", 2, 2000, 400)]


def test_an_edit_that_ends_a_line_after_refunds_leaves_no_cent_whatever_was_seen(house: House) -> None:
    """Two refunds of one unit round to 3.33 + 3.33, two of three units to 6.65: the edit of the third takes the cent."""
    shops = [Shop(id=name) for name in ("seen", "missed")]
    for number, shop in enumerate(shops):
        shop.add("MUG-01", 3, 333, discount=1, tax=200)
        shop.payments.append(msgspec.structs.replace(shop.pay(), external_id=f"P{number}"))
        shop.payments.pop(0)
        for _ in range(2):
            refund = shop.refund({"L1": 1}, restock="cancel", money=False)
            shop.refunds[-1] = msgspec.structs.replace(refund, external_id=f"{refund.external_id}-{number}")
        if shop.id == "seen":
            house.sync(shop.snapshot())
        shop.remove("L1", 1)
        house.sync(shop.snapshot())
    net = "SELECT o.external_id, sum(CASE d.kind WHEN 'invoice' THEN l.net ELSE -l.net END) FROM document_line l JOIN document d "
    net += (
        "ON d.id = l.document_id JOIN sales_order o ON o.id = l.order_id WHERE l.kind = 'product' GROUP BY 1 ORDER BY 1"
    )
    assert house.rows(net) == [("missed", 0), ("seen", 0)]


def test_an_exchange_is_a_credit_note_and_a_new_invoice_never_netted(house: House) -> None:
    shop = Shop()
    shop.add("MUG-01", 1, 1000)
    shop.pay()
    house.sync(shop.snapshot())
    shop.remove("L1", 1)
    shop.add("BOOK-01", 1, 1200, "0.055")
    if shop.outstanding > 0:
        shop.pay()
    house.sync(shop.snapshot())
    assert [kind for kind, _, _ in house.documents()] == ["invoice", "invoice", "credit_note"]
    assert house.net() == shop.current_total


def test_cancelled_before_payment_has_no_invoice_and_frees_the_goods(house: House) -> None:
    shop = Shop()
    shop.add("MUG-01", 2, 1000)
    house.sync(shop.snapshot())
    assert house.levels()["MUG-01"] == (20, 2, 0)
    shop.cancel()
    house.sync(shop.snapshot())
    house.sync(shop.snapshot())
    assert house.documents() == []
    assert house.levels()["MUG-01"] == (20, 0, 0)
    assert len(house.told("order.cancelled")) == 1
    assert house.rows("SELECT state FROM sales_order") == [("cancelled",)]


def test_cancelled_after_the_invoice_without_refund_lines_is_credited(house: House) -> None:
    shop = Shop()
    shop.add("MUG-01", 2, 1000)
    shop.ship_cost(500)
    shop.pay()
    house.sync(shop.snapshot())
    shop.cancel()
    house.sync(shop.snapshot())
    assert house.documents()[1:] == [("credit_note", "A2026-000001", 3000)]
    assert house.net() == 0
    assert house.rows("SELECT reason FROM document WHERE kind = 'credit_note'") == [("cancel",)]


def test_an_order_invoiced_when_placed_and_cancelled_unpaid_is_credited(house: House) -> None:
    house.policy = Policy(invoice="on_order", reserve_at="main")
    shop = Shop()
    shop.add("MUG-01", 1, 1000)
    house.sync(shop.snapshot())
    assert house.net() == 1200
    shop.cancel()
    house.sync(shop.snapshot())
    assert house.net() == 0
    assert house.balances() == {}


# -- payments, gift cards, zero -----------------------------------------------------------------------------------------


def test_an_unpaid_or_partly_paid_order_waits(house: House) -> None:
    shop = Shop()
    shop.add("MUG-01", 1, 1000)
    house.sync(shop.snapshot())
    shop.pay(amount=500)
    house.sync(shop.snapshot())
    assert house.documents() == []
    assert house.balances() == {"517100": 500, "411900": -500}
    shop.pay()
    house.sync(shop.snapshot())
    assert house.documents() == [("invoice", "F2026-000001", 1200)]
    assert [told["payment"]["external_id"] for told in house.told("payment.received")] == ["T1", "T2"]


def test_a_gift_card_sold_is_a_liability_without_tax(house: House) -> None:
    shop = Shop()
    shop.add(None, 1, 5000, None, kind="gift_card")
    shop.pay()
    house.sync(shop.snapshot())
    assert house.balances() == {"517100": 5000, "419710": -5000}
    assert house.told("invoice.issued")[0]["taxes"] == []


def test_a_gift_card_redeemed_is_a_tender_not_a_discount(house: House) -> None:
    card = Shop(id="gid://shop/Order/0")
    card.add(None, 1, 5000, None, kind="gift_card")
    card.pay()
    house.sync(card.snapshot())
    shop = Shop()
    shop.add("MUG-01", 5, 1000)
    shop.payments.append(msgspec.structs.replace(shop.pay("gift_card", 5000), external_id="G1"))
    shop.payments.pop(0)
    shop.payments.append(msgspec.structs.replace(shop.pay(amount=1000), external_id="G2"))
    shop.payments.pop(1)
    house.sync(shop.snapshot())
    assert house.balances() == {"517100": 5000 + 1000, "707100": -5000, "445711": -1000}


def test_an_order_of_zero_is_invoiced_at_once(house: House) -> None:
    shop = Shop()
    shop.add("MUG-01", 1, 1000, discount=1000)
    house.sync(shop.snapshot())
    house.sync(shop.snapshot())
    assert house.documents() == [("invoice", "F2026-000001", 0)]
    assert house.entries() == []
    assert len(house.told("order.ready")) == 1
    assert house.questions() == set()


def test_an_order_of_zero_with_nothing_to_send_is_closed(house: House) -> None:
    shop = Shop()
    shop.add("EBOOK", 1, 0, "0.055", ships=False)
    house.sync(shop.snapshot())
    assert house.rows("SELECT state FROM sales_order") == [("closed",)]


def test_a_payment_is_dated_when_it_happened_in_the_zone_of_the_book(house: House) -> None:
    shop = Shop()
    shop.add("MUG-01", 1, 1000)
    shop.payments.append(msgspec.structs.replace(shop.pay(), paid_at="2026-11-23T23:30:00Z"))
    shop.payments.pop(0)
    house.sync(shop.snapshot())
    assert house.rows("SELECT effective_date FROM payment") == [("2026-11-24",)]


def test_a_paid_header_without_payments_asks_for_them_and_the_money_waits(house: House) -> None:
    shop = Shop()
    shop.add("MUG-01", 1, 1000)
    shop.pay()
    result = house.sync(shop.snapshot(payments=False))
    assert result.needs == {"payments"}
    assert house.documents() == [("invoice", "F2026-000001", 1200)]
    assert house.told("payment.received") == []
    assert house.sync(shop.snapshot()).needs == set()
    assert "411900" not in house.balances()
    assert len(house.told("payment.received")) == 1


def test_a_fee_that_becomes_known_later_is_booked_then(house: House) -> None:
    shop = Shop()
    shop.add("MUG-01", 1, 1000)
    shop.pay()
    house.sync(shop.snapshot())
    shop.payments[0] = msgspec.structs.replace(shop.payments[0], fee=Money(47, "EUR"))
    shop.tick()
    house.sync(shop.snapshot())
    assert house.balances()["627800"] == 47


def test_a_payment_whose_amount_changes_is_a_question(house: House) -> None:
    shop = Shop()
    shop.add("MUG-01", 1, 1000)
    shop.pay()
    house.sync(shop.snapshot())
    shop.payments[0] = msgspec.structs.replace(shop.payments[0], amount=Money(1100, "EUR"))
    shop.tick()
    house.sync(shop.snapshot())
    assert "payment.changed" in house.questions()
    assert house.balances()["517100"] == 1200


# -- customers and regions ----------------------------------------------------------------------------------------------


def test_a_belgian_business_with_a_vat_number_is_exempt(house: House) -> None:
    shop = Shop(party=Party(external_id="C9", company="Central SRL", vat_number="BE0123456749"), address=BRUSSELS)
    shop.add("MUG-01", 5, 10000, None)
    shop.pay()
    house.sync(shop.snapshot())
    assert house.entries()[-1][2] == [("411000", 50000), ("707200", -50000)]
    invoice = house.told("invoice.issued")[0]
    assert invoice["taxes"] == [
        {"vat_code": "EU-B2B", "rate": None, "base": Money(50000, "EUR"), "tax": Money(0, "EUR")}
    ]
    assert invoice["mentions"] == ["Exonération de TVA : article 138 de la directive 2006/112/CE"]
    assert invoice["party"]["vat_number"] == "BE0123456749"


def test_no_tax_in_the_union_without_a_vat_number_has_no_reason(house: House) -> None:
    shop = Shop(address=BRUSSELS)
    shop.add("MUG-01", 1, 1000, None)
    shop.pay()
    house.sync(shop.snapshot())
    assert house.questions() == {"tax.unmapped"}
    assert house.documents() == []


def test_no_tax_at_home_has_no_reason(house: House) -> None:
    shop = Shop()
    shop.add("MUG-01", 1, 1000, None)
    shop.pay()
    house.sync(shop.snapshot())
    assert house.questions() == {"tax.unmapped"}


@pytest.mark.parametrize(
    ("address", "rate", "oss", "account", "vat_code"),
    [
        (Address(country="DE", postcode="10115"), "0.19", True, "707300", "OSS-DE-19"),
        (Address(country="DE", postcode="10115"), "0.2", False, "707100", "FR-20"),
        (Address(country="US", postcode="10001"), None, True, "707400", "EXPORT"),
        (Address(country="RE", postcode="97400"), None, True, "707400", "EXPORT"),
        (Address(country="ES", postcode="35001"), None, True, "707400", "EXPORT"),
        (Address(country="MC", postcode="98000"), "0.2", True, "707100", "FR-20"),
        (None, "0.2", True, "707100", "FR-20"),
    ],
)
def test_a_sale_is_taxed_where_it_goes(
    house: House, address: Address | None, rate: str | None, oss: bool, account: str, vat_code: str
) -> None:
    house.policy = Policy(reserve_at="main", oss=oss)
    shop = Shop(address=address)
    shop.add("MUG-01", 1, 10000, rate)
    shop.pay()
    house.sync(shop.snapshot())
    assert house.vat()[account, vat_code] == -10000
    assert house.questions() == set()


def test_an_order_that_turns_out_to_go_elsewhere_is_credited_and_invoiced_anew(house: House) -> None:
    shop = Shop()
    shop.add("MUG-01", 1, 10000)
    shop.pay()
    house.sync(shop.snapshot())
    shop.address = Address(country="AT", postcode="1010")
    shop.tick()
    house.sync(shop.snapshot())
    assert house.vat() == {("707300", "OSS-AT-20"): -10000, ("445771", "OSS-AT-20"): -2000}
    assert [kind for kind, _, _ in house.documents()] == ["invoice", "invoice", "credit_note"]


def test_guests_are_one_party_without_a_name_and_the_order_keeps_theirs(house: House) -> None:
    for number in range(5):
        shop = Shop(id=f"O{number}", party=Party(name=f"Guest {number}", email="guest@example.org"))
        shop.add("MUG-01", 1, 1000)
        shop.payments.append(msgspec.structs.replace(shop.pay(), external_id=f"P{number}"))
        shop.payments.pop(0)
        house.sync(shop.snapshot())
    assert house.rows("SELECT key, anonymous, content FROM party") == [("guest", 1, None)]
    assert [told["party"]["name"] for told in house.told("invoice.issued")] == [f"Guest {n}" for n in range(5)]


def test_the_invoice_says_what_the_law_asks_as_far_as_it_is_known(house: House) -> None:
    shop = Shop()
    shop.add("MUG-01", 2, 1000, discount=200)
    shop.ship_cost(500)
    shop.pay()
    house.sync(shop.snapshot())
    invoice = house.told("invoice.issued")[0]
    line = invoice["lines"][0]
    assert (line["quantity"], line["unit_price"], line["discount"]) == (2, Money(1000, "EUR"), Money(200, "EUR"))
    assert (line["net"], line["tax"], line["rate"]) == (Money(1800, "EUR"), Money(360, "EUR"), Decimal("0.2"))
    assert invoice["taxes"] == [
        {"vat_code": "FR-20", "rate": Decimal("0.2"), "base": Money(2300, "EUR"), "tax": Money(460, "EUR")}
    ]
    assert invoice["billing_address"]["city"] == "Paris"
    assert invoice["number"] == "F2026-000001"
    assert invoice["effective_date"] == "2026-11-24"
