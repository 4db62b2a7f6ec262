"""Webhook bodies (REST shapes, snake_case) read into the record shapes of `records.py`."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from .records_values import Node, decimal_text, gid, legacy_id, plain_decimal

Record = dict[str, Any]

FULFILLMENT_STATUS = {None: "UNFULFILLED", "PARTIAL": "PARTIALLY_FULFILLED"}


class Currencies:
    """The two sides of an order's money. A plain amount (no `*_set` beside it) is in shop currency."""

    def __init__(self, shop: str | None, presentment: str | None) -> None:
        self.shop = shop
        self.presentment = presentment or shop

    def bag(self, amount: str) -> Record:
        """A bag from a shop amount; the presentment side is unknown (None) when the currencies differ."""
        shop = {"amount": amount, "currencyCode": self.shop}
        same = self.shop == self.presentment
        return {"shopMoney": shop, "presentmentMoney": dict(shop) if same else None}

    def sum(self, bags: list[Record]) -> Record:
        sides: Record = {}
        for side, currency in (("shopMoney", self.shop), ("presentmentMoney", self.presentment)):
            known = [bag[side] for bag in bags]
            if any(money is None for money in known):
                sides[side] = None
                continue
            amount = sum((Decimal(money["amount"]) for money in known), Decimal(0))
            sides[side] = {"amount": decimal_text(amount, "$"), "currencyCode": currency}
        return sides


def _side(node: Node) -> Record:
    code = node.text("currency_code") or node.text("currency")
    return {"amount": node.decimal("amount", required=True), "currencyCode": code}


def _plain_bag(bag: Record) -> Record | None:
    """A bag of ordinary amounts, without the care that `Node` takes to name the place of an error: forty an order."""
    try:
        shop, presentment = bag["shop_money"], bag["presentment_money"]
        shop_text, text = plain_decimal(shop["amount"]), plain_decimal(presentment["amount"])
        shop_code, code = shop["currency_code"], presentment["currency_code"]
    except (KeyError, TypeError):
        return None
    if shop_text is None or text is None or not isinstance(shop_code, str) or not isinstance(code, str):
        return None
    return {
        "shopMoney": {"amount": shop_text, "currencyCode": shop_code},
        "presentmentMoney": {"amount": text, "currencyCode": code},
    }


def money(node: Node, name: str, currencies: Currencies, required: bool = False) -> Record | None:
    """`<name>_set` when the body has it, else the plain `<name>` in shop currency, else None."""
    bag = node.child(f"{name}_set")
    if bag is not None:
        quick = _plain_bag(bag.value)
        if quick is not None:
            return quick
        shop, presentment = bag.child("shop_money"), bag.child("presentment_money")
        if shop is None:
            raise bag.fail("shop_money", "missing")
        return {"shopMoney": _side(shop), "presentmentMoney": None if presentment is None else _side(presentment)}
    amount = node.decimal(name, required=required)
    return None if amount is None else currencies.bag(amount)


def times(bag: Record, quantity: int) -> Record:
    """Each side of a bag times a quantity, exactly."""
    return {
        side: None
        if value is None
        else {
            "amount": decimal_text(Decimal(value["amount"]) * quantity, "$"),
            "currencyCode": value["currencyCode"],
        }
        for side, value in bag.items()
    }


def _address(node: Node | None) -> Record | None:
    if node is None:
        return None
    return {
        "firstName": node.text("first_name"),
        "lastName": node.text("last_name"),
        "company": node.text("company"),
        "address1": node.text("address1"),
        "address2": node.text("address2"),
        "zip": node.text("zip"),
        "city": node.text("city"),
        "provinceCode": node.text("province_code"),
        "countryCodeV2": node.text("country_code"),
        "phone": node.text("phone"),
    }


def _attributes(node: Node, key: str) -> list[Record]:
    return [
        {"key": item.text("name"), "value": None if item.get("value") is None else str(item.get("value"))}
        for item in node.children(key)
    ]


def _tax_lines(node: Node, currencies: Currencies) -> list[Record]:
    return [
        {
            "title": tax.text("title"),
            "rate": tax.decimal("rate"),
            "channelLiable": tax.get("channel_liable"),
            "priceSet": money(tax, "price", currencies, required=True),
        }
        for tax in node.children("tax_lines")
    ]


