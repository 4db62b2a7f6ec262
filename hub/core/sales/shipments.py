"""Records what a warehouse sent: reserved goods leave the stock, and the shop can be told."""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from hub.core.errors import CoreError
from hub.core.ledger.book import book_of
from hub.core.plan import Plan, Row
from hub.core.sales.goods import is_goods, to_hold
from hub.core.sales.references import order_of_ref
from hub.core.sales.snapshot import line_states
from hub.core.sales.sources import FULFILMENTS, add_row, rows_of
from hub.core.sales.tables import FULFILMENT, ORDER_LINE, SALES_ORDER
from hub.core.stock.items import item_by_id
from hub.core.stock.reservations import OPEN, of_order, ship
from hub.core.time import instant_of, local_date
from hub.records.order import Shipment

_json = msgspec.json.Encoder().encode


class ShipmentRefused(CoreError):
    """A shipment that fits no order, or more than the order has set aside."""

    kind = "shipment.unknown_order"


class ShipmentResult(msgspec.Struct, frozen=True):
    """The order that goods left for; `replayed`: the shipment was recorded before."""

    order_id: int
    fulfilment_id: int
    replayed: bool


@dataclass(slots=True)
class _Sendable:
    """A line of which units may leave; without a reservation when it is not kept in stock."""

    line: Row
    reservation: Row | None
    left: int


def record_shipment(plan: Plan, shipment: Shipment, connection_id: int) -> ShipmentResult:
    """Records a shipment of a warehouse once, all of an order or a part. Without lines it is all that is set aside.

    Raises: ShipmentRefused (`shipment.unknown_order`, `shipment.exceeds`), with nothing planned."""
    order = order_of_ref(plan, shipment.order_ref)
    if order is None:
        raise ShipmentRefused(
            f"shipment {shipment.external_id} names the order {shipment.order_ref!r}, which is none of ours: correct the "
            "reference at the warehouse, or dismiss it",
            subject=f"shipment:{connection_id}:{shipment.external_id}",
            details={"shipment": shipment.external_id, "order_ref": shipment.order_ref},
            answers=[
                {"answer": "retry", "needs": [], "text": "It is corrected: try again"},
                {"answer": "dismiss", "needs": [], "text": "It is not an order of ours"},
            ],
        )
    known = next(
        (
            row
            for row in rows_of(plan, FULFILMENTS, order["id"])
            if row["connection_id"] == connection_id and row["external_id"] == shipment.external_id
        ),
        None,
    )
    if known is not None and (known["status"] == shipment.status or known["status"] == "shipped"):
        _update_tracking(plan, known, shipment)
        return ShipmentResult(order["id"], known["id"], True)
    if shipment.status == "cancelled":
        if order["withdrawn_at"] is None:  # else it does what it was asked to
            _ask_cancelled(plan, order, shipment)
        row = _keep(plan, order, shipment, connection_id, [])
        return ShipmentResult(order["id"], row["id"], False)
    parts = _allocate(plan, order, shipment)
    date = local_date(instant_of(shipment.shipped_at, "shipped_at"), book_of(plan)["zone"])
    for number, (line, reservation, quantity) in enumerate(parts, 1):
        if reservation is not None:
            ship(plan, reservation, quantity, f"shipment:{connection_id}:{shipment.external_id}:{number}", date)
        plan.update(ORDER_LINE, line, shipped=line["shipped"] + quantity)
    lines = [(line["external_id"], quantity) for line, _, quantity in parts]
    if known is not None:
        plan.update(FULFILMENT, known, status=shipment.status, lines=_json(lines).decode())
        row = known
    else:
        row = _keep(plan, order, shipment, connection_id, lines)
    _close(plan, order)
    _emit(plan, order, shipment, connection_id, parts)
    return ShipmentResult(order["id"], row["id"], False)


