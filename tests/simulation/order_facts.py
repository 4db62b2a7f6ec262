"""What every side has of each order in the end, without ids, numbers and instants: equal for orders of one story."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from .stage import Stage

Facts = dict[str, Any]
#: what each account has of an order, by VAT code
_BALANCES = (
    "SELECT sales_order.name, account.code, coalesce(posting.vat_code, ''), sum(posting.amount) FROM posting "
    "JOIN entry ON entry.id = posting.entry_id JOIN account ON account.id = posting.account_id "
    "LEFT JOIN document ON document.entry_id = entry.id "
    "JOIN sales_order ON sales_order.id = document.order_id OR sales_order.name = entry.document_ref GROUP BY 1, 2, 3"
)
_INVOICED = (
    "SELECT sales_order.name, document.number, CASE document.kind WHEN 'invoice' THEN 1 ELSE -1 END AS sign, document.total_net, document.total_tax "
    "FROM document JOIN sales_order ON sales_order.id = document.order_id"
)
_GOODS = (
    "SELECT sales_order.name, order_line.sku, sum(shipped), sum(returned), sum(channel_taken) FROM order_line "
    "JOIN sales_order ON sales_order.id = order_line.order_id WHERE kind = 'product' GROUP BY 1, 2"
)
_RESERVED = (
    "SELECT sales_order.name, item.sku, sum(quantity - shipped) FROM reservation JOIN item ON item.id = reservation.item_id "
    "JOIN sales_order ON sales_order.id = reservation.order_id WHERE reservation.state IN ('held', 'waiting') GROUP BY 1, 2"
)
_LEVELS = (
    "SELECT item.sku, sum(on_hand), sum(on_hand - held - waiting) FROM stock_level JOIN item ON item.id = stock_level.item_id "
    "JOIN location ON location.id = stock_level.location_id WHERE location.kind = 'warehouse' GROUP BY item.sku"
)
_OPEN = (
    "SELECT 'event ' || topic, state, outcome FROM inbox WHERE state <> 'done' UNION ALL "
    "SELECT 'delivery ' || operation || ' ' || key, state, reason FROM delivery "
    "WHERE state NOT IN ('confirmed', 'superseded') UNION ALL "
    "SELECT 'question ' || kind, subject, reason FROM question WHERE state = 'open'"
)
#: what a shop's summary of an order says beside ids and instants
_SHOWN = ("financial_status", "fulfillment_status", "cancelled", "current_total", "current_tax", "received", "refunded")


def facts_of(stage: Stage) -> dict[str, Facts]:
    """By the name of the order: balances by account and VAT code, net and tax invoiced, goods, and what the shop, the books
    and the warehouse have of it."""
    found: dict[str, Facts] = defaultdict(dict)
    balances: dict[str, dict[str, int]] = defaultdict(dict)
    for name, code, vat, amount in stage.rows(_BALANCES):
        if amount:
            balances[name][f"{code} {vat}".strip()] = amount
    invoiced: dict[str, Counter[str]] = defaultdict(Counter)
    order_of: dict[str, str] = {}
    for name, number, sign, net, tax in stage.rows(_INVOICED):
        order_of[number] = name
        invoiced[name].update(net=sign * net, tax=sign * tax)
    goods: dict[str, dict[str, Any]] = defaultdict(dict)
    for name, sku, shipped, returned, taken in stage.rows(_GOODS):
        goods[name][sku] = {"shipped": shipped, "returned": returned, "taken": taken}
    for name, sku, reserved in stage.rows(_RESERVED):
        goods[name][sku]["reserved"] = reserved
    books, warehouse = _books(stage, order_of), _warehouse(stage)
    for order in stage.sandbox("shop")["orders"]:
        name = order["name"]
        found[name] = {
            "balances": balances[name],
            "invoiced": dict(invoiced[name]),
            "goods": goods[name],
            "shop": _shop(order),
            "books": books[name],
            "warehouse": warehouse[name],
        }
    return found


def _shop(order: Mapping[str, Any]) -> Facts:
    shipped = [
        (sorted((line["sku"], line["quantity"]) for line in each["lines"]), len(each["tracking"]), each["notify"])
        for each in order["fulfillments"]
    ]
    return {**{name: order[name] for name in _SHOWN}, "fulfilments": shipped}


def _books(stage: Stage, order_of: Mapping[str, str]) -> dict[str, Facts]:
    """Totals less what was credited, taxes by rate, and what was paid, of each order."""
    state = stage.sandbox("books")
    rates = {each["Id"]: each["Name"] for each in state["taxrate"]}
    found: dict[str, Facts] = defaultdict(lambda: {"total": Decimal(0), "taxes": Counter(), "paid": Decimal(0)})
    name_of: dict[str, str] = {}
    for entity, sign in (("invoice", 1), ("creditmemo", -1)):
        for each in state[entity]:
            name = order_of[each["DocNumber"]]
            if entity == "invoice":
                name_of[each["Id"]] = name
            found[name]["total"] += sign * Decimal(str(each["TotalAmt"]))
            for line in each["TxnTaxDetail"].get("TaxLine", ()):
                rate = rates[line["TaxLineDetail"]["TaxRateRef"]["value"]]
                found[name]["taxes"][rate] += sign * Decimal(str(line["Amount"]))
    for each in state["payment"]:
        for line in each["Line"]:
            found[name_of[line["LinkedTxn"][0]["TxnId"]]]["paid"] += Decimal(str(line["Amount"]))
    return found


def _warehouse(stage: Stage) -> dict[str, Facts]:
    """What it has sent and is to send of each order; an order that was called back is as none."""
    names = {row.ref: row.name for row in stage.rows("SELECT ref, name FROM sales_order")}
    found: dict[str, Facts] = defaultdict(dict)
    for each in stage.sandbox("warehouse")["orders"]:
        if each["status"] != "Cancelled":
            products = sorted((product["sku"], product["quantity"]) for product in each["products"])
            found[names[each["reference_id"]]][each["status"]] = products
    return found


def wrong(stage: Stage, facts: Mapping[str, Facts]) -> list[str]:
    """What does not hold for all orders together: what is not at its end, sums that differ from the shop's own figures, and
    stock that is not what came in less what left."""
    found = [" ".join(map(str, row)) for row in stage.rows(_OPEN)]
    units, back = Counter[str](), Counter[str]()
    for name, each in facts.items():
        due = each["shop"]["current_total"]
        net = Decimal(each["invoiced"].get("net", 0) + each["invoiced"].get("tax", 0)) / 100
        if net != Decimal(due):
            found.append(f"order {name}: the shop says {due}, the hub invoiced {net}")
        if each["books"]["total"] != net:
            found.append(f"order {name}: the hub invoiced {net}, the books have {each['books']['total']}")
        if each["books"]["paid"] != Decimal(each["shop"]["received"]):
            found.append(f"order {name}: {each['shop']['received']} were paid, the books have {each['books']['paid']}")
        for lines, _, _ in each["shop"]["fulfilments"]:
            units.update(dict(lines))
    for order in stage.sandboxes.inside("shop").shop.orders.values():
        for refund in order.refunds:
            back.update({line.line.sku: line.quantity for line in refund.lines if line.restock == "RETURN"})
    shown = {each["sku"]: each["available"] for each in stage.sandbox("shop")["inventory"]}
    for sku, on_hand, available in stage.rows(_LEVELS):
        expected = stage.units[sku] - units[sku] + back[sku]
        if on_hand != expected:
            found.append(f"stock of {sku}: {on_hand} on hand, and {expected} came in and did not leave")
        if available != shown[sku]:
            found.append(f"stock of {sku}: {available} for sale, and the shop shows {shown[sku]}")
    return found