def _allocations(node: Node, currencies: Currencies) -> list[Record]:
    return [
        {
            "allocatedAmountSet": money(item, "amount", currencies, required=True),
            "discountApplication": {"index": item.count("discount_application_index")},
        }
        for item in node.children("discount_allocations")
    ]


def _duties(node: Node, currencies: Currencies) -> list[Record]:
    return [{"id": duty.gid("Duty"), "price": money(duty, "price", currencies)} for duty in node.children("duties")]


def _discount_application(node: Node, index: int, currency: str) -> Record:
    value = node.decimal("value", required=True)
    percentage = node.text("value_type") == "percentage"
    return {
        "index": index,
        "allocationMethod": node.upper("allocation_method"),
        "targetSelection": node.upper("target_selection"),
        "targetType": node.upper("target_type"),
        "value": {"percentage": value} if percentage else {"amount": value, "currencyCode": currency},
        "code": node.text("code"),
        "title": node.text("title") if node.text("type") != "discount_code" else None,
    }


def _line(node: Node, currencies: Currencies) -> Record:
    quantity = node.count("quantity")
    unit = money(node, "price", currencies, required=True)
    assert unit is not None
    current = node.whole("current_quantity")
    return {
        "id": node.gid("LineItem"),
        "sku": node.text("sku") or None,
        "title": node.text("title"),
        "name": node.text("name"),
        "variantTitle": node.text("variant_title"),
        "vendor": node.text("vendor"),
        "quantity": quantity,
        "currentQuantity": quantity if current is None else current,
        "requiresShipping": node.flag("requires_shipping"),
        "taxable": node.flag("taxable"),
        "isGiftCard": node.flag("gift_card"),
        "variant": node.reference("ProductVariant", "variant_id"),
        "product": node.reference("Product", "product_id"),
        "originalUnitPriceSet": unit,
        "originalTotalSet": times(unit, quantity),
        "totalDiscountSet": money(node, "total_discount", currencies),
        "taxLines": _tax_lines(node, currencies),
        "discountAllocations": _allocations(node, currencies),
        "duties": _duties(node, currencies),
        "customAttributes": _attributes(node, "properties"),
    }


def _shipping_line(node: Node, currencies: Currencies) -> Record:
    original = money(node, "price", currencies, required=True)
    discounted = money(node, "discounted_price", currencies) or original
    return {
        "id": node.gid("ShippingLine"),
        "title": node.text("title"),
        "code": node.text("code"),
        "source": node.text("source"),
        "isRemoved": node.flag("is_removed"),
        "originalPriceSet": original,
        "discountedPriceSet": discounted,
        "currentDiscountedPriceSet": money(node, "current_discounted_price", currencies) or discounted,
        "taxLines": _tax_lines(node, currencies),
        "discountAllocations": _allocations(node, currencies),
    }


def _fulfillment(node: Node) -> Record:
    numbers = node.texts("tracking_numbers") or [text for text in [node.text("tracking_number")] if text]
    urls = node.texts("tracking_urls") or [text for text in [node.text("tracking_url")] if text]
    company = node.text("tracking_company")
    parcels = max(len(numbers), len(urls), 1 if company else 0)
    return {
        "id": node.gid("Fulfillment"),
        "name": node.text("name"),
        "status": node.upper("status"),
        "createdAt": node.instant("created_at"),
        "updatedAt": node.instant("updated_at"),
        "location": node.reference("Location", "location_id"),
        "trackingInfo": [
            {
                "company": company,
                "number": numbers[index] if index < len(numbers) else None,
                "url": urls[index] if index < len(urls) else None,
            }
            for index in range(parcels)
        ],
        "fulfillmentLineItems": [
            {"lineItem": {"id": line.gid("LineItem")}, "quantity": line.count("quantity")}
            for line in node.children("line_items")
        ],
    }


