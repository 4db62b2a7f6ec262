"""Brings the goods of an order to the level of its snapshot: reservations, what left by hand, what came back, and what
the shop's own number has lost to it."""

from __future__ import annotations

from hub.core.plan import Plan, Row
from hub.core.sales.context import Work
from hub.core.sales.invoicing import removed_units
from hub.core.sales.snapshot import content_of, fulfilment_lines
from hub.core.sales.sources import ALIASES, FULFILMENTS, REFUNDS, alias_keys, rows_of
from hub.core.sales.tables import ORDER_LINE
from hub.core.stock.channels import imported
from hub.core.stock.items import item_by_id, item_by_sku, level, location, tell_level
from hub.core.stock.moves import StockShort, move
from hub.core.stock.reservations import OPEN, of_order, reserve, resize, ship, void

#: statuses of fulfilments in which nothing left
_NOT_SENT = frozenset({"CANCELLED", "CANCELED", "ERROR", "FAILURE", "PENDING", "OPEN"})

_ANSWERS: tuple[Row, ...] = (
    {"answer": "map", "needs": ["sku"], "text": "It is this item of ours"},
    {"answer": "create", "needs": [], "text": "Make an item with this SKU"},
    {"answer": "ignore", "needs": [], "text": "It is not kept in stock"},
)


def is_goods(row: Row) -> bool:
    """The line is something that is sent."""
    return row["kind"] == "product" and bool(row["requires_shipping"])


def to_hold(row: Row) -> int:
    """Units of a line that are still to be sent."""
    left: int = row["current_quantity"] - (row["shipped"] - row["returned"])
    return max(0, left)


def resolve_items(work: Work) -> list[Row]:
    """Finds the items of the lines that are sent; answers the lines whose SKU is unknown."""
    unknown: list[Row] = []
    for state in work.lines:
        row = state.row
        if not is_goods(row) or row["item_id"] is not None:
            continue
        found, item_id = _item(work, row)
        if not found:
            if row["current_quantity"] or row["shipped"]:
                unknown.append(row)
        elif item_id is not None:
            work.plan.update(ORDER_LINE, row, item_id=item_id)
    if unknown:
        first = unknown[0]
        work.ask(
            "sku.unknown",
            f"order {work.order['name']} has {len(unknown)} line(s) whose SKU is no item of ours, first "
            f"{first['sku'] or first['title']!r}: the money is booked, stock and warehouse wait",
            {
                "sku": first["sku"],
                "variant_id": first["variant_id"],
                "title": first["title"],
                "connection_id": work.order["connection_id"],
                "lines": [
                    {"sku": row["sku"], "variant_id": row["variant_id"], "title": row["title"]} for row in unknown
                ],
            },
            *_ANSWERS,
        )
    return unknown


def _item(work: Work, row: Row) -> tuple[bool, int | None]:
    for key in alias_keys(row["variant_id"], row["sku"]):
        alias = work.plan.get(ALIASES, (work.order["connection_id"], key))
        if alias is not None:
            return True, alias["item_id"]
    item = item_by_sku(work.plan, row["sku"]) if row["sku"] else None
    return (True, item["id"]) if item is not None else (False, None)


def ignored(work: Work, row: Row) -> bool:
    """A person said that this line is not kept in stock."""
    return row["item_id"] is None and _item(work, row) == (True, None)


def is_tracked(plan: Plan, row: Row) -> bool:
    """The line's item is known and kept in stock."""
    return row["item_id"] is not None and bool(item_by_id(plan, row["item_id"])["tracked"])


def bring_goods_to_level(work: Work) -> set[tuple[int, int]]:
    """Makes reservations, moves and the shop's expected number what they should be. Answers the places (item id, location
    id) where units became free, for those who wait."""
    freed: set[tuple[int, int]] = set()
    news = len(work.plan.events)
    moved = _channel_levels(work)
    if work.policy.reserve_at is None:
        return freed
    place = location(work.plan, work.policy.reserve_at)["id"]
    open_by_line = {row["order_line_id"]: row for row in of_order(work.plan, work.order["id"]) if row["state"] in OPEN}
    sent = _sent_by_shop(work)
    back = _sent_back(work)
    for state in work.lines:
        row = state.row
        if not is_goods(row) or not is_tracked(work.plan, row):
            continue
        reservation = open_by_line.get(row["id"])
        by_hand = sent.get(row["external_id"], 0) - row["shipped"]
        if by_hand > 0:
            reservation = _ship_by_hand(work, row, reservation, place, min(by_hand, row["quantity"] - row["shipped"]))
        returned = min(back.get(row["external_id"], 0), row["shipped"]) - row["returned"]
        if returned > 0:
            _take_back(work, row, place, returned)
            freed.add((row["item_id"], place))
        wanted = 0 if work.order["cancelled_at"] is not None else to_hold(row)
        if _hold(work, row, reservation, place, wanted):
            freed.add((row["item_id"], place))
    _tell_channels(work, place, moved, news)
    _ask_short(work)
    return freed


