"""Objects of the sandbox's shop as the GraphQL executor reads them: dicts, with functions where a field takes arguments."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from graphql import GraphQLError

from .sandbox_bodies import adjustment_amount, gid, refund_subtotal, tax_title
from .sandbox_model import (
    Allocation,
    Fulfillment,
    FulfillmentOrder,
    Line,
    Order,
    Refund,
    Shipping,
    Transaction,
    Variant,
)
from .sandbox_money import convert, fixed_decimal, graphql_decimal, half_up
from .sandbox_store import Shop

Node = dict[str, Any]


def refusal(message: str, code: str = "BAD_REQUEST") -> GraphQLError:
    return GraphQLError(message, extensions={"code": code})


def instant(at: datetime | None) -> str | None:
    return None if at is None else at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _cursor(key: Any) -> str:
    return base64.urlsafe_b64encode(json.dumps(key).encode()).decode()


def page(items: Sequence[tuple[Any, Callable[[], Node]]], first: int | None, after: str | None) -> Node:
    """A page of a connection. Each item has a sort key that makes its cursor: pages go on by value, not by place."""
    if first is None:
        raise refusal("you must provide one of first or last")
    if not 0 <= first <= 250:
        raise refusal("first cannot exceed 250")
    if after is not None:
        try:
            start = json.loads(base64.urlsafe_b64decode(after))
        except ValueError:
            raise refusal(f"Invalid cursor: {after}", "INVALID_CURSOR") from None
        items = [item for item in items if item[0] > start]
    shown = items[:first]
    return {
        "nodes": [make() for _, make in shown],
        "pageInfo": {"hasNextPage": len(items) > first, "endCursor": _cursor(shown[-1][0]) if shown else None},
    }


def connection(nodes: Sequence[Callable[[], Node]]) -> Callable[..., Node]:
    items = [(index, make) for index, make in enumerate(nodes)]
    return lambda info, first=None, after=None, **_: page(items, first, after)


def some(nodes: Sequence[Callable[[], Node]]) -> Callable[..., list[Node]]:
    """A plain list that takes `first`."""
    return lambda info, first=None: [make() for make in (nodes if first is None else nodes[:first])]


def bag(order: Order, amount: int) -> Node:
    other = convert(amount, order.currency, order.rate, order.presentment)
    return {
        "shopMoney": {"amount": graphql_decimal(amount, order.currency), "currencyCode": order.currency},
        "presentmentMoney": {"amount": graphql_decimal(other, order.presentment), "currencyCode": order.presentment},
    }


def _tax_lines(order: Order, taxes: list[tuple[Decimal, int]]) -> list[Node]:
    return [
        {
            "title": tax_title(rate),
            "rate": float(rate),
            "ratePercentage": float(rate * 100),
            "channelLiable": order.channel_liable,
            "priceSet": bag(order, amount),
        }
        for rate, amount in taxes
    ]


def _application(order: Order, item: Node) -> Node:
    value: Node = {"__typename": "PricingPercentageValue", "percentage": float(item["value"])}
    if not item["percentage"]:
        value = {"__typename": "MoneyV2", "amount": str(item["value"]), "currencyCode": order.currency}
    return {
        "__typename": "DiscountCodeApplication" if item["code"] else "ManualDiscountApplication",
        "index": item["index"],
        "allocationMethod": item["method"],
        "targetSelection": item["selection"],
        "targetType": item["target"],
        "value": value,
        "code": item["code"],
        "title": item["title"],
    }


def _allocations(order: Order, allocations: list[Allocation]) -> list[Node]:
    return [
        {
            "allocatedAmountSet": bag(order, item.amount),
            "discountApplication": _application(order, order.applications[item.application]),
        }
        for item in allocations
    ]


def location(shop: Shop, number: int | None) -> Node | None:
    if number is None:
        return None
    place = shop.locations[number]
    return {
        "id": gid("Location", number),
        "legacyResourceId": str(number),
        "name": place.name,
        "isActive": True,
        "fulfillsOnlineOrders": True,
    }


def _address(address: Node | None) -> Node | None:
    if address is None:
        return None
    names = {
        "firstName": "first_name",
        "lastName": "last_name",
        "zip": "zip",
        "provinceCode": "province_code",
        "countryCodeV2": "country_code",
    }
    return {
        key: address.get(names.get(key, key)) for key in [*names, "company", "address1", "address2", "city", "phone"]
    }


def _customer(order: Order) -> Node | None:
    if order.customer is None:
        return None
    email = order.customer.get("email")
    return {
        "id": gid("Customer", order.customer["id"]),
        "firstName": order.customer.get("first_name"),
        "lastName": order.customer.get("last_name"),
        "taxExempt": bool(order.customer.get("tax_exempt")),
        "defaultEmailAddress": None if email is None else {"emailAddress": email},
    }


def variant(shop: Shop, item: Variant) -> Node:
    return {
        "id": gid("ProductVariant", item.id),
        "sku": item.sku,
        "barcode": item.barcode,
        "title": "Default Title",
        "price": fixed_decimal(item.price, shop.currency),
        "compareAtPrice": None,
        "taxable": not item.gift_card,
        "updatedAt": instant(item.updated_at),
        "inventoryItem": lambda info: inventory_item(shop, item),
        "product": {
            "id": gid("Product", item.product_id),
            "title": item.title,
            "status": "ACTIVE",
            "vendor": item.vendor,
            "productType": "",
        },
    }


def inventory_item(shop: Shop, item: Variant) -> Node:
    cost = item.cost
    return {
        "id": gid("InventoryItem", item.item_id),
        "sku": item.sku,
        "tracked": item.tracked,
        "updatedAt": instant(item.updated_at),
        "unitCost": None
        if cost is None
        else {"amount": graphql_decimal(cost, shop.currency), "currencyCode": shop.currency},
        "inventoryLevels": connection([lambda at=at: _level(shop, item, at) for at in item.levels]),
    }


def _level(shop: Shop, item: Variant, at: int) -> Node:
    level = item.levels[at]
    stamp = instant(level.updated_at)
    known = {"available": level.available, "committed": level.committed, "on_hand": level.on_hand}
    known |= dict.fromkeys(("incoming", "reserved", "damaged", "safety_stock", "quality_control"), 0)

    def quantities(info: Any, names: list[str]) -> list[Node]:
        unknown = [name for name in names if name not in known]
        if unknown:
            raise refusal(f"The specified inventory state {unknown[0]} is invalid")
        return [{"name": name, "quantity": known[name], "updatedAt": stamp} for name in names]

    return {
        "id": f"gid://shopify/InventoryLevel/{at}?inventory_item_id={item.item_id}",
        "updatedAt": stamp,
        "isActive": True,
        "location": location(shop, at),
        "quantities": quantities,
    }


def line(shop: Shop, order: Order, item: Line) -> Node:
    return {
        "id": gid("LineItem", item.id),
        "sku": item.sku,
        "title": item.title,
        "name": item.title,
        "variantTitle": None,
        "vendor": item.variant and item.variant.vendor,
        "quantity": item.quantity,
        "currentQuantity": item.current_quantity,
        "refundableQuantity": item.current_quantity,
        "unfulfilledQuantity": 0 if item.gift_card else item.unfulfilled,
        "requiresShipping": not item.gift_card,
        "taxable": not item.gift_card,
        "isGiftCard": item.gift_card,
        "variant": lambda info: item.variant and variant(shop, item.variant),
        "product": lambda info: item.variant and variant(shop, item.variant)["product"],
        "originalUnitPriceSet": bag(order, item.price),
        "originalTotalSet": bag(order, item.gross),
        "discountedTotalSet": bag(order, item.gross - item.line_discount),
        "totalDiscountSet": bag(order, item.line_discount),
        "taxLines": _tax_lines(order, [(item.vat, item.tax)] if item.vat else []),
        "discountAllocations": _allocations(order, item.allocations),
        "duties": [],
        "customAttributes": [{"key": p["name"], "value": p["value"]} for p in item.properties],
    }


def shipping_line(order: Order, item: Shipping) -> Node:
    return {
        "id": gid("ShippingLine", item.id),
        "title": item.title,
        "code": item.code,
        "source": "shopify",
        "isRemoved": item.removed,
        "originalPriceSet": bag(order, item.price),
        "discountedPriceSet": bag(order, item.discounted),
        "currentDiscountedPriceSet": bag(order, item.current),
        "taxLines": _tax_lines(order, [(item.vat, item.tax)] if item.vat else []),
        "discountAllocations": _allocations(order, item.allocations),
    }


def transaction(order: Order, item: Transaction) -> Node:
    fees: list[Node] = []
    if item.gateway == "shopify_payments" and item.kind in ("SALE", "CAPTURE") and item.status == "SUCCESS":
        fee = half_up(Decimal(item.amount) * Decimal("0.015")) + 25
        fees = [
            {
                "id": gid("TransactionFee", item.id),
                "type": "processing_fee",
                "rate": "0.015",
                "amount": {"amount": graphql_decimal(fee, order.currency), "currencyCode": order.currency},
                "taxAmount": {"amount": "0.0", "currencyCode": order.currency},
            }
        ]
    parent = next((other for other in order.transactions if other.id == item.parent), None)
    return {
        "id": gid("OrderTransaction", item.id),
        "kind": item.kind,
        "status": item.status,
        "test": item.test,
        "gateway": item.gateway,
        "createdAt": instant(item.at),
        "processedAt": instant(item.at),
        "paymentId": item.payment_id,
        "amountSet": bag(order, item.amount),
        "parentTransaction": None if parent is None else lambda info: transaction(order, parent),
        "fees": fees,
    }


def refund(shop: Shop, order: Order, item: Refund) -> Node:
    moved = sum(part.amount for part in item.transactions if part.status == "SUCCESS")
    return {
        "id": gid("Refund", item.id),
        "legacyResourceId": str(item.id),
        "createdAt": instant(item.at),
        "processedAt": instant(item.at),
        "note": item.note,
        "order": lambda info: order_node(shop, order),
        "return": None,
        "totalRefundedSet": bag(order, moved),
        "refundLineItems": connection([lambda part=part: _refund_line(shop, order, part) for part in item.lines]),
        "refundShippingLines": connection(
            [
                lambda part=part: {
                    "id": gid("RefundShippingLine", part.id),
                    "shippingLine": shipping_line(order, part.shipping),
                    "subtotalAmountSet": bag(order, refund_subtotal(shop, order, part)),
                    "taxAmountSet": bag(order, part.tax),
                }
                for part in item.shipping
            ]
        ),
        "orderAdjustments": connection(
            [
                lambda part=part: {
                    "id": gid("OrderAdjustment", part.id),
                    "reason": part.reason,
                    "amountSet": bag(order, adjustment_amount(shop, part.amount)),
                    "taxAmountSet": bag(order, 0),
                }
                for part in item.adjustments
            ]
        ),
        "duties": [],
        "transactions": connection([lambda part=part: transaction(order, part) for part in item.transactions]),
    }


def _refund_line(shop: Shop, order: Order, part: Any) -> Node:
    return {
        "id": gid("RefundLineItem", part.id),
        "quantity": part.quantity,
        "restockType": part.restock,
        "restocked": part.restock != "NO_RESTOCK",
        "location": location(shop, part.location),
        "lineItem": lambda info: line(shop, order, part.line),
        "subtotalSet": bag(order, refund_subtotal(shop, order, part)),
        "totalTaxSet": bag(order, part.tax),
    }


def fulfillment(shop: Shop, order: Order, item: Fulfillment) -> Node:
    return {
        "id": gid("Fulfillment", item.id),
        "legacyResourceId": str(item.id),
        "name": item.name,
        "status": "SUCCESS",
        "createdAt": instant(item.at),
        "updatedAt": instant(item.at),
        "order": lambda info: order_node(shop, order),
        "location": location(shop, item.location),
        "trackingInfo": some([lambda parcel=parcel: parcel for parcel in item.tracking]),
        "fulfillmentLineItems": connection(
            [
                lambda part=part: {
                    "id": gid("FulfillmentLineItem", part.id),
                    "quantity": part.quantity,
                    "lineItem": line(shop, order, part.line),
                }
                for part in item.lines
            ]
        ),
    }


def fulfillment_order(shop: Shop, order: Order, item: FulfillmentOrder) -> Node:
    actions = {"OPEN": ["CREATE_FULFILLMENT", "HOLD"], "ON_HOLD": ["RELEASE_HOLD"]}.get(item.status, [])
    return {
        "id": gid("FulfillmentOrder", item.id),
        "status": item.status,
        "requestStatus": "UNSUBMITTED",
        "assignedLocation": {"name": shop.locations[item.location].name, "location": location(shop, item.location)},
        "supportedActions": [{"action": action} for action in actions],
        "deliveryMethod": {"methodType": "SHIPPING"},
        "lineItems": connection(
            [
                lambda part=part: {
                    "id": gid("FulfillmentOrderLineItem", part.id),
                    "sku": part.line.sku,
                    "remainingQuantity": part.remaining,
                    "totalQuantity": part.total,
                    "lineItem": line(shop, order, part.line),
                }
                for part in item.lines
            ]
        ),
    }


def order_node(shop: Shop, order: Order) -> Node:
    amounts = {
        "subtotalPriceSet": order.subtotal,
        "totalDiscountsSet": order.discounts,
        "totalShippingPriceSet": order.shipping_total,
        "totalTaxSet": order.tax,
        "totalPriceSet": order.total,
        "originalTotalPriceSet": order.original_total,
        "totalTipReceivedSet": order.tip,
        "currentSubtotalPriceSet": order.current_subtotal,
        "currentTotalDiscountsSet": order.current_discounts,
        "currentShippingPriceSet": order.current_shipping,
        "currentTotalTaxSet": order.current_tax,
        "currentTotalPriceSet": order.current_total,
        "totalOutstandingSet": order.outstanding,
        "totalRefundedSet": order.refunded,
        "totalReceivedSet": order.received,
        "netPaymentSet": order.received - order.refunded,
    }
    return {
        **{name: bag(order, amount) for name, amount in amounts.items()},
        "id": gid("Order", order.id),
        "legacyResourceId": str(order.id),
        "name": order.name,
        "number": order.number,
        "createdAt": instant(order.created_at),
        "updatedAt": instant(order.updated_at),
        "processedAt": instant(order.processed_at),
        "cancelledAt": instant(order.cancelled_at),
        "cancelReason": order.cancel_reason,
        "closedAt": None,
        "test": order.test,
        "edited": order.edited,
        "currencyCode": order.currency,
        "presentmentCurrencyCode": order.presentment,
        "taxesIncluded": order.taxes_included,
        "taxExempt": order.tax_exempt,
        "dutiesIncluded": False,
        "estimatedTaxes": False,
        "email": order.email,
        "phone": order.phone,
        "note": order.note,
        "poNumber": order.po_number,
        "tags": order.tags,
        "sourceName": order.source,
        "paymentGatewayNames": order.gateways,
        "customAttributes": [{"key": item["name"], "value": item["value"]} for item in order.attributes],
        "displayFinancialStatus": order.financial_status,
        "displayFulfillmentStatus": order.fulfillment_status,
        "returnStatus": "NO_RETURN",
        "customer": _customer(order),
        "billingAddress": _address(order.billing),
        "shippingAddress": _address(order.ship_to),
        "originalTotalDutiesSet": None,
        "currentTotalDutiesSet": None,
        "originalTotalAdditionalFeesSet": None,
        "currentTotalAdditionalFeesSet": None,
        "totalCashRoundingAdjustment": {"paymentSet": bag(order, 0), "refundSet": bag(order, 0)},
        "taxLines": _tax_lines(order, order.tax_lines()),
        "currentTaxLines": _tax_lines(order, order.tax_lines(current=True)),
        "discountApplications": connection(
            [lambda item=item: _application(order, item) for item in order.applications]
        ),
        "shippingLines": lambda info, includeRemovals=False, **args: connection(
            [lambda s=s: shipping_line(order, s) for s in order.shipping if includeRemovals or not s.removed]
        )(info, **args),
        "lineItems": connection([lambda item=item: line(shop, order, item) for item in order.lines]),
        "transactions": some([lambda item=item: transaction(order, item) for item in order.transactions]),
        "refunds": some([lambda item=item: refund(shop, order, item) for item in order.refunds]),
        "fulfillments": some([lambda item=item: fulfillment(shop, order, item) for item in order.fulfillments]),
        "fulfillmentOrders": connection(
            [lambda item=item: fulfillment_order(shop, order, item) for item in order.fulfillment_orders]
        ),
    }
