"""GraphQL answers (the parts of a read) brought to the record shapes of `records.py`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from .records_values import Node, RecordError, legacy_id

Record = dict[str, Any]

BAGS = (
    "subtotalPriceSet",
    "totalDiscountsSet",
    "totalShippingPriceSet",
    "totalTaxSet",
    "totalPriceSet",
    "totalTipReceivedSet",
    "currentSubtotalPriceSet",
    "currentTotalDiscountsSet",
    "currentShippingPriceSet",
    "currentTotalTaxSet",
    "currentTotalPriceSet",
    "totalOutstandingSet",
    "totalRefundedSet",
    "originalTotalDutiesSet",
    "currentTotalDutiesSet",
    "originalTotalAdditionalFeesSet",
    "currentTotalAdditionalFeesSet",
)


def nodes(node: Node, key: str, required: bool = False) -> Iterator[Node]:
    """The nodes of a connection, or of a plain list."""
    value = node.get(key)
    if isinstance(value, dict):
        connection = Node(value, node.at(key))
        yield from connection.children("nodes", required=True)
    else:
        yield from node.children(key, required=required)


def has_more(node: Node, key: str) -> bool:
    """Whether a connection says that another page follows."""
    connection = node.get(key)
    info = connection.get("pageInfo") if isinstance(connection, dict) else None
    return bool(isinstance(info, dict) and info.get("hasNextPage"))


def _money(node: Node | None) -> Record | None:
    if node is None:
        return None
    return {"amount": node.decimal("amount", required=True), "currencyCode": node.text("currencyCode")}


def bag(node: Node, key: str, required: bool = False) -> Record | None:
    value = node.child(key)
    if value is None:
        if required:
            raise node.fail(key, "missing")
        return None
    shop = _money(value.child("shopMoney"))
    if shop is None:
        raise value.fail("shopMoney", "missing")
    return {"shopMoney": shop, "presentmentMoney": _money(value.child("presentmentMoney"))}


def _reference(node: Node, key: str) -> Record | None:
    child = node.child(key)
    return None if child is None else {"id": child.required_text("id")}


def _attributes(node: Node) -> list[Record]:
    return [{"key": item.text("key"), "value": item.text("value")} for item in node.children("customAttributes")]


def _address(node: Node | None) -> Record | None:
    if node is None:
        return None
    keys = "firstName lastName company address1 address2 zip city provinceCode countryCodeV2 phone"
    return {key: node.text(key) for key in keys.split()}


def _customer(node: Node | None) -> Record | None:
    if node is None:
        return None
    email = node.child("defaultEmailAddress")
    return {
        "id": node.required_text("id"),
        "email": node.text("email") if email is None else email.text("emailAddress"),
        "firstName": node.text("firstName"),
        "lastName": node.text("lastName"),
        "taxExempt": node.flag("taxExempt"),
    }


def _tax_lines(node: Node) -> list[Record]:
    return [
        {
            "title": tax.text("title"),
            "rate": tax.decimal("rate"),
            "channelLiable": tax.get("channelLiable"),
            "priceSet": bag(tax, "priceSet", required=True),
        }
        for tax in node.children("taxLines")
    ]


def _allocations(node: Node) -> list[Record]:
    found = []
    for item in node.children("discountAllocations"):
        application = item.child("discountApplication")
        if application is None:
            raise item.fail("discountApplication", "missing")
        found.append(
            {
                "allocatedAmountSet": bag(item, "allocatedAmountSet", required=True),
                "discountApplication": {"index": application.count("index")},
            }
        )
    return found


def _discount_application(node: Node) -> Record:
    value = node.child("value")
    if value is None:
        raise node.fail("value", "missing")
    return {
        "index": node.count("index"),
        "allocationMethod": node.text("allocationMethod"),
        "targetSelection": node.text("targetSelection"),
        "targetType": node.text("targetType"),
        "value": {"percentage": value.decimal("percentage")} if value.has("percentage") else _money(value),
        "code": node.text("code"),
        "title": node.text("title"),
    }


def _shipping_line(node: Node) -> Record:
    discounted = bag(node, "discountedPriceSet", required=True)
    return {
        "id": node.text("id"),
        "title": node.text("title"),
        "code": node.text("code"),
        "source": node.text("source"),
        "isRemoved": node.flag("isRemoved"),
        "originalPriceSet": bag(node, "originalPriceSet", required=True),
        "discountedPriceSet": discounted,
        "currentDiscountedPriceSet": bag(node, "currentDiscountedPriceSet") or discounted,
        "taxLines": _tax_lines(node),
        "discountAllocations": _allocations(node),
    }


def _fulfillment(node: Node) -> Record:
    lines: list[Record] = []
    for item in nodes(node, "fulfillmentLineItems"):
        lines.append({"lineItem": _reference(item, "lineItem"), "quantity": item.count("quantity")})
    return {
        "id": node.required_text("id"),
        "name": node.text("name"),
        "status": node.text("status"),
        "createdAt": node.instant("createdAt"),
        "updatedAt": node.instant("updatedAt"),
        "location": _reference(node, "location"),
        "trackingInfo": [
            {"company": item.text("company"), "number": item.text("number"), "url": item.text("url")}
            for item in node.children("trackingInfo")
        ],
        "fulfillmentLineItems": lines,
    }


def fulfillments_complete(node: Node) -> bool:
    """Whether the header holds every fulfilment (it asks for ten) with all its lines."""
    found = list(node.children("fulfillments"))
    if not isinstance(node.get("fulfillments"), list) or len(found) >= 10:
        return False
    return all(item.has("fulfillmentLineItems") and not has_more(item, "fulfillmentLineItems") for item in found)


def line(node: Node) -> Record:
    return {
        "id": node.required_text("id"),
        "sku": node.text("sku") or None,
        "title": node.text("title"),
        "name": node.text("name"),
        "variantTitle": node.text("variantTitle"),
        "vendor": node.text("vendor"),
        "quantity": node.count("quantity"),
        "currentQuantity": node.count("currentQuantity"),
        "requiresShipping": node.flag("requiresShipping"),
        "taxable": node.flag("taxable"),
        "isGiftCard": node.flag("isGiftCard"),
        "variant": _reference(node, "variant"),
        "product": _reference(node, "product"),
        "originalUnitPriceSet": bag(node, "originalUnitPriceSet", required=True),
        "originalTotalSet": bag(node, "originalTotalSet", required=True),
        "totalDiscountSet": bag(node, "totalDiscountSet"),
        "taxLines": _tax_lines(node),
        "discountAllocations": _allocations(node),
        "duties": [{"id": item.text("id"), "price": bag(item, "price")} for item in node.children("duties")],
        "customAttributes": _attributes(node),
    }


def transaction(node: Node) -> Record:
    fees: list[Record] | None = None
    if node.has("fees"):
        fees = [
            {
                "id": fee.text("id"),
                "type": fee.text("type"),
                "rate": fee.decimal("rate"),
                "amount": _money(fee.child("amount")),
                "taxAmount": _money(fee.child("taxAmount")),
            }
            for fee in node.children("fees")
        ]
    return {
        "id": node.required_text("id"),
        "kind": node.text("kind"),
        "status": node.text("status"),
        "test": node.flag("test"),
        "gateway": node.text("gateway"),
        "processedAt": node.instant("processedAt"),
        "amountSet": bag(node, "amountSet", required=True),
        "parentTransaction": _reference(node, "parentTransaction"),
        "paymentId": node.text("paymentId"),
        "fees": fees,
    }


def refund(pages: list[Node]) -> Record:
    """One refund from its pages (each page holds other refund lines, all the rest is the same)."""
    node = pages[0]
    identity = node.required_text("id")
    if any(page.get("id") != identity for page in pages):
        raise RecordError(node.path, "pages of different refunds were given as one")
    return {
        "id": identity,
        "legacyResourceId": legacy_id(identity),
        "createdAt": node.instant("createdAt"),
        "processedAt": node.instant("processedAt"),
        "note": node.text("note") or None,
        "order": _reference(node, "order"),
        "return": _reference(node, "return"),
        "totalRefundedSet": bag(node, "totalRefundedSet", required=True),
        "refundLineItems": [
            {
                "id": item.text("id"),
                "quantity": item.count("quantity"),
                "restockType": item.text("restockType"),
                "location": _reference(item, "location"),
                "lineItem": _reference(item, "lineItem"),
                "subtotalSet": bag(item, "subtotalSet", required=True),
                "totalTaxSet": bag(item, "totalTaxSet"),
            }
            for page in pages
            for item in nodes(page, "refundLineItems", required=True)
        ],
        "refundShippingLines": [
            {
                "id": item.text("id"),
                "shippingLine": _reference(item, "shippingLine"),
                "subtotalAmountSet": bag(item, "subtotalAmountSet", required=True),
                "taxAmountSet": bag(item, "taxAmountSet"),
            }
            for item in nodes(node, "refundShippingLines")
        ],
        "orderAdjustments": [
            {
                "id": item.text("id"),
                "reason": item.text("reason"),
                "amountSet": bag(item, "amountSet", required=True),
                "taxAmountSet": bag(item, "taxAmountSet"),
            }
            for item in nodes(node, "orderAdjustments")
        ],
        "duties": [{"amountSet": bag(item, "amountSet")} for item in node.children("duties")],
        "transactions": [transaction(item) for item in nodes(node, "transactions")],
    }


def header(node: Node) -> Record:
    """The order without lines, refunds, transactions and `sections`."""
    identity = node.required_text("id")
    rounding = node.child("totalCashRoundingAdjustment")
    return {
        "id": identity,
        "legacyResourceId": node.text("legacyResourceId") or legacy_id(identity),
        "name": node.text("name"),
        "number": node.whole("number"),
        "createdAt": node.instant("createdAt"),
        "updatedAt": node.instant("updatedAt", required=True),
        "processedAt": node.instant("processedAt"),
        "cancelledAt": node.instant("cancelledAt"),
        "cancelReason": node.text("cancelReason"),
        "closedAt": node.instant("closedAt"),
        "test": node.flag("test"),
        "currencyCode": node.required_text("currencyCode"),
        "presentmentCurrencyCode": node.text("presentmentCurrencyCode"),
        "taxesIncluded": node.flag("taxesIncluded"),
        "taxExempt": node.flag("taxExempt"),
        "dutiesIncluded": node.flag("dutiesIncluded"),
        "estimatedTaxes": node.flag("estimatedTaxes"),
        "email": node.text("email") or None,
        "phone": node.text("phone") or None,
        "note": node.text("note") or None,
        "poNumber": node.text("poNumber") or None,
        "tags": node.texts("tags"),
        "sourceName": node.text("sourceName"),
        "customAttributes": _attributes(node),
        "paymentGatewayNames": node.texts("paymentGatewayNames"),
        "displayFinancialStatus": node.text("displayFinancialStatus"),
        "displayFulfillmentStatus": node.text("displayFulfillmentStatus"),
        "customer": _customer(node.child("customer")),
        "billingAddress": _address(node.child("billingAddress")),
        "shippingAddress": _address(node.child("shippingAddress")),
        **{key: bag(node, key, required=key == "totalPriceSet") for key in BAGS},
        "totalCashRoundingAdjustment": {
            "paymentSet": None if rounding is None else bag(rounding, "paymentSet"),
            "refundSet": None if rounding is None else bag(rounding, "refundSet"),
        },
        "taxLines": _tax_lines(node),
        "discountApplications": [_discount_application(item) for item in nodes(node, "discountApplications")],
        "shippingLines": [_shipping_line(item) for item in nodes(node, "shippingLines")],
        "lineItems": None,
        "fulfillments": [_fulfillment(item) for item in node.children("fulfillments")],
        "refunds": None,
        "transactions": None,
    }
