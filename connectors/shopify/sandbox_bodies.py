"""Webhook bodies of the sandbox's shop: REST shapes, snake_case, amounts with all their places, times with an offset."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from .sandbox_model import (
    Allocation,
    Fulfillment,
    Line,
    Order,
    Refund,
    RefundLine,
    RefundShipping,
    Shipping,
    Transaction,
    Variant,
)
from .sandbox_money import convert, fixed_decimal

if TYPE_CHECKING:
    from .sandbox_store import Shop

Body = dict[str, Any]
PARTIAL = {"UNFULFILLED": None, "PARTIALLY_FULFILLED": "partial", "FULFILLED": "fulfilled"}


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


def _stamp(shop: Shop, at: datetime | None) -> str | None:
    return None if at is None else at.astimezone(shop.zone).isoformat(timespec="seconds")


def _bag(order: Order, amount: int) -> Body:
    other = convert(amount, order.currency, order.rate, order.presentment)
    return {
        "shop_money": {"amount": fixed_decimal(amount, order.currency), "currency_code": order.currency},
        "presentment_money": {"amount": fixed_decimal(other, order.presentment), "currency_code": order.presentment},
    }


def _both(order: Order, name: str, amount: int) -> Body:
    return {name: fixed_decimal(amount, order.currency), f"{name}_set": _bag(order, amount)}


def _tax_lines(order: Order, taxes: list[tuple[Decimal, int]]) -> list[Body]:
    return [
        {
            "channel_liable": order.channel_liable,
            **_both(order, "price", amount),
            "rate": float(rate),
            "title": tax_title(rate),
        }
        for rate, amount in taxes
    ]


def _allocations(order: Order, allocations: list[Allocation]) -> list[Body]:
    return [
        {**_both(order, "amount", item.amount), "discount_application_index": item.application} for item in allocations
    ]


def _line(order: Order, line: Line, quantity: int | None = None) -> Body:
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
        **_both(order, "price", line.price),
        "product_exists": variant is not None,
        "product_id": variant and variant.product_id,
        "properties": line.properties,
        "quantity": line.quantity if quantity is None else quantity,
        "requires_shipping": not line.gift_card,
        "sales_line_item_group_id": None,
        "sku": line.sku,
        "taxable": not line.gift_card,
        "title": line.title,
        **_both(order, "total_discount", line.line_discount),
        "variant_id": variant and variant.id,
        "variant_inventory_management": "shopify" if variant and variant.tracked else None,
        "variant_title": None,
        "vendor": variant and variant.vendor,
        "tax_lines": _tax_lines(order, [(line.vat, line.tax)] if line.vat else []),
        "duties": [],
        "discount_allocations": _allocations(order, line.allocations),
    }


def _shipping_line(order: Order, ship: Shipping) -> Body:
    return {
        "id": ship.id,
        "carrier_identifier": None,
        "code": ship.code,
        "current_discounted_price_set": _bag(order, ship.current),
        **_both(order, "discounted_price", ship.discounted),
        "is_removed": ship.removed,
        "phone": None,
        **_both(order, "price", ship.price),
        "requested_fulfillment_service_id": None,
        "source": "shopify",
        "title": ship.title,
        "tax_lines": _tax_lines(order, [(ship.vat, ship.tax)] if ship.vat else []),
        "discount_allocations": _allocations(order, ship.allocations),
    }


def transaction(shop: Shop, order: Order, item: Transaction) -> Body:
    """An amount of the currency the buyer paid in."""
    paid = convert(item.amount, order.currency, order.rate, order.presentment)
    zero = {"shop_money": {"amount": "0.0", "currency": order.currency}}
    return {
        "id": item.id,
        "order_id": order.id,
        "kind": item.kind.lower(),
        "gateway": item.gateway,
        "status": item.status.lower(),
        "message": None,
        "created_at": _stamp(shop, item.at),
        "test": item.test,
        "authorization": None,
        "location_id": None,
        "user_id": None,
        "parent_id": item.parent,
        "processed_at": _stamp(shop, item.at),
        "device_id": None,
        "error_code": None,
        "source_name": order.source,
        "receipt": {},
        "amount": fixed_decimal(paid, order.presentment),
        "currency": order.presentment,
        "payment_id": item.payment_id,
        "total_unsettled_set": {**zero, "presentment_money": {"amount": "0.0", "currency": order.presentment}},
        "manual_payment_gateway": item.gateway == "manual",
        "amount_rounding": None,
        "admin_graphql_api_id": gid("OrderTransaction", item.id),
    }


def refund(shop: Shop, order: Order, item: Refund) -> Body:
    lines = []
    for part in item.lines:
        subtotal = refund_subtotal(shop, order, part)
        lines.append(
            {
                "id": part.id,
                "quantity": part.quantity,
                "line_item_id": part.line.id,
                "location_id": part.location,
                "restock_type": part.restock.lower(),
                # numbers here, texts in the sets: the vendor's own quirk
                "subtotal": float(fixed_decimal(subtotal, order.currency)),
                "total_tax": float(fixed_decimal(part.tax, order.currency)),
                "subtotal_set": _bag(order, subtotal),
                "total_tax_set": _bag(order, part.tax),
                "line_item": _line(order, part.line),
            }
        )
    return {
        "id": item.id,
        "order_id": order.id,
        "created_at": _stamp(shop, item.at),
        "note": item.note,
        "user_id": None,
        "processed_at": _stamp(shop, item.at),
        "duties": [],
        "total_duties_set": _bag(order, 0),
        "return": None,
        "restock": any(part.restock != "NO_RESTOCK" for part in item.lines),
        "admin_graphql_api_id": gid("Refund", item.id),
        "refund_shipping_lines": [
            {
                "id": part.id,
                "shipping_line": _shipping_line(order, part.shipping),
                "subtotal_amount_set": _bag(order, refund_subtotal(shop, order, part)),
                "tax_amount_set": _bag(order, part.tax),
            }
            for part in item.shipping
        ],
        "order_adjustments": [
            {
                "id": part.id,
                "order_id": order.id,
                "refund_id": item.id,
                "kind": "refund_discrepancy",
                "reason": part.reason.replace("_", " ").capitalize(),
                **_both(order, "amount", adjustment_amount(shop, part.amount)),
                **_both(order, "tax_amount", 0),
            }
            for part in item.adjustments
        ],
        "refund_line_items": lines,
        "transactions": [transaction(shop, order, part) for part in item.transactions],
    }


def fulfillment(shop: Shop, order: Order, item: Fulfillment) -> Body:
    numbers = [parcel["number"] for parcel in item.tracking if parcel["number"]]
    urls = [parcel["url"] for parcel in item.tracking if parcel["url"]]
    return {
        "id": item.id,
        "order_id": order.id,
        "status": "success",
        "created_at": _stamp(shop, item.at),
        "service": "manual",
        "updated_at": _stamp(shop, item.at),
        "tracking_company": item.tracking[0]["company"] if item.tracking else None,
        "shipment_status": None,
        "location_id": item.location,
        "origin_address": None,
        "email": order.email,
        "destination": _address(order.ship_to),
        "line_items": [_line(order, part.line, part.quantity) for part in item.lines],
        "tracking_number": numbers[0] if numbers else None,
        "tracking_numbers": numbers,
        "tracking_url": urls[0] if urls else None,
        "tracking_urls": urls,
        "receipt": {},
        "name": item.name,
        "admin_graphql_api_id": gid("Fulfillment", item.id),
    }


def _address(address: Body | None) -> Body | None:
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


def _customer(order: Order) -> Body | None:
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


def _application(item: Body) -> Body:
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


def order(shop: Shop, order: Order) -> Body:
    """The whole body of an `orders/*` topic. It never holds transactions, but those inside its refunds."""
    return {
        "id": order.id,
        "admin_graphql_api_id": gid("Order", order.id),
        "app_id": 580111,
        "browser_ip": None,
        "buyer_accepts_marketing": False,
        "cancel_reason": order.cancel_reason and order.cancel_reason.lower(),
        "cancelled_at": _stamp(shop, order.cancelled_at),
        "cart_token": None,
        "checkout_token": None,
        "client_details": None,
        "closed_at": None,
        "company": order.company,
        "confirmation_number": None,
        "confirmed": True,
        "contact_email": order.email,
        "created_at": _stamp(shop, order.created_at),
        "currency": order.currency,
        "current_shipping_price_set": _bag(order, order.current_shipping),
        **_both(order, "current_subtotal_price", order.current_subtotal),
        "current_total_additional_fees_set": None,
        **_both(order, "current_total_discounts", order.current_discounts),
        "current_total_duties_set": None,
        **_both(order, "current_total_price", order.current_total),
        **_both(order, "current_total_tax", order.current_tax),
        "customer_locale": "fr-FR",
        "device_id": None,
        "discount_codes": [
            {
                "code": item["code"],
                "amount": str(item["value"]),
                "type": "percentage" if item["percentage"] else "fixed_amount",
            }
            for item in order.applications
            if item["code"]
        ],
        "duties_included": False,
        "email": order.email or "",
        "estimated_taxes": False,
        "financial_status": order.financial_status.lower(),
        "fulfillment_status": PARTIAL[order.fulfillment_status],
        "landing_site": None,
        "location_id": None,
        "merchant_of_record_app_id": None,
        "name": order.name,
        "note": order.note,
        "note_attributes": order.attributes,
        "number": order.number - 1000,
        "order_number": order.number,
        "order_status_url": f"https://{shop.domain}/orders/{order.id}/authenticate",
        "original_total_additional_fees_set": None,
        "original_total_duties_set": None,
        "payment_gateway_names": order.gateways,
        "phone": order.phone,
        "po_number": order.po_number,
        "presentment_currency": order.presentment,
        "processed_at": _stamp(shop, order.processed_at),
        "reference": None,
        "referring_site": None,
        "source_identifier": None,
        "source_name": order.source,
        "source_url": None,
        **_both(order, "subtotal_price", order.subtotal),
        "tags": ", ".join(order.tags),
        "tax_exempt": order.tax_exempt,
        "tax_lines": _tax_lines(order, order.tax_lines()),
        "taxes_included": order.taxes_included,
        "test": order.test,
        "token": f"token{order.id}",
        "total_cash_rounding_payment_adjustment_set": _bag(order, 0),
        "total_cash_rounding_refund_adjustment_set": _bag(order, 0),
        **_both(order, "total_discounts", order.discounts),
        **_both(order, "total_line_items_price", sum(line.gross for line in order.lines)),
        "total_outstanding": fixed_decimal(order.outstanding, order.currency),
        **_both(order, "total_price", order.total),
        "total_shipping_price_set": _bag(order, order.shipping_total),
        **_both(order, "total_tax", order.tax),
        "total_tip_received": fixed_decimal(order.tip, order.currency),
        "total_weight": 0,
        "updated_at": _stamp(shop, order.updated_at),
        "user_id": None,
        "billing_address": _address(order.billing),
        "customer": _customer(order),
        "discount_applications": [_application(item) for item in order.applications],
        "fulfillments": [fulfillment(shop, order, item) for item in order.fulfillments],
        "line_items": [_line(order, line) for line in order.lines],
        "payment_terms": None,
        "refunds": [refund(shop, order, item) for item in order.refunds],
        "shipping_address": _address(order.ship_to),
        "shipping_lines": [_shipping_line(order, ship) for ship in order.shipping],
        "returns": [],
        "line_item_groups": [],
    }


def edit(shop: Shop, order: Order, added: list[tuple[Line, int]], removed: list[tuple[Line, int]]) -> Body:
    """`orders/edited`: only what changed."""
    return {
        "order_edit": {
            "id": shop.new_id("OrderEdit"),
            "app_id": None,
            "created_at": _stamp(shop, shop.now()),
            "notify_customer": False,
            "order_id": order.id,
            "staff_note": "",
            "user_id": None,
            "line_items": {
                "additions": [{"id": line.id, "delta": units} for line, units in added],
                "removals": [{"id": line.id, "delta": units} for line, units in removed],
            },
            "discounts": {"line_item": {"additions": [], "removals": []}},
            "shipping_lines": {"additions": [], "removals": []},
        }
    }


def inventory_level(shop: Shop, variant: Variant, location: int) -> Body:
    level = variant.levels[location]
    return {
        "inventory_item_id": variant.item_id,
        "location_id": location,
        "available": level.available,
        "updated_at": _stamp(shop, level.updated_at),
        "admin_graphql_api_id": f"gid://shopify/InventoryLevel/{location}?inventory_item_id={variant.item_id}",
    }


def product(shop: Shop, variant: Variant) -> Body:
    return {
        "id": variant.product_id,
        "admin_graphql_api_id": gid("Product", variant.product_id),
        "title": variant.title,
        "vendor": variant.vendor,
        "product_type": "",
        "status": "active",
        "updated_at": _stamp(shop, variant.updated_at),
        "variants": [
            {
                "id": variant.id,
                "admin_graphql_api_id": gid("ProductVariant", variant.id),
                "product_id": variant.product_id,
                "title": "Default Title",
                "sku": variant.sku,
                "barcode": variant.barcode,
                "price": fixed_decimal(variant.price, shop.currency),
                "taxable": not variant.gift_card,
                "inventory_item_id": variant.item_id,
                "inventory_quantity": sum(level.available for level in variant.levels.values()),
                "updated_at": _stamp(shop, variant.updated_at),
            }
        ],
    }