def transaction(node: Node, currencies: Currencies) -> Record:
    """A transaction of a webhook body. `amount` is in the transaction's own `currency`, when it gives one."""
    amount = node.decimal("amount", required=True)
    code = node.text("currency")
    shop = currencies.shop
    if shop is None:
        unsettled = (node.get("total_unsettled_set") or {}).get("shop_money") or {}
        named = unsettled.get("currency") or unsettled.get("currency_code")
        shop = code if named in (None, "XXX") else named
    own = {"amount": amount, "currencyCode": code or shop}
    same = own["currencyCode"] == shop
    presentment = dict(own) if not same or currencies.presentment in (None, shop) else None
    bag = money(node, "amount", currencies) if node.has("amount_set") else None
    return {
        "id": node.gid("OrderTransaction"),
        "kind": node.upper("kind"),
        "status": node.upper("status"),
        "test": node.flag("test"),
        "gateway": node.text("gateway"),
        "processedAt": node.instant("processed_at") or node.instant("created_at"),
        "amountSet": bag or {"shopMoney": own if same else None, "presentmentMoney": presentment},
        "parentTransaction": node.reference("OrderTransaction", "parent_id"),
        "paymentId": node.text("payment_id"),
        "fees": None,
    }


def _refund_line(node: Node, currencies: Currencies) -> Record:
    return {
        "id": node.gid("RefundLineItem"),
        "quantity": node.count("quantity"),
        "restockType": node.upper("restock_type"),
        "location": node.reference("Location", "location_id"),
        "lineItem": {"id": gid("LineItem", node.number_id("line_item_id", required=True) or "")},
        "subtotalSet": money(node, "subtotal", currencies, required=True),
        "totalTaxSet": money(node, "total_tax", currencies),
    }


def _refund_shipping_line(node: Node, currencies: Currencies) -> Record:
    shipping_line = node.child("shipping_line")
    reference = node.reference("ShippingLine", "shipping_line_id")
    return {
        "id": node.gid("RefundShippingLine"),
        "shippingLine": reference if shipping_line is None else {"id": shipping_line.gid("ShippingLine")},
        "subtotalAmountSet": money(node, "subtotal_amount", currencies, required=True),
        "taxAmountSet": money(node, "tax_amount", currencies),
    }


def _shipping_from_adjustment(node: Node, currencies: Currencies) -> Record:
    """Older bodies give refunded shipping as a negative adjustment of kind `shipping_refund`, without its line."""
    amount, tax = money(node, "amount", currencies, required=True), money(node, "tax_amount", currencies)
    assert amount is not None
    return {
        "id": node.gid("OrderAdjustment"),
        "shippingLine": None,
        "subtotalAmountSet": times(amount, -1),
        "taxAmountSet": None if tax is None else times(tax, -1),
    }


def refund(node: Node, currencies: Currencies) -> Record:
    """A refund inside an `orders/*` body, or a whole `refunds/create` body. Figures are the vendor's own."""
    transactions = [transaction(item, currencies) for item in node.children("transactions")]
    shipping = [_refund_shipping_line(item, currencies) for item in node.children("refund_shipping_lines")]
    adjustments = []
    for item in node.children("order_adjustments"):
        if item.text("kind") != "shipping_refund":
            adjustments.append(
                {
                    "id": item.gid("OrderAdjustment"),
                    "reason": item.upper("reason"),
                    "amountSet": money(item, "amount", currencies, required=True),
                    "taxAmountSet": money(item, "tax_amount", currencies),
                }
            )
        elif not node.get("refund_shipping_lines"):
            shipping.append(_shipping_from_adjustment(item, currencies))
    identity = node.gid("Refund") or ""
    return {
        "id": identity,
        "legacyResourceId": legacy_id(identity),
        "createdAt": node.instant("created_at"),
        "processedAt": node.instant("processed_at") or node.instant("created_at"),
        "note": node.text("note") or None,
        "order": node.reference("Order", "order_id"),
        "return": None
        if node.child("return") is None
        else {"id": Node(node.get("return"), node.at("return")).gid("Return")},
        "totalRefundedSet": currencies.sum([item["amountSet"] for item in transactions if moved(item)]),
        "refundLineItems": [_refund_line(item, currencies) for item in node.children("refund_line_items")],
        "refundShippingLines": shipping,
        "orderAdjustments": adjustments,
        "duties": [{"amountSet": money(duty, "amount", currencies)} for duty in node.children("duties")],
        "transactions": transactions,
    }


def moved(item: Record) -> bool:
    """Whether a refund's transaction gave money back."""
    return (item["kind"], item["status"]) == ("REFUND", "SUCCESS")


