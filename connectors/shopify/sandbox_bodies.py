"""Webhook bodies of the sandbox's shop: REST shapes, snake_case, amounts with all their places, times with an offset."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .sandbox_body_parts import (
    Body,
    address_body,
    adjustment_amount,
    application_body,
    bag,
    both,
    customer_body,
    gid,
    line_body,
    nested_line_body,
    refund_subtotal,
    shipping_body,
    stamp,
    tax_bodies,
)
from .sandbox_model import Fulfillment, Line, Order, Refund, Transaction, Variant
from .sandbox_money import convert, fixed_decimal

if TYPE_CHECKING:
    from .sandbox_store import Shop

PARTIAL = {"UNFULFILLED": None, "PARTIALLY_FULFILLED": "partial", "FULFILLED": "fulfilled"}


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
        "created_at": stamp(shop, item.at),
        "test": item.test,
        "authorization": None,
        "location_id": None,
        "user_id": None,
        "parent_id": item.parent,
        "processed_at": stamp(shop, item.at),
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
                "subtotal_set": bag(order, subtotal),
                "total_tax_set": bag(order, part.tax),
                "line_item": nested_line_body(order, part.line, part.line.quantity),
            }
        )
    return {
        "id": item.id,
        "order_id": order.id,
        "created_at": stamp(shop, item.at),
        "note": item.note,
        "user_id": None,
        "processed_at": stamp(shop, item.at),
        "duties": [],
        "total_duties_set": bag(order, 0),
        "return": None,
        "restock": any(part.restock != "NO_RESTOCK" for part in item.lines),
        "admin_graphql_api_id": gid("Refund", item.id),
        "refund_shipping_lines": [
            {
                "id": part.id,
                "shipping_line": shipping_body(order, part.shipping),
                "subtotal_amount_set": bag(order, refund_subtotal(shop, order, part)),
                "tax_amount_set": bag(order, part.tax),
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
                **both(order, "amount", adjustment_amount(shop, part.amount)),
                **both(order, "tax_amount", 0),
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
        "created_at": stamp(shop, item.at),
        "service": "manual",
        "updated_at": stamp(shop, item.at),
        "tracking_company": item.tracking[0]["company"] if item.tracking else None,
        "shipment_status": None,
        "location_id": item.location,
        "origin_address": None,
        "email": order.email,
        "destination": address_body(order.ship_to),
        "line_items": [nested_line_body(order, part.line, part.quantity) for part in item.lines],
        "tracking_number": numbers[0] if numbers else None,
        "tracking_numbers": numbers,
        "tracking_url": urls[0] if urls else None,
        "tracking_urls": urls,
        "receipt": {},
        "name": item.name,
        "admin_graphql_api_id": gid("Fulfillment", item.id),
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
        "cancelled_at": stamp(shop, order.cancelled_at),
        "cart_token": None,
        "checkout_token": None,
        "client_details": None,
        "closed_at": None,
        "company": order.company,
        "confirmation_number": None,
        "confirmed": True,
        "contact_email": order.email,
        "created_at": stamp(shop, order.created_at),
        "currency": order.currency,
        "current_shipping_price_set": bag(order, order.current_shipping),
        **both(order, "current_subtotal_price", order.current_subtotal),
        "current_total_additional_fees_set": None,
        **both(order, "current_total_discounts", order.current_discounts),
        "current_total_duties_set": None,
        **both(order, "current_total_price", order.current_total),
        **both(order, "current_total_tax", order.current_tax),
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
        "processed_at": stamp(shop, order.processed_at),
        "reference": None,
        "referring_site": None,
        "source_identifier": None,
        "source_name": order.source,
        "source_url": None,
        **both(order, "subtotal_price", order.subtotal),
        "tags": ", ".join(order.tags),
        "tax_exempt": order.tax_exempt,
        "tax_lines": tax_bodies(order, order.tax_lines()),
        "taxes_included": order.taxes_included,
        "test": order.test,
        "token": f"token{order.id}",
        "total_cash_rounding_payment_adjustment_set": bag(order, 0),
        "total_cash_rounding_refund_adjustment_set": bag(order, 0),
        **both(order, "total_discounts", order.discounts),
        **both(order, "total_line_items_price", sum(line.gross for line in order.lines)),
        "total_outstanding": fixed_decimal(order.outstanding, order.currency),
        **both(order, "total_price", order.total),
        "total_shipping_price_set": bag(order, order.shipping_total),
        **both(order, "total_tax", order.tax),
        "total_tip_received": fixed_decimal(order.tip, order.currency),
        "total_weight": 0,
        "updated_at": stamp(shop, order.updated_at),
        "user_id": None,
        "billing_address": address_body(order.billing),
        "customer": customer_body(order),
        "discount_applications": [application_body(item) for item in order.applications],
        "fulfillments": [fulfillment(shop, order, item) for item in order.fulfillments],
        "line_items": [line_body(order, line) for line in order.lines],
        "payment_terms": None,
        "refunds": [refund(shop, order, item) for item in order.refunds],
        "shipping_address": address_body(order.ship_to),
        "shipping_lines": [shipping_body(order, ship) for ship in order.shipping],
        "returns": [],
        "line_item_groups": [],
    }


def edit(shop: Shop, order: Order, added: list[tuple[Line, int]], removed: list[tuple[Line, int]]) -> Body:
    """`orders/edited`: only what changed."""
    return {
        "order_edit": {
            "id": shop.new_id("OrderEdit"),
            "app_id": None,
            "created_at": stamp(shop, shop.now()),
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
        "updated_at": stamp(shop, level.updated_at),
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
        "updated_at": stamp(shop, variant.updated_at),
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
                "updated_at": stamp(shop, variant.updated_at),
            }
        ],
    }
