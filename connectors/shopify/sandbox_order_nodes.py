"""Orders of the sandbox, and what belongs to them, as the GraphQL executor reads them."""

from __future__ import annotations

from decimal import Decimal
from functools import partial

from .sandbox_body_parts import adjustment_amount, gid, refund_subtotal, tax_title
from .sandbox_model import (
    Allocation,
    Fulfillment,
    FulfillmentOrder,
    Line,
    Order,
    Refund,
    RefundLine,
    Shipping,
    Transaction,
)
from .sandbox_money import convert, graphql_decimal, half_up
from .sandbox_nodes import Node, connection, instant, location, some, variant
from .sandbox_store import Shop


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
        "refundLineItems": connection([partial(_refund_line, shop, order, part) for part in item.lines]),
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
        "transactions": connection([partial(transaction, order, part) for part in item.transactions]),
    }


def _refund_line(shop: Shop, order: Order, part: RefundLine) -> Node:
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
        "discountApplications": connection([partial(_application, order, item) for item in order.applications]),
        "shippingLines": lambda info, includeRemovals=False, **args: connection(
            [partial(shipping_line, order, s) for s in order.shipping if includeRemovals or not s.removed]
        )(info, **args),
        "lineItems": connection([partial(line, shop, order, item) for item in order.lines]),
        "transactions": some([partial(transaction, order, item) for item in order.transactions]),
        "refunds": some([partial(refund, shop, order, item) for item in order.refunds]),
        "fulfillments": some([partial(fulfillment, shop, order, item) for item in order.fulfillments]),
        "fulfillmentOrders": connection(
            [partial(fulfillment_order, shop, order, item) for item in order.fulfillment_orders]
        ),
    }
