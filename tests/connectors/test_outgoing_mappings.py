"""The shipped mappings out, sent to the sandboxes: documents, payments, orders, mails."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import msgspec
import pytest

from hub.connect.links import Link
from hub.connect.operations import Confirmed, execute
from hub.connect.registry import Registry, shipped
from hub.connect.sandboxes import Running
from hub.mapping import load_mapping
from hub.outbox import bodies
from hub.records.money import Money
from hub.records.order import Shipment
from hub.records.schema import fits
from tests.connectors.kit import Kit

REALM = "9341453000000001"
REGISTRY = Registry.discover()


def mapped(name: str, record: dict[str, Any], **settings: Any) -> Any:
    text = (shipped("mappings") / f"{name}.yaml").read_text("utf-8")
    mapping = load_mapping(text, f"mappings/{name}.yaml", extra_names=("settings", "connection", "event"))
    made = mapping.apply(record, {"settings": settings, "connection": None, "event": None})
    target = REGISTRY.schema(mapping.target)
    assert target is not None
    assert fits(made, target, references=True) == [] or mapping.target == "shipment"
    return made


def deliver(link: Link, operation: str, body: Any, key: str, bound: dict[tuple[str, str], str]) -> Confirmed:
    """As the outbox does it: what is referenced first, then the body with the ids in it, and the binding."""
    for ref in bodies.references(body):
        if (ref.kind, ref.key) not in bound:
            assert ref.ensure is not None, f"nothing made {ref.kind} {ref.key}"
            made = execute(link, ref.ensure, bodies.encode(ref.data), f"{ref.kind}:{ref.key}", first_attempt=True)
            assert isinstance(made, Confirmed), made
            assert link.operation(ref.ensure).binds == ref.kind
            bound[ref.kind, ref.key] = str(made.external_id)
    frozen = bodies.encode(bodies.resolve(body, lambda kind, key: bound[kind, key]))
    done = execute(link, operation, frozen, f"{operation}:{key}", first_attempt=True)
    assert isinstance(done, Confirmed), done
    bound[str(link.operation(operation).binds), key] = str(done.external_id)
    return done


def eur(amount: str) -> Money:
    return Money.parse(amount, "EUR")


def line(
    kind: str, sku: str | None, quantity: int, net: str, tax: str, rate: str | None, **more: Any
) -> dict[str, Any]:
    return {
        "kind": kind,
        "sku": sku,
        "item_id": None,
        "title": f"{kind} {sku or ''}".strip(),
        "quantity": quantity,
        "unit_price": eur("0"),
        "discount": eur("0"),
        "net": eur(net),
        "tax": eur(tax),
        "rate": Decimal(rate) if rate else None,
        "vat_code": f"FR-{Decimal(rate) * 100:f}" if rate else None,
        **more,
    }


LINES = {
    "two rates and a price that does not multiply": [
        line("product", "MUG-01", 3, "10.00", "2.00", "0.2"),
        line("product", "BOOK-01", 2, "18.02", "0.99", "0.055"),
        line("shipping", None, 1, "4.17", "0.83", "0.2"),
    ],
    "the shop rounded its tax another way": [
        line("product", "MUG-01", 1, "9.99", "2.01", "0.2"),
        line("product", "MUG-02", 1, "0.03", "0.00", "0.2"),
    ],
    "a gift card, a tip and a rounding": [
        line("product", "MUG-01", 1, "10.00", "2.00", "0.2"),
        line("gift_card", None, 1, "50.00", "0.00", None),
        line("tip", None, 1, "2.00", "0.00", None),
        line("rounding", None, 0, "-0.01", "0.00", None),
    ],
    "an export": [line("product", "MUG: 'big' \\ one", 2, "20.00", "0.00", None, vat_code="EXPORT")],
}


def document(kind: str, number: str, lines: list[dict[str, Any]], **party: Any) -> dict[str, Any]:
    taxes: dict[tuple[Any, Any], list[Money]] = {}
    for each in lines:
        if each["vat_code"] is not None:
            sums = taxes.setdefault((each["vat_code"], each["rate"]), [eur("0"), eur("0")])
            sums[0] += each["net"]
            sums[1] += each["tax"]
    net, tax = (sum((each[name] for each in lines), eur("0")) for name in ("net", "tax"))
    return {
        "id": 41,
        "kind": kind,
        "number": number,
        "order_id": 7,
        "order_name": "#1001",
        "connection_id": 3,
        "effective_date": "2026-11-24",
        "currency": "EUR",
        "party": {
            **{"id": 12, "external_id": "99", "name": "Zoé: O'Hara", "company": None, "email": "zoe@example.org"},
            **{"vat_number": None, **party},
        },
        "billing_address": None,
        "lines": lines,
        "taxes": [
            {"vat_code": code, "rate": rate, "base": base, "tax": amount}
            for (code, rate), (base, amount) in taxes.items()
        ],
        "total_net": net,
        "total_tax": tax,
        "total": net + tax,
        "mentions": [],
        "corrects_number": None,
    }


@pytest.fixture
def books(kit: Kit) -> Running:
    return kit.sandbox("quickbooks", client_id="app", client_secret="s3cret-of-the-app")


@pytest.fixture
def link(kit: Kit, books: Running) -> Link:
    granted = books.state.oauth.grant()
    settings = {"client_id": "app", "client_secret": "s3cret-of-the-app", "base_url": books.url, "realm_id": REALM}
    return kit.connect("quickbooks", settings | {name: granted[name] for name in ("access_token", "refresh_token")})


@pytest.mark.parametrize("lines", LINES.values(), ids=LINES.keys())
@pytest.mark.parametrize(
    ("mapping", "operation", "stored"),
    [("invoice", "invoice.create", "invoice"), ("credit_note", "credit_memo.create", "creditmemo")],
)
def test_a_document_reaches_the_books_with_its_total_to_the_cent(
    link: Link, books: Running, mapping: str, operation: str, stored: str, lines: list[dict[str, Any]]
) -> None:
    record = document(mapping, "F2026-000001", lines)

    deliver(link, operation, mapped(f"quickbooks/{mapping}", record), record["number"], {})

    (found,) = books.state.dump()[stored]
    assert found["TotalAmt"] == record["total"].decimal()
    assert found["TxnTaxDetail"]["TotalTax"] == record["total_tax"].decimal()
    assert found["DocNumber"] == "F2026-000001"


def test_a_payment_settles_the_invoice_of_a_guest_and_of_a_customer(link: Link, books: Running) -> None:
    bound: dict[tuple[str, str], str] = {}
    for number, party in (("F2026-000001", {}), ("F2026-000002", {"id": 13, "external_id": None})):
        record = document("invoice", number, LINES["an export"], **party)
        deliver(link, "invoice.create", mapped("quickbooks/invoice", record), number, bound)
        paid = {
            "payment": {
                **{"id": record["party"]["id"], "external_id": "tx-1", "gateway": "shopify_payments"},
                **{"amount": record["total"], "effective_date": "2026-11-24"},
            },
            "invoice": {"id": 41, "number": number},
            "allocations": [{"invoice": {"id": 41, "number": number}, "amount": record["total"]}],
            "party": {"id": record["party"]["id"], "external_id": record["party"]["external_id"]},
        }
        deliver(link, "payment.create", mapped("quickbooks/payment", paid), f"payment:{number}", bound)

    state = books.state.dump()
    assert [each["Balance"] for each in state["invoice"]] == [0, 0]
    assert sorted(each["DisplayName"] for each in state["customer"]) == ["Clients web #3", "Zoé  O'Hara #99"]


def test_two_customers_of_one_name_stay_two(link: Link, books: Running) -> None:
    bound: dict[tuple[str, str], str] = {}
    for number, identity in (("F2026-000001", 12), ("F2026-000002", 13)):
        record = document("invoice", number, LINES["an export"], id=identity, external_id=str(identity))
        deliver(link, "invoice.create", mapped("quickbooks/invoice", record), number, bound)

    assert len(books.state.dump()["customer"]) == 2


def test_an_order_goes_to_the_warehouse_and_its_shipment_comes_back(kit: Kit) -> None:
    warehouse = kit.sandbox("shipbob", token="pat", channel_id=1)
    link = kit.connect("shipbob", {"token": "pat", "channel_id": "1", "base_url": warehouse.url})
    ready = {
        **{"order_id": 7, "order_name": "#1001", "ref": "SO7-1001", "shipping_method": "Colissimo"},
        "party": {"id": 12, "name": "Zoé", "email": "zoe@example.org", "phone": None},
        "shipping_address": {"name": "Zoé", "line1": "8 rue", "city": "Paris", "postcode": "75002", "country": "FR"},
        "lines": [{"sku": "MUG-01", "quantity": 2, "title": "Mug"}],
    }
    bound: dict[tuple[str, str], str] = {}
    done = deliver(link, "order.create", mapped("shipbob/order", ready), "7-#1001", bound)
    (sent,) = warehouse.state.warehouse.ship(_ship(warehouse, int(done.external_id or 0)))

    shipment = msgspec.convert(mapped("shipbob/shipment", sent), Shipment)
    described = REGISTRY.schema("shipbob.shipment")

    assert described is not None
    assert fits(sent, described) == []
    assert (shipment.order_ref, shipment.status) == ("SO7-1001", "shipped")
    assert [(each.sku, each.quantity) for each in shipment.lines] == [("MUG-01", 2)]
    assert shipment.tracking_number is not None
    assert bound["warehouse_order", "7-#1001"] == done.external_id


def _ship(warehouse: Running, order_id: int) -> Any:
    module = __import__(type(warehouse.state).__module__, fromlist=["Ship"])
    return module.Ship(order_id=order_id)


def test_a_warehouse_order_is_cancelled_by_the_id_it_was_given(kit: Kit) -> None:
    warehouse = kit.sandbox("shipbob", token="pat", channel_id=1)
    link = kit.connect("shipbob", {"token": "pat", "channel_id": "1", "base_url": warehouse.url})
    order = {
        "reference_id": "7",
        "type": "DTC",
        "shipping_method": "S",
        "products": [{"reference_id": "M", "quantity": 1}],
    }
    address = {"address1": "8 rue", "city": "Paris", "zip_code": "75002", "country": "FR"}
    bound: dict[tuple[str, str], str] = {}
    deliver(link, "order.create", order | {"recipient": {"name": "Zoé", "address": address}}, "7", bound)

    cancelled = {"order_id": 7, "ref": "7", "released": True, "reason": "CUSTOMER"}
    deliver(link, "order.cancel", mapped("shipbob/cancellation", cancelled), "7", bound)

    assert warehouse.state.dump()["orders"][0]["status"] == "Cancelled"


def test_an_invoice_is_mailed(kit: Kit) -> None:
    server = kit.sandbox("smtp")
    place = {"host": server.host, "port": server.port, "security": "none", "sender": "Atelier <shop@example.org>"}
    link = kit.connect("smtp", place)
    record = document("invoice", "F2026-000001", LINES["two rates and a price that does not multiply"])

    deliver(link, "message.send", mapped("smtp/invoice", record, **place), "F2026-000001", {})

    (mail,) = server.state.messages
    assert mail.recipients == ("zoe@example.org",)
    assert "F2026-000001" in mail.subject
    assert "36.01" in mail.text


def test_a_shipment_is_told_to_the_shop() -> None:
    record = {
        "order": {"id": 7, "external_id": "5500", "name": "#1001"},
        "shipment": {"carrier": "Colissimo", "tracking_number": "6A1", "tracking_url": "https://t.example/6A1"},
        "lines": [{"order_line": "77", "sku": "MUG-01", "quantity": 2}],
    }

    body = mapped("shopify/fulfillment", record)

    assert body["order_id"] == "5500"
    assert body["lines"] == [{"line_id": "77", "quantity": 2}]
    assert (body["carrier"], body["tracking_number"], body["notify"]) == ("Colissimo", "6A1", True)
