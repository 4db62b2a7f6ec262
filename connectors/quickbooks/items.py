"""Items: what an invoice line sells. The hub keeps stock itself, so they are NonInventory or Service."""

from __future__ import annotations

from hub.connect.links import Link
from hub.connect.operations import Call, Confirmed

from .accounts import account_id
from .company import post, query


def find(link: Link, call: Call) -> Confirmed | None:
    """By Sku, else by Name: an item that the merchant made himself is used, but never one of another Sku."""
    sku, name = call.body.get("Sku"), str(call.body["Name"])
    found = query(link, "Item", "Sku", str(sku)) if sku else []
    found = found or [item for item in query(link, "Item", "Name", name) if not sku or not item.get("Sku")]
    return Confirmed(str(found[0]["Id"]), found[0]) if found else None


def create(link: Link, call: Call) -> Confirmed:
    """A new item with its income account."""
    settings, body = link.settings, call.body
    account = settings.get("shipping_account") if body.get("account") == "shipping" else None
    item = {
        "Name": body["Name"],
        "Type": settings["item_type"],
        "IncomeAccountRef": {"value": account_id(link, str(account or settings["income_account"]))},
    }
    item |= {name: body[name] for name in ("Sku", "Description") if body.get(name)}
    made = post(link, "item", item, call.wire_key)["Item"]
    return Confirmed(str(made["Id"]), made)