def _allocate(plan: Plan, order: Row, shipment: Shipment) -> list[tuple[Row, Row | None, int]]:
    """(order line, its reservation, units) for each line of the shipment, in the order's own order."""
    reserved = {row["order_line_id"]: row for row in of_order(plan, order["id"]) if row["state"] in OPEN}
    by_sku: dict[str, list[_Sendable]] = {}
    for state in line_states(plan, order):
        row = state.row
        reservation = reserved.get(row["id"])
        if not is_goods(row) or order["cancelled_at"] is not None:
            continue
        if reservation is None:  # not kept in stock here
            left = to_hold(row)
        elif reservation["state"] == "held":
            left = reservation["quantity"] - reservation["shipped"]
        else:
            continue
        own = item_by_id(plan, row["item_id"])["sku"] if row["item_id"] is not None else None
        part = _Sendable(row, reservation, left)
        for sku in {row["sku"], own} - {None}:
            by_sku.setdefault(sku, []).append(part)
    wanted: dict[str, int] = {}
    for line in shipment.lines:
        wanted[line.sku] = wanted.get(line.sku, 0) + line.quantity
    if not shipment.lines:
        unique = {part.line["id"]: part for parts in by_sku.values() for part in parts}
        if not unique:
            raise _exceeds(order, shipment, "anything", 0, 0)
        return [(part.line, part.reservation, part.left) for part in unique.values() if part.left]
    result: list[tuple[Row, Row | None, int]] = []
    for sku, quantity in wanted.items():
        left = quantity
        for part in by_sku.get(sku, ()):
            units = min(left, part.left)
            if units > 0:
                result.append((part.line, part.reservation, units))
                part.left -= units
                left -= units
        if left or quantity <= 0:
            raise _exceeds(order, shipment, sku, quantity, quantity - left)
    return result


def _exceeds(order: Row, shipment: Shipment, sku: str, sent: int, set_aside: int) -> ShipmentRefused:
    return ShipmentRefused(
        f"shipment {shipment.external_id} sends {sent} of {sku} for order {order['name']}, which has {set_aside} set aside: "
        "look at what left the warehouse",
        kind="shipment.exceeds",
        subject=f"order:{order['id']}",
        details={
            "shipment": shipment.external_id,
            "order": order["name"],
            "sku": sku,
            "shipped": sent,
            "set_aside": set_aside,
        },
        answers=[{"answer": "retry", "needs": [], "text": "The order or the stock is corrected: try again"}],
    )


def _keep(plan: Plan, order: Row, shipment: Shipment, connection_id: int, lines: list[tuple[str, int]]) -> Row:
    row = plan.insert(
        FULFILMENT,
        {
            "connection_id": connection_id,
            "order_id": order["id"],
            "external_id": shipment.external_id,
            "origin": "warehouse",
            "status": shipment.status,
            "carrier": shipment.carrier,
            "service": shipment.service,
            "tracking_number": shipment.tracking_number,
            "tracking_url": shipment.tracking_url,
            "shipped_at": instant_of(shipment.shipped_at, "shipped_at"),
            "lines": _json(lines).decode(),
            "created_at": plan.now,
        },
    )
    add_row(plan, FULFILMENTS, order["id"], row)
    return row


def _update_tracking(plan: Plan, row: Row, shipment: Shipment) -> None:
    """A tracking number that came after the goods had left is kept."""
    later = {
        name: value
        for name in ("carrier", "service", "tracking_number", "tracking_url")
        if (value := getattr(shipment, name)) is not None and row[name] is None
    }
    if later:
        plan.update(FULFILMENT, row, **later)


def _close(plan: Plan, order: Row) -> None:
    unsent = any(to_hold(state.row) for state in line_states(plan, order) if is_goods(state.row))
    if order["state"] == "open" and order["invoiced"] and order["outstanding"] == 0 and not unsent:
        plan.update(SALES_ORDER, order, state="closed", updated_at=plan.now)


def _ask_cancelled(plan: Plan, order: Row, shipment: Shipment) -> None:
    plan.emit(
        "question.raised",
        f"order:{order['id']}",
        {
            "kind": "shipment.cancelled",
            "reason": f"the warehouse cancelled its shipment {shipment.external_id} of order {order['name']}: its goods stay "
            "set aside",
            "details": {"shipment": shipment.external_id, "order": order["name"]},
            "answers": [{"answer": "done", "needs": [], "text": "It is settled with the warehouse"}],
        },
    )


def _emit(
    plan: Plan, order: Row, shipment: Shipment, connection_id: int, parts: list[tuple[Row, Row | None, int]]
) -> None:
    plan.emit(
        "shipment.recorded",
        f"order:{order['id']}",
        {
            "order": {
                "id": order["id"],
                "connection_id": order["connection_id"],
                "external_id": order["external_id"],
                "name": order["name"],
            },
            "shipment": {
                "connection_id": connection_id,
                "external_id": shipment.external_id,
                "shipped_at": shipment.shipped_at,
                "carrier": shipment.carrier,
                "service": shipment.service,
                "tracking_number": shipment.tracking_number,
                "tracking_url": shipment.tracking_url,
            },
            "lines": [
                {"order_line": line["external_id"], "sku": line["sku"], "quantity": quantity}
                for line, _, quantity in parts
            ],
        },
    )