def _customer(node: Node | None) -> Record | None:
    if node is None or not node.has("id"):
        return None
    return {
        "id": node.gid("Customer"),
        "email": node.text("email"),
        "firstName": node.text("first_name"),
        "lastName": node.text("last_name"),
        "taxExempt": node.flag("tax_exempt"),
    }


def order(node: Node) -> Record:
    """An `orders/*` body without its `sections`."""
    currency = node.required_text("currency")
    currencies = Currencies(currency, node.text("presentment_currency"))
    identity = node.gid("Order") or ""
    refunds = [refund(item, currencies) for item in node.children("refunds")]
    status = node.upper("fulfillment_status")
    number = node.whole("order_number")
    for item in refunds:
        item["order"] = {"id": identity}
    rounding = {
        "paymentSet": money(node, "total_cash_rounding_payment_adjustment", currencies),
        "refundSet": money(node, "total_cash_rounding_refund_adjustment", currencies),
    }
    return {
        "id": identity,
        "legacyResourceId": legacy_id(identity),
        "name": node.text("name"),
        "number": node.whole("number") if number is None else number,
        "createdAt": node.instant("created_at"),
        "updatedAt": node.instant("updated_at", required=True),
        "processedAt": node.instant("processed_at"),
        "cancelledAt": node.instant("cancelled_at"),
        "cancelReason": node.upper("cancel_reason"),
        "closedAt": node.instant("closed_at"),
        "test": node.flag("test"),
        "currencyCode": currency,
        "presentmentCurrencyCode": currencies.presentment,
        "taxesIncluded": node.flag("taxes_included"),
        "taxExempt": node.flag("tax_exempt"),
        "dutiesIncluded": node.flag("duties_included"),
        "estimatedTaxes": node.flag("estimated_taxes"),
        "email": node.text("email") or None,
        "phone": node.text("phone") or None,
        "note": node.text("note") or None,
        "poNumber": node.text("po_number") or None,
        "tags": [tag.strip() for tag in (node.text("tags") or "").split(",") if tag.strip()],
        "sourceName": node.text("source_name"),
        "customAttributes": _attributes(node, "note_attributes"),
        "paymentGatewayNames": node.texts("payment_gateway_names"),
        "displayFinancialStatus": node.upper("financial_status"),
        "displayFulfillmentStatus": FULFILLMENT_STATUS.get(status, status),
        "customer": _customer(node.child("customer")),
        "billingAddress": _address(node.child("billing_address")),
        "shippingAddress": _address(node.child("shipping_address")),
        "subtotalPriceSet": money(node, "subtotal_price", currencies),
        "totalDiscountsSet": money(node, "total_discounts", currencies),
        "totalShippingPriceSet": money(node, "total_shipping_price", currencies),
        "totalTaxSet": money(node, "total_tax", currencies),
        "totalPriceSet": money(node, "total_price", currencies, required=True),
        "totalTipReceivedSet": money(node, "total_tip_received", currencies),
        "currentSubtotalPriceSet": money(node, "current_subtotal_price", currencies),
        "currentTotalDiscountsSet": money(node, "current_total_discounts", currencies),
        "currentShippingPriceSet": money(node, "current_shipping_price", currencies),
        "currentTotalTaxSet": money(node, "current_total_tax", currencies),
        "currentTotalPriceSet": money(node, "current_total_price", currencies),
        "totalOutstandingSet": money(node, "total_outstanding", currencies),
        "totalRefundedSet": currencies.sum([item["totalRefundedSet"] for item in refunds]),
        "originalTotalDutiesSet": money(node, "original_total_duties", currencies),
        "currentTotalDutiesSet": money(node, "current_total_duties", currencies),
        "originalTotalAdditionalFeesSet": money(node, "original_total_additional_fees", currencies),
        "currentTotalAdditionalFeesSet": money(node, "current_total_additional_fees", currencies),
        "totalCashRoundingAdjustment": rounding,
        "taxLines": _tax_lines(node, currencies),
        "discountApplications": [
            _discount_application(item, index, currency)
            for index, item in enumerate(node.children("discount_applications"))
        ],
        "shippingLines": [_shipping_line(item, currencies) for item in node.children("shipping_lines")],
        "lineItems": [_line(item, currencies) for item in node.children("line_items", required=True)],
        "fulfillments": [_fulfillment(item) for item in node.children("fulfillments")],
        "refunds": refunds,
        "transactions": None,
    }
