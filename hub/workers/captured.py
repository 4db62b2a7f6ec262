"""What a hub knows of a run: the events that led to it, what came of them, and what was in stock before. Only read."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection

from hub.connect import payload
from hub.connect.errors import Unreadable
from hub.connect.registry import Registry
from hub.connect.tables import Connection as ConnectionTable
from hub.connect.tables import RoleBinding
from hub.core.ledger.tables import ENTRY
from hub.core.sales.tables import DOCUMENT, SALES_ORDER
from hub.db.types import instant_text
from hub.flows.tables import Run
from hub.inbox.questions import QUESTION
from hub.inbox.tables import READ_KINDS, Inbox
from hub.outbox.plan import DELIVERY
from hub.workers.admin.errors import AdminError, NotThere
from hub.workers.captured_goods import move_refs, receipts_between, reserved_skus, skus_of, stock_before
from hub.workers.outcome import Outcome, look

_CONNECTION = ConnectionTable.__table__  # type: ignore[attr-defined]
_ROLE = RoleBinding.__table__  # type: ignore[attr-defined]
_RUN = Run.__table__  # type: ignore[attr-defined]
_INBOX = Inbox.__table__  # type: ignore[attr-defined]
_ORDER = re.compile(r"\border[: ](\d+)")


@dataclass
class Captured:
    """Events in their order, the roles of their connections, and all that came of them."""

    events: list[Any]
    flows: list[str]
    #: role -> (connector, mode, settings without secrets)
    roles: dict[str, tuple[str, str, dict[str, Any]]]
    role_of: dict[int, str]
    stock: dict[str, int]
    outcome: Outcome
    #: whether nothing came later for the same orders, so that they are as the events left them
    last: bool
    #: events that read what was no longer there: in a test nothing is asked for then
    gone: list[int]
    #: whether flows read from systems: a test asks its sandboxes
    fetched: bool
    #: what warehouses call the orders, and their names
    refs: dict[str, str]


def event_of_run(connection: Connection, merchant_id: int, run_id: int) -> int:
    """The event that a run is of. Raises: NotThere."""
    found = connection.execute(
        sa.select(_RUN.c.event_seq).where(_RUN.c.merchant_id == merchant_id, _RUN.c.id == run_id)
    ).scalar()
    if found is None:
        raise NotThere(f"there is no run {run_id}: `hub runs` lists them")
    return int(found)


def capture(connection: Connection, registry: Registry, merchant_id: int, seq: int) -> Captured:
    """Everything about an event and those before it that its orders depend on. Raises: NotThere; AdminError where a body was
    erased, an event is not worked yet, or a person's answer is part of what came of it."""
    seq = _first(connection, merchant_id, seq)
    events, orders, later = _events(connection, merchant_id, seq)
    events = sorted([*events, *receipts_between(connection, merchant_id, events, orders)], key=lambda event: event.seq)
    followed = _followed(connection, merchant_id, [event.seq for event in events])
    _check(connection, merchant_id, [*events, *followed])
    gone = [event.seq for event in events if event.kind in READ_KINDS and content_of(event) is None]
    events = [event for event in events if event.seq not in gone]
    if seq in gone or not events:
        raise AdminError(f"event {seq} found nothing in its system, so that there is nothing to give to a test")
    seqs = [event.seq for event in (*events, *followed)]
    until = max(event.finished_at for event in (*events, *followed))
    runs = connection.execute(
        sa.select(_RUN.c.flow)
        .where(
            _RUN.c.merchant_id == merchant_id,
            _RUN.c.event_seq.in_(seqs),
            sa.func.coalesce(_RUN.c.trigger, "") != "stock.changed",
        )
        .order_by(_RUN.c.id)
    ).scalars()
    roles, role_of = _roles(connection, registry, merchant_id)
    skus = {sku for event in events for sku in skus_of(content_of(event))} | reserved_skus(
        connection, merchant_id, orders
    )
    return Captured(
        events,
        list(dict.fromkeys(runs)),
        roles,
        role_of,
        stock_before(connection, merchant_id, seqs, skus, orders, events[0].received_at),
        _outcome(connection, merchant_id, seqs, orders, until),
        not later,
        gone,
        any(event.fetched is not None for event in (*events, *followed)),
        _refs(connection, merchant_id, orders),
    )


def _first(connection: Connection, merchant_id: int, seq: int) -> int:
    """The event that came in from outside, of one of the core that flows answered after its transaction."""
    while True:
        row = connection.execute(
            sa.select(_INBOX.c.kind, _INBOX.c.parent_seq).where(
                _INBOX.c.merchant_id == merchant_id, _INBOX.c.seq == seq
            )
        ).one_or_none()
        if row is None or row.kind != "core" or row.parent_seq is None:
            return seq
        seq = row.parent_seq


