"""Pieces of the sandbox's webhook bodies: amounts, taxes, lines, addresses, in the vendor's REST shapes."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from .sandbox_model import Allocation, Line, Order, RefundLine, RefundShipping, Shipping
from .sandbox_money import convert, fixed_decimal

if TYPE_CHECKING:
    from .sandbox_store import Shop

Body = dict[str, Any]


def gid(kind: str, number: int) -> str:
    return f"gid://shopify/{kind}/{number}"


def tax_title(rate: Decimal) -> str:
    return f"TVA {format((rate * 100).normalize(), 'f')}%"


def refund_subtotal(shop: Shop, order: Order, item: RefundLine | RefundShipping) -> int:
    """Whether the subtotal holds the tax of a tax-included shop is not documented by the vendor: it is a setting."""
    if order.taxes_included and not shop.settings["refund_subtotal_includes_tax"]:
        return item.net - item.tax
    return item.net


def adjustment_amount(shop: Shop, amount: int) -> int:
    """Sign of a discrepancy: positive is more money to the buyer, unless the setting says the merchant's favour."""
    return -amount if shop.settings["adjustments_favour_merchant"] else amount


def stamp(shop: Shop, at: datetime | None) -> str | None:
    return None if at is None else at.astimezone(shop.zone).isoformat(timespec="seconds")


def bag(order: Order, amount: int) -> Body:
    other = convert(amount, order.currency, order.rate, order.presentment)
    return {
        "shop_money": {"amount": fixed_decimal(amount, order.currency), "currency_code": order.currency},
        "presentment_money": {"amount": fixed_decimal(other, order.presentment), "currency_code": order.presentment},
    }


def both(order: Order, name: str, amount: int) -> Body:
    return {name: fixed_decimal(amount, order.currency), f"{name}_set": bag(order, amount)}


def tax_bodies(order: Order, taxes: list[tuple[Decimal, int]]) -> list[Body]:
    return [
        {
            "channel_liable": order.channel_liable,
            **both(order, "price", amount),
            "rate": float(rate),
            "title": tax_title(rate),
        }
        for rate, amount in taxes
    ]


def allocation_bodies(order: Order, allocations: list[Allocation]) -> list[Body]:
    return [
        {**both(order, "amount", item.amount), "discount_application_index": item.application} for item in allocations
    ]


def line_body(order: Order, line: Line) -> Body:
    variant = line.variant
    shipped = "fulfilled" if line.fulfilled and not line.unfulfilled else "partial" if line.fulfilled else None
    return {
        "id": line.id,
        "admin_graphql_api_id": gid("LineItem", line.id),
        "attributed_staffs": [],
        "current_quantity": line.current_quantity,
        "fulfillable_quantity": 0 if line.gift_card else line.unfulfilled,
        "fulfillment_service": "gift_card" if line.gift_card else "manual",
        "fulfillment_status": shipped,
        "gift_card": line.gift_card,
        "grams": 0,
        "name": line.title,
        **both(order, "price", line.price),
        "product_exists": variant is not None,
        "product_id": variant and variant.product_id,
        "properties": line.properties,
        "quantity": line.quantity,
        "requires_shipping": not line.gift_card,
        "sales_line_item_group_id": None,
        "sku": line.sku,
        "taxable": not line.gift_card,
        "title": line.title,
        **both(order, "total_discount", line.line_discount),
        "variant_id": variant and variant.id,
        "variant_inventory_management": "shopify" if variant and variant.tracked else None,
        "variant_title": None,
        "vendor": variant and variant.vendor,
        "tax_lines": tax_bodies(order, [(line.vat, line.tax)] if line.vat else []),
        "duties": [],
        "discount_allocations": allocation_bodies(order, line.allocations),
    }


def nested_line_body(order: Order, line: Line, quantity: int) -> Body:
    """A line inside a fulfilment or a refund: shorter, with the quantity of that."""
    left_out = ("attributed_staffs", "current_quantity", "sales_line_item_group_id")
    body = {key: value for key, value in line_body(order, line).items() if key not in left_out}
    return {**body, "quantity": quantity}


def shipping_body(order: Order, ship: Shipping) -> Body:
    return {
        "id": ship.id,
        "carrier_identifier": None,
        "code": ship.code,
        "current_discounted_price_set": bag(order, ship.current),
        **both(order, "discounted_price", ship.discounted),
        "is_removed": ship.removed,
        "phone": None,
        **both(order, "price", ship.price),
        "requested_fulfillment_service_id": None,
        "source": "shopify",
        "title": ship.title,
        "tax_lines": tax_bodies(order, [(ship.vat, ship.tax)] if ship.vat else []),
        "discount_allocations": allocation_bodies(order, ship.allocations),
    }


def address_body(address: Body | None) -> Body | None:
    if address is None:
        return None
    name = " ".join(part for part in (address["first_name"], address["last_name"]) if part)
    return {
        **address,
        "province": None,
        "country": address["country_code"],
        "latitude": None,
        "longitude": None,
        "name": name,
    }


def customer_body(order: Order) -> Body | None:
    if order.customer is None:
        return None
    person = order.customer
    return {
        "id": person["id"],
        "created_at": None,
        "updated_at": None,
        "first_name": person.get("first_name"),
        "last_name": person.get("last_name"),
        "state": "disabled",
        "note": None,
        "verified_email": True,
        "multipass_identifier": None,
        "tax_exempt": bool(person.get("tax_exempt")),
        "email": person.get("email"),
        "phone": person.get("phone"),
        "currency": order.currency,
        "tax_exemptions": [],
        "admin_graphql_api_id": gid("Customer", person["id"]),
    }


def application_body(item: Body) -> Body:
    kind = (
        {"type": "discount_code", "code": item["code"]} if item["code"] else {"type": "manual", "title": item["title"]}
    )
    return {
        "target_type": item["target"].lower(),
        **kind,
        "value": str(item["value"]),
        "value_type": "percentage" if item["percentage"] else "fixed_amount",
        "allocation_method": item["method"].lower(),
        "target_selection": item["selection"].lower(),
    }
