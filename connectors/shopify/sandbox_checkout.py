"""Placing an order in the sandbox's shop: lines, discounts spread over them, taxes, shipping, reserved stock."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any

from . import sandbox_bodies as bodies
from .sandbox_model import Allocation, FulfillmentOrder, FulfillmentOrderLine, Line, Order, Refused, Shipping
from .sandbox_money import half_up, minor, spread, tax_of
from .sandbox_payments import pay_some
from .sandbox_store import Event, Shop

BUYER = {"email": "jean.exemple@example.com", "first_name": "Jean", "last_name": "Exemple"}
ADDRESS = {
    "first_name": "Jean",
    "last_name": "Exemple",
    "company": None,
    "address1": "1 rue de la Paix",
    "address2": None,
    "zip": "75002",
    "city": "Paris",
    "province_code": None,
    "country_code": "FR",
    "phone": "+33102030405",
}


def place(shop: Shop, spec: dict[str, Any]) -> Order:
    """Places an order: see `sandbox.py` for the specification that the control API takes."""
    if not spec.get("lines"):
        raise Refused("an order has lines")
    order = _header(shop, spec)
    where = _location_of(shop, spec)
    with shop.action(order) as event:
        order.lines = [make_line(shop, order, {"location": where, **item}) for item in spec["lines"]]
        for line, item in zip(order.lines, spec["lines"], strict=True):
            if item.get("discount"):
                _discount(order, item["discount"], [line], "EXPLICIT")
        if spec.get("discount"):
            _discount(order, spec["discount"], order.lines, "ALL")
        _ship(shop, order, spec.get("shipping"))
        for line in order.lines:
            line.tax = tax_of(line.net, line.vat, order.taxes_included)
        order.tip = minor(spec.get("tip", 0), order.currency)
        order.original_total = order.total
        open_fulfillment(shop, order, order.lines)
        for line in order.lines:
            commit(shop, event, line)
        shop.orders[order.id] = shop.by_name[order.name] = shop.by_name[str(order.number)] = order
        event.send("orders/create", lambda: bodies.order(shop, order), order)
        try:
            pay_some(shop, event, order, spec.get("pay", True), spec.get("gateway", shop.settings["gateway"]))
        except Refused:
            del shop.orders[order.id], shop.by_name[order.name], shop.by_name[str(order.number)]
            for line in order.lines:
                commit(shop, event, line, back=True)
            raise
        topics = ["orders/updated"] if order.financial_status != "PAID" else ["orders/paid", "orders/updated"]
        for topic in topics:
            event.send(topic, lambda: bodies.order(shop, order), order)
    return order


def _header(shop: Shop, spec: dict[str, Any]) -> Order:
    customer = spec.get("customer", BUYER)
    if customer is not None:
        customer = {"id": shop.new_id("Customer"), "tax_exempt": False, **customer}
    number = int(spec.get("number") or shop.new_id("number") - 4_400_000_000_000 + 1000)
    if str(number) in shop.by_name:
        raise Refused(f"there is an order {number} already")
    now = shop.now()
    created = datetime.fromisoformat(spec["created_at"]) if spec.get("created_at") else now
    billing = spec.get("billing_address", ADDRESS)
    company = spec.get("company")
    return Order(
        id=shop.new_id("Order"),
        number=number,
        name=spec.get("name") or f"#{number}",
        currency=shop.currency,
        presentment=spec.get("presentment_currency") or shop.currency,
        rate=Decimal(str(spec.get("presentment_rate", 1))),
        taxes_included=bool(spec.get("taxes_included", shop.settings["taxes_included"])),
        tax_exempt=bool(spec.get("tax_exempt", (customer or {}).get("tax_exempt", False))),
        channel_liable=bool(spec.get("channel_liable", False)),
        created_at=created,
        processed_at=created,
        updated_at=now,
        email=spec.get("email", (customer or {}).get("email")),
        phone=spec.get("phone"),
        note=spec.get("note"),
        po_number=spec.get("po_number"),
        tags=list(spec.get("tags", [])),
        source=spec.get("source_name", "web"),
        test=bool(spec.get("test", False)),
        attributes=_pairs(spec.get("note_attributes") or []),
        customer=customer,
        company=company,
        billing=None if billing is None else {**dict.fromkeys(ADDRESS), **billing},
        ship_to=_ship_to(spec, billing),
    )


def _pairs(value: Any) -> list[dict[str, str]]:
    return [{"name": k, "value": v} for k, v in value.items()] if isinstance(value, dict) else value


def _ship_to(spec: dict[str, Any], billing: dict[str, Any] | None) -> dict[str, Any] | None:
    address = spec.get("shipping_address", billing)
    return None if address is None else {**dict.fromkeys(ADDRESS), **address}


def _location_of(shop: Shop, spec: dict[str, Any]) -> int:
    """The location asked for, else the first one that has all of it, else the first one."""
    if spec.get("location"):
        return shop.location(spec["location"])
    need: dict[str, int] = {}
    for item in spec["lines"]:
        need[item.get("sku", "")] = need.get(item.get("sku", ""), 0) + int(item.get("quantity", 1))
    for place in shop.locations:
        stocked = [(shop.by_sku[sku], count) for sku, count in need.items() if sku in shop.by_sku]
        if all(not v.tracked or v.levels[place].available >= count for v, count in stocked):
            return place
    if spec.get("oversell"):
        return shop.location()
    raise Refused("sold out: no location has all of it (give `oversell: true` to sell it anyway)")


def make_line(shop: Shop, order: Order, item: dict[str, Any], by_edit: bool = False) -> Line:
    """A line of a known SKU, or a custom line (`title`, `price`), without discounts."""
    variant = shop.by_sku.get(item.get("sku", ""))
    if variant is None and "price" not in item:
        raise Refused(f"no product {item.get('sku')!r}: a custom line needs a price")
    quantity = int(item.get("quantity", 1))
    if quantity < 1:
        raise Refused("a quantity is at least 1")
    vat = Decimal(str(item.get("vat", variant.vat if variant else "0.2")))
    gift_card = bool(variant and variant.gift_card)
    line = Line(
        id=shop.new_id("LineItem"),
        variant=variant,
        sku=item.get("sku"),
        title=item.get("title") or (variant.title if variant else item.get("sku") or "Custom"),
        quantity=quantity,
        price=minor(item["price"], order.currency) if variant is None or "price" in item else variant.price,
        vat=Decimal(0) if order.tax_exempt or gift_card else vat,
        gift_card=gift_card,
        location=shop.location(item.get("location")),
        properties=_pairs(item.get("properties", [])),
        added_by_edit=by_edit,
    )
    line.tax = tax_of(line.net, line.vat, order.taxes_included)
    return line


def commit(shop: Shop, event: Event, line: Line, back: bool = False) -> None:
    """Reserves the line's units: available becomes committed."""
    units = -line.quantity if back else line.quantity
    if not line.gift_card:
        shop.move(event, line.variant, line.location, available=-units, committed=units)


