"""Orders of every kind that a shop sends, made by the Shopify sandbox: what each has to come to in the books."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hub.connect.registry import Registry

Body = dict[str, Any]
CLOCK = "2026-11-24T09:00:00+01:00"
PRODUCTS: list[dict[str, Any]] = [
    {"sku": "MUG-01", "title": "Mug émaillé", "price": "12.00", "vat": "0.2", "quantity": 1000},
    {"sku": "BOOK-01", "title": "Livre", "price": "9.50", "vat": "0.055", "quantity": 1000},
    {"sku": "TEA-01", "title": "Thé", "price": "7.35", "vat": "0.055", "quantity": 1000},
    {"sku": "ODD-01", "title": "Bougie", "price": "9.99", "vat": "0.2", "quantity": 1000},
    {"sku": "MEAL-01", "title": "Plat", "price": "8.90", "vat": "0.1", "quantity": 1000},
    {"sku": "PRESS-01", "title": "Journal", "price": "3.20", "vat": "0.021", "quantity": 1000},
    {"sku": "SHORT-01", "title": "Coffret", "price": "49.00", "vat": "0.2", "quantity": 1000},
    {"sku": "GONE-01", "title": "Prototype", "price": "30.00", "vat": "0.2", "quantity": 1000},
    {"sku": "GIFT-50", "title": "Carte cadeau", "price": "50.00", "vat": "0", "quantity": 1000, "gift_card": True},
]
SHIPPING = {"title": "Colissimo", "price": "4.90", "vat": "0.2"}
MUG = {"sku": "MUG-01", "quantity": 2}
TEA = {"sku": "TEA-01", "quantity": 3}
ODD = {"sku": "ODD-01", "quantity": 3}
BERLIN = {"first_name": "Jana", "address1": "Allee 1", "zip": "10115", "city": "Berlin", "country_code": "DE"}
BRUSSELS = {"first_name": "Jan", "company": "Koffie BV", "zip": "1050", "city": "Bruxelles", "country_code": "BE"}
GENEVA = {"first_name": "Luc", "zip": "1201", "city": "Genève", "country_code": "CH"}
REUNION = {"first_name": "Zoé", "zip": "97400", "city": "Saint-Denis", "country_code": "RE"}


@dataclass(frozen=True)
class OrderCase:
    """An order as it is placed, what happens to it, and how it stands in the end.

    `result`: as the simulation's check says; `parked` for an event that no order could be made of. `kinds`: questions
    that have to be open. `seen`: each state is sent as a webhook, not only the last."""

    name: str
    spec: Body
    after: list[tuple[str, Body]] = field(default_factory=list)
    result: str = "equal"
    kinds: tuple[str, ...] = ()
    settings: Body = field(default_factory=dict)
    change: Callable[[Body], Any] | None = None
    seen: bool = False
    #: `result` when the order is read, where that is another
    read: str | None = None
    #: a shop whose figures mean something else cannot be told from one that means the usual: a question then
    ambiguous: bool = False


def case(name: str, lines: list[Body], *after: tuple[str, Body], **more: Any) -> OrderCase:
    own = {
        key: more.pop(key)
        for key in ("result", "kinds", "settings", "change", "seen", "read", "ambiguous")
        if key in more
    }
    return OrderCase(name, {"lines": lines, **more}, list(after), **own)


def _line(**values: Any) -> Callable[[Body], Any]:
    return lambda body: body["line_items"][0].update(values)


def _dearer(body: Body) -> None:
    for name in ("total_price", "current_total_price"):
        body[name] = "999.00"
        body[f"{name}_set"]["shop_money"]["amount"] = "999.00"


def _taxed_wrongly(body: Body) -> None:
    tax = body["line_items"][0]["tax_lines"][0]
    tax["price"] = tax["price_set"]["shop_money"]["amount"] = "1.00"


CASES = [
    case("plain, tax included", [MUG]),
    case("plain, tax excluded", [MUG, TEA], shipping=SHIPPING, taxes_included=False),
    case("four rates", [MUG, TEA, {"sku": "MEAL-01"}, {"sku": "PRESS-01"}], shipping=SHIPPING),
    case("line discount", [{**MUG, "discount": {"type": "percentage", "value": 15, "title": "Lot"}}, TEA]),
    case("order discount, odd cents", [MUG, TEA, ODD], discount={"type": "fixed", "value": "10.01", "code": "DIX"}),
    case("order discount, tax excluded", [ODD, TEA], discount={"type": "percentage", "value": 33, "code": "TIERS"}, taxes_included=False),
    case("shipping discount", [MUG], shipping={**SHIPPING, "discount": {"type": "percentage", "value": 50, "title": "Port"}}),
    case("free shipping", [MUG], shipping={**SHIPPING, "price": "0.00"}),
    case("shipping without goods tax", [TEA], shipping=SHIPPING),
    case("rounding of many", [{"sku": "TEA-01", "quantity": 7}, {"sku": "ODD-01", "quantity": 11}], taxes_included=False),
    case("a partial refund", [MUG, TEA], ("refund", {"lines": [{"sku": "MUG-01", "quantity": 1, "restock": "CANCEL"}]}), shipping=SHIPPING),
    case("sent, and one came back", [MUG, TEA], ("fulfill", {}), ("refund", {"lines": [{"sku": "MUG-01", "quantity": 1, "restock": "RETURN"}]})),
    case("a partial refund, tax excluded", [ODD, TEA], ("refund", {"lines": [{"sku": "ODD-01", "quantity": 1}]}), taxes_included=False),
    case(
        "refunds unit by unit: the last takes the residue",
        [ODD],
        *[("refund", {"lines": [{"sku": "ODD-01", "quantity": 1}]}) for _ in range(3)],
        discount={"type": "fixed", "value": "1.00", "code": "UN"},
    ),
    case("the same, each state seen", [ODD], *[("refund", {"lines": [{"sku": "ODD-01", "quantity": 1}]}) for _ in range(3)], seen=True),
    case("a refund of the shipping", [MUG], ("refund", {"shipping": "full"}), shipping=SHIPPING),
    case("a part of the shipping back", [MUG], ("refund", {"shipping": "2.00"}), shipping=SHIPPING, ambiguous=True),
    case("a refund of a typed amount", [MUG, TEA], ("refund", {"amount": "5.00", "note": "Geste"})),
    case("a refund of less than its lines", [MUG], ("refund", {"lines": [{"sku": "MUG-01", "quantity": 1}], "amount": "10.00"})),
    case("all refunded", [MUG, TEA], ("refund", {"all": True}), shipping=SHIPPING),
    case("edited before it was paid", [MUG, TEA], ("edit", {"remove": [{"sku": "TEA-01", "quantity": 1}]}), ("pay", {}), pay=False),
    case("edited after: a unit less, money due", [MUG], ("edit", {"remove": [{"sku": "MUG-01", "quantity": 1}]})),
    case("the same, each state seen", [MUG], ("edit", {"remove": [{"sku": "MUG-01", "quantity": 1}]}), seen=True),
    case(
        "edited after, and refunded",
        [MUG],
        ("edit", {"remove": [{"sku": "MUG-01", "quantity": 1}]}),
        ("refund", {"amount": "12.00"}),
        seen=True,
    ),
    case(
        "an edit that the shop tells as a refund",
        [MUG],
        ("edit", {"remove": [{"sku": "MUG-01", "quantity": 1}]}),
        ("refund", {"amount": "12.00"}),
        settings={"edit_removals_as_refunds": True},
        seen=True,
    ),
    case("edited after: more, not paid yet", [MUG], ("edit", {"add": [{"sku": "TEA-01", "quantity": 1}]}), result="not due", seen=True),
    case("edited after: more, and paid", [MUG], ("edit", {"add": [{"sku": "TEA-01", "quantity": 1}]}), ("pay", {}), seen=True),
    case("cancelled before it was paid", [MUG], ("cancel", {}), pay=False),
    case("cancelled after it was paid", [MUG, TEA], ("cancel", {"reason": "customer"}), shipping=SHIPPING),
    case("the same, each state seen", [MUG, TEA], ("cancel", {}), shipping=SHIPPING, seen=True),
    case("an exchange", [MUG], ("fulfill", {}), ("refund", {"lines": [{"sku": "MUG-01", "quantity": 1, "restock": "RETURN"}]}), ("edit", {"add": [{"sku": "ODD-01", "quantity": 1}]}), ("pay", {}), seen=True),
    case("a gift card sold", [{"sku": "GIFT-50"}, MUG]),
    case("a gift card redeemed in part", [MUG], pay=[{"gateway": "gift_card", "amount": "10.00"}, {"gateway": "shopify_payments", "amount": "14.00"}]),
    case("a gift card pays all", [MUG], pay=[{"gateway": "gift_card", "amount": "24.00"}]),
    case("a total of zero", [MUG], discount={"type": "percentage", "value": 100, "code": "CADEAU"}),
    case("a tip", [MUG], tip="3.50"),
    case("a guest", [MUG], customer=None, email="someone@example.org"),
    case("a business in Belgium", [{**MUG, "vat": "0"}], customer=None, billing_address=BRUSSELS, note_attributes={"vat_number": "BE0417497106"}, taxes_included=False),
    case("no tax and no VAT number", [{**MUG, "vat": "0"}], billing_address=BRUSSELS, taxes_included=False, result="question", kinds=("tax.unmapped",)),
    case("a consumer in Germany", [{**MUG, "vat": "0.19"}], billing_address=BERLIN, shipping={**SHIPPING, "vat": "0.19"}),
    case("exported to Switzerland", [{**MUG, "vat": "0"}], billing_address=GENEVA),
    case("to Réunion", [{**MUG, "vat": "0"}], billing_address=REUNION),
    case("a rate that is not of here", [{**MUG, "vat": "0.07"}], result="question", kinds=("tax.unmapped",)),
    case("taxes collected by a marketplace abroad", [MUG], channel_liable=True, billing_address=GENEVA),
    case("taxes collected by a marketplace at home", [MUG], channel_liable=True, result="question", kinds=("tax.unmapped",)),
    case("an unknown SKU", [{"sku": "GONE-01"}, MUG], kinds=("sku.unknown",)),
    case("short stock", [{"sku": "SHORT-01", "quantity": 5}], kinds=("stock.short",)),
    case("a bundle as plain lines", [{**MUG, "properties": [{"name": "_bundle", "value": "KIT-1"}]}, {"sku": "TEA-01", "price": "0.00"}]),
    case("authorised only", [MUG], pay="authorize", result="not due"),
    case("not paid", [MUG], pay=False, result="not due"),
    case("paid in part", [MUG], pay=[{"gateway": "manual", "amount": "10.00"}], result="not due"),
    case("a test order", [MUG], test=True, result="not booked"),
    case("another currency", [MUG], settings={"currency": "USD"}, result="question", kinds=("order.currency",)),
    case("paid in another currency", [MUG, TEA], presentment_currency="GBP", presentment_rate="0.8571", shipping=SHIPPING),
    case("and refunded: the refund is to be read", [MUG, TEA], ("refund", {"lines": [{"sku": "MUG-01", "quantity": 1}]}), presentment_currency="GBP", presentment_rate="0.8571", shipping=SHIPPING, result="incomplete", read="equal"),
    case("a refund that is under way", [MUG], ("refund", {"lines": [{"sku": "MUG-01", "quantity": 1}], "pending": True})),
    case("shipped by hand", [MUG], ("fulfill", {"tracking": {"company": "Colissimo", "number": "6A1"}})),
    case("a negative quantity", [MUG], change=_line(quantity=-2, current_quantity=-2), result="question", kinds=("order.quantity",)),
    case("sums that do not add up", [MUG], change=_dearer, result="question", kinds=("order.sums",)),
    case("a tax that is not its rate", [MUG], change=_taxed_wrongly, kinds=("order.tax",)),
    case("no lines at all", [MUG], change=lambda body: body.pop("line_items"), result="parked"),
    case("a price that is no number", [MUG], change=_line(price="douze", price_set=None), result="parked"),
    case("no instant", [MUG], change=lambda body: body.pop("updated_at"), result="parked"),
    case("no id", [MUG], change=lambda body: body.pop("id"), result="parked"),
    case("a currency that is none", [MUG], change=lambda body: body.update(currency="€"), result="parked"),
]  # fmt: skip


@dataclass(frozen=True)
class Made:
    """A case with the order that came of it: the webhook bodies, and the answers of a read."""

    case: OrderCase
    external_id: str
    total: str
    webhooks: list[bytes]
    answers: list[Body]


class Shops:
    """Sandboxes by their settings, with ids of their own; `more` settings hold for all of them."""

    def __init__(self, registry: Registry, **more: Any) -> None:
        self._registry = registry
        self._more = more
        self._shops: dict[str, Any] = {}

    def of(self, settings: Body) -> Any:
        key = json.dumps(settings, sort_keys=True)
        if key not in self._shops:
            module = self._registry.get("shopify").module("sandbox")
            shop = module.Sandbox(products=PRODUCTS, clock=CLOCK, bucket=10_000_000, **{**self._more, **settings})
            for kind in ("Order", "LineItem", "ShippingLine", "Refund", "OrderTransaction", "Customer", "Fulfillment"):
                for _ in range(1000 * len(self._shops)):
                    shop.shop.new_id(kind)
            self._shops[key] = shop
        return self._shops[key]

    def make_all(self) -> list[Made]:
        """All cases, one after the other."""
        return [make(self._registry, self.of(one.settings), number, one) for number, one in enumerate(CASES)]


def make(registry: Registry, sandbox: Any, number: int, one: OrderCase) -> Made:
    """Places the order in the shop and lets happen to it what happens."""
    bodies = registry.get("shopify").module("sandbox_bodies")
    placed = sandbox.place({"number": 2000 + number, "oversell": True, **one.spec})
    order = sandbox.shop.order(placed["id"])

    def webhook() -> bytes:
        body = json.loads(json.dumps(bodies.order(sandbox.shop, order)))
        if one.change is not None:
            one.change(body)
        return json.dumps(body, ensure_ascii=False).encode()

    seen = [webhook()]
    for action, spec in one.after:
        sandbox.clock.move(advance=60)
        sandbox.act(placed["id"], action, spec)
        seen.append(webhook())
    total = sandbox.act(placed["id"], "touch")["current_total"]
    seen.append(webhook())
    return Made(one, placed["id"], total, seen if one.seen else seen[-1:], _read(registry, sandbox, placed["gid"]))


def _read(registry: Registry, sandbox: Any, gid: str) -> list[Body]:
    """The answers to the documents that the connector reads an order with."""
    connector = registry.get("shopify")
    call = connector.module("sandbox_graphql").Call(set(sandbox.settings["scopes"]))

    def ask(name: str, **variables: Any) -> Body:
        query = connector.text(f"documents/{name}.graphql")
        answer: Body = sandbox.graphql.run({"query": query, "operationName": name, "variables": variables}, call)
        assert "errors" not in answer, answer
        return answer

    found = [ask("OrderHeader", id=gid), ask("OrderLines", id=gid), ask("OrderMoney", id=gid)]
    refunds = found[2]["data"]["order"]["refunds"]
    return [*found, *(ask("RefundFull", id=refund["id"]) for refund in refunds)]


def write(folder: Path, made: list[Made]) -> list[Path]:
    """The webhook bodies of all cases as files of `folder`, in order."""
    files: list[Path] = []
    for number, each in enumerate(made):
        for state, body in enumerate(each.webhooks):
            files.append(folder / f"{number:02}-{state}.json")
            files[-1].write_bytes(body)
    return files


def write_catalogue(folder: Path) -> Path:
    """What the hub sells: all but one item, and too few of another."""
    rows = [
        f"{each['sku']},{each['title']},{2 if each['sku'] == 'SHORT-01' else 500}"
        for each in PRODUCTS
        if each["sku"] != "GONE-01"
    ]
    file = folder / "catalogue.csv"
    file.write_text("sku,title,quantity\n" + "\n".join(rows) + "\n", "utf-8")
    return file
