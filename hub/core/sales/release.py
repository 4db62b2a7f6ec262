"""Lets an order go to the warehouse, once, and takes it back when it is cancelled before it was sent."""

from __future__ import annotations

import msgspec

from hub.core.plan import Row
from hub.core.sales.context import Work
from hub.core.sales.goods import ignored, is_goods, is_tracked, to_hold
from hub.core.sales.tables import ORDER_LINE
from hub.core.stock.items import item_by_id
from hub.core.stock.reservations import of_order
from hub.db.types import instant_text


def announce_order(work: Work) -> None:
    """Emits `order.ready` or `order.cancelled` when it is time, each once, and asks about edits that came too late."""
    if work.order["cancelled_at"] is not None:
        _withdraw(work)
    elif work.order["released_at"] is None:
        _release(work)
    else:
        _check_released(work)


def sendable_lines(work: Work) -> list[Row] | None:
    """Lines that are to be sent now; None while one of them is unknown or waits for goods."""
    held = {row["order_line_id"]: row for row in of_order(work.plan, work.order["id"]) if row["state"] == "held"}
    lines: list[Row] = []
    for state in work.lines:
        row = state.row
        if not is_goods(row) or not to_hold(row) or ignored(work, row):
            continue
        if row["item_id"] is None:
            return None
        if work.policy.reserve_at is not None and is_tracked(work.plan, row) and row["id"] not in held:
            return None
        lines.append(row)
    return lines


def _release(work: Work) -> None:
    if not work.order["invoiced"]:
        return
    lines = sendable_lines(work)
    if not lines:
        return
    plan, order, contact = work.plan, work.order, work.contact
    address = contact.shipping_address or contact.billing_address
    plan.emit(
        "order.ready",
        work.subject,
        {
            "order_id": order["id"],
            "order_name": order["name"],
            "ref": order["ref"],
            "connection_id": order["connection_id"],
            "party": {
                "id": order["party_id"],
                "name": contact.party.name,
                "company": contact.party.company,
                "email": contact.party.email,
                "phone": contact.party.phone,
                "language": contact.party.language,
            },
            "shipping_address": msgspec.structs.asdict(address) if address is not None else None,
            "shipping_method": next(
                (
                    state.row["title"]
                    for state in work.lines
                    if state.row["kind"] == "shipping" and state.row["present"]
                ),
                None,
            ),
            "location": work.policy.reserve_at,
            "lines": [
                {
                    # the warehouse knows our SKU, which a shop's may be an alias of
                    "sku": item_by_id(plan, row["item_id"])["sku"],
                    "item_id": row["item_id"],
                    "title": row["title"],
                    "quantity": to_hold(row),
                    "order_line_id": row["id"],
                }
                for row in lines
            ],
            "placed_at": instant_text(order["placed_at"]),
        },
    )
    for row in lines:
        plan.update(ORDER_LINE, row, released=row["shipped"] - row["returned"] + to_hold(row))
    work.set(released_at=plan.now)


def _withdraw(work: Work) -> None:
    order = work.order
    if order["withdrawn_at"] is not None:
        return
    unsent = [state.row for state in work.lines if state.row["released"] > state.row["shipped"]]
    if order["released_at"] is not None and not unsent:
        return
    work.plan.emit(
        "order.cancelled",
        work.subject,
        {
            "order_id": order["id"],
            "order_name": order["name"],
            "ref": order["ref"],
            "connection_id": order["connection_id"],
            "external_id": order["external_id"],
            "released": order["released_at"] is not None,
            "reason": order["cancel_reason"],
            "cancelled_at": instant_text(order["cancelled_at"]),
        },
    )
    work.set(withdrawn_at=work.plan.now)


def _check_released(work: Work) -> None:
    """An edit that reached us after the warehouse got the order is a person's to carry over."""
    differing = []
    for state in work.lines:
        row = state.row
        if not is_goods(row) or ignored(work, row):
            continue
        given, wanted = max(0, row["released"] - row["shipped"]), to_hold(row)
        if given != wanted:
            differing.append({"sku": row["sku"], "title": row["title"], "at_warehouse": given, "wanted": wanted})
    if differing:
        work.ask(
            "order.edited_after_release",
            f"order {work.order['name']} was changed after it went to the warehouse: change it there too, or send the rest "
            "apart",
            {"order": work.order["name"], "ref": work.order["ref"], "lines": differing},
            {"answer": "done", "needs": [], "text": "The warehouse knows"},
        )