def _discount(order: Order, spec: dict[str, Any], lines: list[Line], selection: str) -> None:
    """`{type: percentage | fixed, value, code | title}` over lines, largest remainder; at most what they cost."""
    base = [line.net for line in lines]
    amount = _discount_amount(spec, sum(base), order.currency)
    index = _application(order, spec, "LINE_ITEM", selection)
    for line, part in zip(lines, spread(amount, base), strict=True):
        if part:
            line.allocations.append(Allocation(index, part))
            if selection == "EXPLICIT" and not spec.get("code"):
                line.line_discount += part


def _discount_amount(spec: dict[str, Any], base: int, currency: str) -> int:
    if spec["type"] == "percentage":
        return min(base, half_up(Decimal(base) * Decimal(str(spec["value"])) / 100))
    return min(base, minor(spec["value"], currency))


def _application(order: Order, spec: dict[str, Any], target: str, selection: str) -> int:
    order.applications.append(
        {
            "index": len(order.applications),
            "method": "EACH" if target == "SHIPPING_LINE" else "ACROSS",
            "selection": selection,
            "target": target,
            "percentage": spec["type"] == "percentage",
            "value": Decimal(str(spec["value"])),
            "code": spec.get("code"),
            "title": None if spec.get("code") else spec.get("title", "Remise"),
        }
    )
    return len(order.applications) - 1


def _ship(shop: Shop, order: Order, spec: dict[str, Any] | None) -> None:
    """`{title, price, vat, discount}`; none for an order without shipping."""
    if not spec:
        return
    line = Shipping(
        id=shop.new_id("ShippingLine"),
        title=spec.get("title", "Colissimo"),
        code=spec.get("code", spec.get("title", "Colissimo").upper()),
        price=minor(spec["price"], order.currency),
        vat=Decimal(0) if order.tax_exempt else Decimal(str(spec.get("vat", "0.2"))),
    )
    if spec.get("discount"):
        amount = _discount_amount(spec["discount"], line.price, order.currency)
        line.allocations.append(Allocation(_application(order, spec["discount"], "SHIPPING_LINE", "ALL"), amount))
    line.tax = tax_of(line.discounted, line.vat, order.taxes_included)
    order.shipping.append(line)


def open_fulfillment(shop: Shop, order: Order, lines: list[Line]) -> None:
    """Puts lines that are shipped on the open fulfilment order of their location, or on a new one."""
    for line in lines:
        if line.gift_card:
            continue
        found = next((o for o in order.fulfillment_orders if o.location == line.location and o.status == "OPEN"), None)
        if found is None:
            found = FulfillmentOrder(shop.new_id("FulfillmentOrder"), line.location, "OPEN", [])
            order.fulfillment_orders.append(found)
            shop.owners["FulfillmentOrder", found.id] = order
        found.lines.append(
            FulfillmentOrderLine(shop.new_id("FulfillmentOrderLineItem"), line, line.quantity, line.quantity)
        )