def _followed(connection: Connection, merchant_id: int, seqs: Collection[int]) -> list[Any]:
    """The events of the core that followed, and those that followed them: a test causes them anew."""
    found: list[Any] = []
    while seqs:
        rows = connection.execute(
            sa.select(_INBOX)
            .where(_INBOX.c.merchant_id == merchant_id, _INBOX.c.kind == "core", _INBOX.c.parent_seq.in_(sorted(seqs)))
            .order_by(_INBOX.c.seq)
        ).all()
        found += rows
        seqs = [row.seq for row in rows]
    return found


def _events(connection: Connection, merchant_id: int, seq: int) -> tuple[list[Any], set[int], bool]:
    """The event with those that its keys and orders had before it; later ones that were worked together with it belong to
    them. Returns them, the ids of the orders, and whether later ones are left out."""
    target = connection.execute(
        sa.select(_INBOX).where(_INBOX.c.merchant_id == merchant_id, _INBOX.c.seq == seq)
    ).one_or_none()
    if target is None:
        raise NotThere(f"there is no event {seq}: `hub inbox` lists them")
    keys, orders = {target.ordering_key}, set[int]()
    while True:
        rows = connection.execute(
            sa.select(_INBOX)
            .where(
                _INBOX.c.merchant_id == merchant_id, _INBOX.c.ordering_key.in_(sorted(keys)), _INBOX.c.kind != "core"
            )
            .order_by(_INBOX.c.seq)
        ).all()
        if target.kind in ("manual", "schedule"):
            rows = [row for row in rows if row.seq == seq or row.ordering_key != target.ordering_key]
        finished = target.finished_at or 0
        chosen = [
            row for row in rows if row.seq <= seq or (row.finished_at is not None and row.finished_at <= finished)
        ]
        found = _orders(connection, merchant_id, chosen)
        more = {key for _, key in found} - keys
        orders |= {order for order, _ in found}
        if not more:
            return chosen, orders, len(chosen) < len(rows)
        keys |= more


def _orders(connection: Connection, merchant_id: int, events: Iterable[Any]) -> set[tuple[int, str]]:
    """Orders that events were about: (our id, the ordering key of their own events)."""
    seqs = [event.seq for event in events]
    texts: list[str] = []
    for row in connection.execute(
        sa.select(_RUN.c.subject, _RUN.c.changed).where(_RUN.c.merchant_id == merchant_id, _RUN.c.event_seq.in_(seqs))
    ):
        texts += [row.subject or "", row.changed]
    found = {int(number) for text in texts for number in _ORDER.findall(text)}
    return {
        (row.id, f"{row.connection_id}:order:{row.external_id}")
        for row in connection.execute(
            sa.select(SALES_ORDER.c.id, SALES_ORDER.c.connection_id, SALES_ORDER.c.external_id).where(
                SALES_ORDER.c.merchant_id == merchant_id, SALES_ORDER.c.id.in_(sorted(found))
            )
        )
    }


def _refs(connection: Connection, merchant_id: int, orders: Collection[int]) -> dict[str, str]:
    rows = connection.execute(
        sa.select(SALES_ORDER.c.ref, SALES_ORDER.c.name).where(
            SALES_ORDER.c.merchant_id == merchant_id, SALES_ORDER.c.id.in_(sorted(orders))
        )
    )
    return {row.ref: row.name for row in rows}


def _check(connection: Connection, merchant_id: int, events: list[Any]) -> None:
    for event in events:
        if event.state not in ("done", "parked"):
            raise AdminError(f"event {event.seq} is {event.state}: it can be captured when it is worked")
        if event.kind in READ_KINDS:
            if event.reads is None:
                raise AdminError(_erased(event, "what was read"))
        elif event.body is None:
            raise AdminError(_erased(event, "its body"))
    answered = connection.execute(
        sa.select(QUESTION.c.id).where(
            QUESTION.c.merchant_id == merchant_id,
            QUESTION.c.event_seq.in_([event.seq for event in events]),
            QUESTION.c.state == "answered",
        )
    ).scalars()
    if numbers := list(answered):
        raise AdminError(
            f"a person answered question {', '.join(map(str, numbers))}, which is a part of what came of it; a test gives no "
            "answers: capture an event without one, or write the test by hand"
        )


def _erased(event: Any, what: str) -> str:
    done = instant_text(event.finished_at)[:10] if event.finished_at else "unknown"
    return (
        f"event {event.seq} came in on {instant_text(event.received_at)[:10]} and was done on {done}: {what} has been erased "
        "since, so that it cannot be captured"
    )


def content_of(event: Any) -> Any:
    """What an event brought, as data; None where it is no JSON."""
    raw = event.reads if event.kind in READ_KINDS else event.body
    try:
        return payload.decode(raw) if raw else None
    except Unreadable:
        return None


