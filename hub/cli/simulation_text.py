"""A simulation for people."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from hub.cli import export_text

if TYPE_CHECKING:
    from hub.workers.simulate import Simulation


def text(made: Simulation) -> Iterator[str]:
    """A simulation for people, line by line."""
    found = made.outcome
    yield f"As of {made.clock}. Nothing was booked or sent."
    if made.export is not None:
        yield from export_text.text(made.export, found["questions"])
        return
    yield from _part("Came in", (f"{e['file']}: {e['topic']}: {e['state']}, {e['outcome']}" for e in made.events))
    yield from _part("Orders", (line for order in found["orders"] for line in _order(order)))
    yield from _part("Documents", (line for d in found["invoices"] + found["credit_notes"] for line in _document(d)))
    yield from _part("Entries", (line for entry in found["entries"] for line in _entry(entry)))
    yield from _part(
        "Reservations",
        (
            f"{r['order']}: {r['quantity']} of {r['sku']} at {r['location']}: {r['state']}"
            + (f", {r['shipped']} sent" if r["shipped"] else "")
            for r in found["reservations"]
        ),
    )
    yield from _part(
        "Moves",
        (f"{m['quantity']} of {m['sku']}: {m['source']} -> {m['destination']}, {m['ref']}" for m in found["moves"]),
    )
    yield from _part("Deliveries that would be sent", (line for d in found["deliveries"] for line in _delivery(d)))
    yield from _part("Questions", (line for q in found["questions"] for line in _question(q)))
    yield from _part("Would be read first", (f"{r['record']} {r['record_id']}" for r in made.reads))


def _part(title: str, lines: Iterator[str]) -> Iterator[str]:
    shown = list(lines)
    if shown:
        yield ""
        yield title
        yield from (f"  {line}" for line in shown)


def _order(order: dict[str, Any]) -> Iterator[str]:
    checked = order["check"]
    if "id" not in order:
        yield f"{order['external_id']}: {checked['result']}: {checked['reason']}"
        return
    yield (
        f"{order['name']} ({order['external_id']}): {order['financial_status'].lower()}, {order['state']}, "
        f"total {order['total']}, outstanding {order['outstanding']}"
    )
    why = f" ({', '.join(checked['questions'])})" if checked["questions"] else ""
    yield (
        f"  invoiced {checked['invoiced'].decimal()} - credited {checked['credited'].decimal()} = {checked['net']}; "
        f"the shop says {checked['shop']}: {checked['result']}{why}"
    )


def _document(document: dict[str, Any]) -> Iterator[str]:
    kind = {"invoice": "Invoice", "credit_note": "Credit note"}[document["kind"]]
    reason = f", {document['reason']}" if document.get("reason") else ""
    yield f"{kind} {document['number']} of {document['date']} for {document['order']}: {document['total']}{reason}"
    for line in document.get("lines", ()):
        rate = f"{_percent(line['rate'])} %" if line["rate"] else "no VAT"
        sku = f"{line['sku']} " if line["sku"] else ""
        yield (
            f"  {line['quantity']} x {sku}{line['title']}: {line['net'].decimal()} net, {line['tax'].decimal()} VAT ({rate})"
        )
    for tax in document.get("taxes", ()):
        rate = f"{_percent(tax['rate'])} %" if tax["rate"] else "none"
        yield f"  VAT {tax['vat_code']} {rate} of {tax['base'].decimal()}: {tax['tax'].decimal()}"
    yield f"  net {document['net'].decimal()}, VAT {document['tax'].decimal()}, total {document['total']}"


def _percent(rate: str) -> str:
    from decimal import Decimal

    return format((Decimal(rate) * 100).normalize(), "f")


def _entry(entry: dict[str, Any]) -> Iterator[str]:
    yield f"{entry['seq']} {entry['journal']} {entry['date']} {entry['label']}"
    for part in entry["postings"]:
        amount = part["amount"].decimal()
        side = f"{amount:>12}" if amount >= 0 else f"{'':>14}{-amount:>12}"
        yield f"  {part['account']} {side}"


def _delivery(delivery: dict[str, Any]) -> Iterator[str]:
    from hub.connect import payload

    yield f"{delivery['connector']}: {delivery['operation']} {delivery['key']}"
    if delivery["body"] is None:
        yield "  (the number is computed when it is sent)"
    else:
        yield f"  {payload.canonical(delivery['body'])}"


def _question(question: dict[str, Any]) -> Iterator[str]:
    from hub.connect import payload

    place = question["file"] or question["about"]
    yield f"{question['kind']} ({place}): {question['reason']}"
    if question["details"]:
        yield f"  {payload.canonical(question['details'])}"