def _hold(work: Work, row: Row, reservation: Row | None, place: int, wanted: int) -> bool:
    """Reserves exactly the units wanted. True when units became free."""
    held = reservation["quantity"] - reservation["shipped"] if reservation is not None else 0
    if held == wanted:
        return False
    work.changed = True
    if reservation is None:
        reserve(
            work.plan,
            item_id=row["item_id"],
            location_id=place,
            order_id=work.order["id"],
            order_line_id=row["id"],
            quantity=wanted,
        )
        return False
    if wanted:
        resize(work.plan, reservation, reservation["shipped"] + wanted)
    else:
        void(work.plan, reservation)
    return wanted < held


def _sent_by_shop(work: Work) -> dict[str, int]:
    units: dict[str, int] = {}
    for row in rows_of(work.plan, FULFILMENTS, work.order["id"]):
        if row["origin"] == "shop" and row["status"].upper() not in _NOT_SENT:
            for line_id, quantity in fulfilment_lines(row):
                units[line_id] = units.get(line_id, 0) + quantity
    return units


def _sent_back(work: Work) -> dict[str, int]:
    units: dict[str, int] = {}
    for refund in rows_of(work.plan, REFUNDS, work.order["id"]):
        for line_id, quantity, _, _, restock in content_of(refund).lines:
            if restock == "return":
                units[line_id] = units.get(line_id, 0) + quantity
    return units


def _ship_by_hand(work: Work, row: Row, reservation: Row | None, place: int, units: int) -> Row | None:
    """Goods that the shop sent without our warehouse: from the reservation, else straight from the shelf. Answers the
    reservation that is left."""
    if units <= 0:
        return reservation
    plan = work.plan
    left = units
    mark = plan.mark()
    ref = f"sent:{row['id']}:{row['shipped'] + 1}-{row['shipped'] + units}"
    try:
        if reservation is not None and reservation["state"] == "held":
            part = min(left, reservation["quantity"] - reservation["shipped"])
            ship(plan, reservation, part, f"{ref}:held", work.today)
            left -= part
        elif reservation is not None:
            void(plan, reservation)
        if left:
            move(plan, row["item_id"], place, "customer", left, "shipment", ref, work.today)
    except StockShort as error:
        plan.rollback(mark)
        work.ask(
            "stock.sent_short",
            f"order {work.order['name']}: the shop says that {units} of {row['sku']} left, which are not in stock: {error}",
            {"sku": row["sku"], "units": units, **error.details},
        )
        return reservation
    plan.update(ORDER_LINE, row, shipped=row["shipped"] + units)
    work.changed = True
    return reservation if reservation is not None and reservation["state"] in OPEN else None


def _take_back(work: Work, row: Row, place: int, units: int) -> None:
    ref = f"returned:{row['id']}:{row['returned'] + 1}-{row['returned'] + units}"
    move(work.plan, row["item_id"], "customer", place, units, "return", ref, work.today)
    work.plan.update(ORDER_LINE, row, returned=row["returned"] + units)
    work.changed = True


def _channel_levels(work: Work) -> set[int]:
    """The shop lowered its own number by what this order took; a restock gave it back, a shipment did not.
    Answers the items whose number has moved."""
    moved: set[int] = set()
    if not any(state.row["item_id"] is not None for state in work.lines):
        return moved
    contents = [content_of(row) for row in rows_of(work.plan, REFUNDS, work.order["id"])]
    needs = set(work.needs)
    removed = removed_units(work, contents)
    work.needs = needs
    if removed is None:
        return moved
    restocked: dict[str, int] = {}
    for content in contents:
        for line_id, quantity, _, _, restock in content.lines:
            if restock != "no_restock":
                restocked[line_id] = restocked.get(line_id, 0) + quantity
    for state in work.lines:
        row = state.row
        if row["kind"] != "product" or row["item_id"] is None:
            continue
        taken = row["quantity"] - removed[row["external_id"]] - restocked.get(row["external_id"], 0)
        if taken != row["channel_taken"]:
            imported(work.plan, work.order["connection_id"], row["item_id"], row["channel_taken"] - taken)
            work.plan.update(ORDER_LINE, row, channel_taken=taken)
            work.changed = True
            moved.add(row["item_id"])
    return moved


def _tell_channels(work: Work, place: int, moved: set[int], news: int) -> None:
    """Tells of the items whose number at the shop has moved while nothing here did, so that it is shown ours again: the shop
    takes back units that have left our warehouse."""
    told = {event.subject for event in work.plan.events[news:] if event.name == "stock.changed"}
    for item_id in sorted(moved):
        if f"item:{item_id}" not in told and item_by_id(work.plan, item_id)["tracked"]:
            tell_level(work.plan, level(work.plan, item_id, place))


def waiting_lines(work: Work) -> list[tuple[Row, int]]:
    """Lines whose goods are not there, with the units missing."""
    waiting = {
        row["order_line_id"]: row["quantity"]
        for row in of_order(work.plan, work.order["id"])
        if row["state"] == "waiting"
    }
    return [(state.row, waiting[state.row["id"]]) for state in work.lines if state.row["id"] in waiting]


def _ask_short(work: Work) -> None:
    short = waiting_lines(work)
    if short:
        work.ask(
            "stock.short",
            f"order {work.order['name']} waits for goods: "
            + ", ".join(f"{units} of {row['sku']}" for row, units in short),
            {
                "order": work.order["name"],
                "lines": [{"sku": row["sku"], "title": row["title"], "missing": units} for row, units in short],
            },
            {"answer": "wait", "needs": [], "text": "Goods will come: the order goes on by itself when they do"},
        )