def _roles(
    connection: Connection, registry: Registry, merchant_id: int
) -> tuple[dict[str, tuple[str, str, dict[str, Any]]], dict[int, str]]:
    """Roles with the first connection that plays each, and the role of each connection."""
    rows = connection.execute(
        sa.select(_ROLE.c.role, _CONNECTION)
        .join(_CONNECTION, _CONNECTION.c.id == _ROLE.c.connection_id)
        .where(_ROLE.c.merchant_id == merchant_id)
        .order_by(_ROLE.c.role, _ROLE.c.connection_id)
    ).all()
    roles: dict[str, tuple[str, str, dict[str, Any]]] = {}
    role_of: dict[int, str] = {}
    for row in rows:
        role_of.setdefault(row.id, row.role)
        manifest = registry.get(row.connector).manifest
        known = {
            name for name, setting in manifest.settings.items() if setting.type in ("bool", "int") or setting.choices
        }
        settings = {name: value for name, value in payload.decode(row.settings).items() if name in known}
        roles.setdefault(row.role, (row.connector, row.mode, settings))
    return roles, role_of


def _outcome(
    connection: Connection, merchant_id: int, seqs: Collection[int], orders: Collection[int], until: int
) -> Outcome:
    """What came of events, as tests see it: what was booked for their orders up to an instant, what was planned and asked."""
    found = look(connection, merchant_id)
    names = {order["id"]: order["name"] for order in found["orders"] if order["id"] in orders}
    others = {order["name"] for order in found["orders"]} - set(names.values())
    planned = sa.select(DELIVERY.c.id).where(
        DELIVERY.c.merchant_id == merchant_id, DELIVERY.c.event_seq.in_(list(seqs)), DELIVERY.c.is_state.is_(False)
    )
    questions = sa.select(QUESTION.c.event_seq, QUESTION.c.kind, QUESTION.c.subject).where(
        QUESTION.c.merchant_id == merchant_id,
        sa.or_(QUESTION.c.event_seq.in_(list(seqs)), QUESTION.c.delivery_id.in_(planned)),
        sa.or_(
            QUESTION.c.state == "open",
            # one that what came later has settled: a delivery's comes after its event, and is as the delivery is
            sa.and_(QUESTION.c.state == "resolved", QUESTION.c.created_at <= until, QUESTION.c.closed_at > until),
        ),
    )
    asked = {tuple(row) for row in connection.execute(questions)}
    kept = {
        "numbers": set(
            connection.execute(
                sa.select(DOCUMENT.c.number).where(
                    DOCUMENT.c.order_id.in_(sorted(orders)), DOCUMENT.c.issued_at <= until
                )
            ).scalars()
        ),
        "entries": _booked(connection, merchant_id, orders, until),
        "moves": move_refs(connection, merchant_id, seqs, orders, until),
    }
    documents = {
        kind: [each for each in found[kind] if each["number"] in kept["numbers"]]
        for kind in ("invoices", "credit_notes")
    }
    deliveries = {
        (row.name, row.operation, row.key)
        for row in connection.execute(
            sa.select(_CONNECTION.c.name, DELIVERY.c.operation, DELIVERY.c.key)
            .join(_CONNECTION, _CONNECTION.c.id == DELIVERY.c.connection_id)
            .where(DELIVERY.c.merchant_id == merchant_id, DELIVERY.c.event_seq.in_(list(seqs)))
        )
    }
    return {
        "orders": [each for each in found["orders"] if each["id"] in orders],
        **documents,
        "entries": [each for each in found["entries"] if each["seq"] in kept["entries"]],
        "moves": [each for each in found["moves"] if each["ref"] in kept["moves"]],
        "reservations": [each for each in found["reservations"] if each["order"] in names.values()],
        # a level, such as stock, tells of all orders and not of these
        "deliveries": [
            each
            for each in found["deliveries"]
            if (each["connection"], each["operation"], each["key"]) in deliveries
            and not each["ensure"] | each["level"]
            and each["about"] not in others
        ],
        "questions": [
            each
            for each in found["questions"]
            if (each["event"], each["kind"], each["subject"]) in asked and each["about"] not in others
        ],
    }


def _booked(connection: Connection, merchant_id: int, orders: Collection[int], until: int) -> set[int]:
    """The entries of orders: their document is an invoice or credit note of them, or the order itself."""
    numbers = sa.select(DOCUMENT.c.number).where(DOCUMENT.c.order_id.in_(sorted(orders)))
    names = sa.select(SALES_ORDER.c.name).where(SALES_ORDER.c.id.in_(sorted(orders)))
    return set(
        connection.execute(
            sa.select(ENTRY.c.seq).where(
                ENTRY.c.merchant_id == merchant_id,
                ENTRY.c.recorded_at <= until,
                sa.or_(ENTRY.c.document_ref.in_(numbers), ENTRY.c.document_ref.in_(names)),
            )
        ).scalars()
    )
