"""One body for each write of each shipped connector, and what it leaves at the sandbox. A new operation needs one here."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

Body = dict[str, Any]
CUSTOMER = {"$ref": "customer", "key": "7", "ensure": "customer.ensure", "data": {"DisplayName": "Camille Exemple"}}
ITEM = {"$ref": "item", "key": "MUG-01", "ensure": "item.ensure", "data": {"Name": "MUG-01"}}
_ACCOUNTS = ("Payment Gateway Clearing", "Sales of Product Income")
#: of the codes that the sandbox begins with
_VAT_20 = "1"


@dataclass(frozen=True)
class Sample:
    """`body`: what is sent under a key, for a name that is different each time. `count`: how many effects of the operation
    the sandbox has, by the state that it shows."""

    body: Callable[[str, Any], Body]
    count: Callable[[Mapping[str, Any]], int]
    #: what has to be there before: (operation, body) pairs, sent under the same key
    before: Callable[[str], list[tuple[str, Body]]] = lambda _name: []
    #: the request to fail, where neither the manifest nor the sandbox says which it is
    request: str | None = None
    #: how many effects one delivery leaves; none where it only looks
    leaves: int = 1
    #: of the state deliveries of the stock, whose numbers the hub computes: a change of stock plans it
    planned_by_stock: bool = False


def _kept(entity: str) -> Callable[[Mapping[str, Any]], int]:
    return lambda state: len(state[entity])


def _sale(name: str, _prepared: Any) -> Body:
    detail = {"ItemRef": {"value": ITEM}, "TaxCodeRef": {"value": _VAT_20}}
    line = {"Amount": 10.00, "DetailType": "SalesItemLineDetail", "SalesItemLineDetail": detail}
    return {
        "CustomerRef": {"value": CUSTOMER},
        "DocNumber": name,
        "PrivateNote": f"hub:{name}",
        "GlobalTaxCalculation": "TaxExcluded",
        "Line": [line],
    }


def _entry(name: str, _prepared: Any) -> Body:
    lines = [
        {
            "Amount": 10.00,
            "DetailType": "JournalEntryLineDetail",
            "JournalEntryLineDetail": {
                "PostingType": side,
                "AccountRef": {
                    "value": {"$ref": "account", "key": account, "ensure": "account.find", "data": {"Name": account}}
                },
            },
        }
        for side, account in zip(("Debit", "Credit"), _ACCOUNTS, strict=True)
    ]
    return {"DocNumber": name, "PrivateNote": f"hub:{name}", "Line": lines}


def _warehouse_order(name: str) -> Body:
    return {
        "reference_id": name,
        "order_number": f"#{name}",
        "type": "DTC",
        "shipping_method": "Standard",
        "recipient": {
            "name": "Camille Exemple",
            "email": "camille@example.org",
            "address": {"address1": "1 rue", "city": "Paris", "zip_code": "75001", "country": "FR"},
        },
        "products": [{"reference_id": "MUG-01", "quantity": 1}],
    }


def _fulfillment(name: str, sandbox: Any) -> Body:
    placed = sandbox("orders", {"lines": [{"sku": "MUG-01", "quantity": 1}]})
    return {
        "order_id": placed["id"],
        "lines": [{"sku": "MUG-01", "quantity": 1}],
        "carrier": "Colissimo",
        "tracking_number": name,
        "notify": True,
    }


SAMPLES: dict[tuple[str, str], Sample] = {
    ("files", "file.write"): Sample(
        lambda name, _: {"name": f"{name}.txt", "text": name},
        lambda state: sum(each.startswith("out/") and not each.endswith(".tmp") for each in state["files"]),
    ),
    ("http", "request"): Sample(
        lambda name, _: {"method": "POST", "path": "/things", "json": {"name": name}},
        _kept("records"),
        request="POST *",
    ),
    ("http", "webhook.send"): Sample(
        lambda name, _: {"type": "thing.made", "timestamp": "2026-11-24T08:00:00Z", "data": {"name": name}},
        _kept("records"),
        request="POST *",
    ),
    ("http", "put"): Sample(lambda name, _: {"path": f"/things/{name}", "json": {"name": name}}, _kept("records")),
    ("quickbooks", "customer.ensure"): Sample(lambda name, _: {"DisplayName": name}, _kept("customer")),
    ("quickbooks", "item.ensure"): Sample(lambda name, _: {"Name": name}, _kept("item")),
    ("quickbooks", "taxcode.ensure"): Sample(lambda name, _: {"Name": name, "Rate": "7"}, _kept("taxcode")),
    ("quickbooks", "taxrate.ensure"): Sample(lambda name, _: {"Name": name, "Rate": "7"}, _kept("taxcode")),
    ("quickbooks", "account.find"): Sample(
        lambda _name, _: {"Name": "VAT Payable"}, _kept("account"), request="GET /v3/company/*/query", leaves=0
    ),
    ("quickbooks", "invoice.create"): Sample(_sale, _kept("invoice")),
    ("quickbooks", "credit_memo.create"): Sample(_sale, _kept("creditmemo")),
    ("quickbooks", "payment.create"): Sample(
        lambda name, _: {"CustomerRef": {"value": CUSTOMER}, "TotalAmt": 10.00, "PrivateNote": f"hub:{name}"},
        _kept("payment"),
    ),
    ("quickbooks", "journal_entry.create"): Sample(_entry, _kept("journalentry")),
    ("shipbob", "order.create"): Sample(lambda name, _: _warehouse_order(name), _kept("orders")),
    ("shipbob", "order.cancel"): Sample(
        lambda name, _: {"order_id": {"$ref": "warehouse_order", "key": name}},
        lambda state: sum(each["status"] == "Cancelled" for each in state["orders"]),
        before=lambda name: [("order.create", _warehouse_order(name))],
    ),
    ("shopify", "fulfillment.create"): Sample(
        _fulfillment, lambda state: sum(len(each["fulfillments"]) for each in state["orders"])
    ),
    ("shopify", "stock.set"): Sample(lambda _name, _: {}, lambda state: len(state["pushes"]), planned_by_stock=True),
    ("smtp", "message.send"): Sample(
        lambda name, _: {"to": ["camille@example.org"], "subject": name, "text": "Bonjour"}, _kept("messages")
    ),
}
