"""Proves what a hub promises: each event at its end or named, each effect once, the chain whole, books and stock right."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

from sqlalchemy import Connection

from hub.connect.vault import VaultError
from hub.core.faults import Fault
from hub.core.ledger.verify import verify_ledger
from hub.core.sales.verify import verify_sales
from hub.core.stock.verify import verify_stock
from hub.db.types import instant_text
from hub.inbox.proof import Ends, prove_events
from hub.outbox.ends import prove_deliveries
from hub.outbox.proof import EffectProof, prove_effects
from hub.workers.hub import Hub

#: open events and deliveries, and faults of one kind, that are named; all are counted
SHOWN = 20
_MOVING_EVENTS = ("fetch", "ready", "retry")
_MOVING_DELIVERIES = ("planned", "waiting", "sending", "retry")


def prove(hub: Hub, *, strict: bool = False, merchant_id: int = 1) -> dict[str, Any]:
    """The proof of a merchant's hub from its rows, in one state of the database.

    `{ok, at, effects: {count, confirmed, hash}, events, deliveries, open, faults: [{check, seq, delivery, place, message}],
    counts}`; `counts` are all faults by check, of which the first are listed. `strict`: what is open is a fault."""
    with hub.database.snapshot() as connection:
        key = chain_keys(hub, connection, merchant_id)
        effects = prove_effects(connection, merchant_id, key)
        events = prove_events(connection, merchant_id, most=SHOWN)
        deliveries = prove_deliveries(connection, merchant_id, most=SHOWN)
        found = [
            *verify_ledger(connection, merchant_id, key),
            *verify_stock(connection, merchant_id),
            *verify_sales(connection, merchant_id),
            *events.faults,
            *deliveries.faults,
        ]
    if strict:
        found += [
            *_unfinished("event", events, _MOVING_EVENTS),
            *_unfinished("delivery", deliveries, _MOVING_DELIVERIES),
        ]
    faults, counts = _faults(effects, found)
    return {
        "ok": not faults,
        "at": instant_text(hub.clock()),
        "effects": {"count": effects.effects, "confirmed": effects.confirmed, "hash": effects.hash.hex()},
        "events": events.counts,
        "deliveries": deliveries.counts,
        "open": [dataclasses.asdict(each) for each in (*events.open, *deliveries.open)],
        "faults": faults,
        "counts": counts,
    }


def chain_keys(hub: Hub, connection: Connection, merchant_id: int) -> Callable[[int], bytes]:
    """The bytes of chain keys by id, retired ones too; none for an id that was put there by somebody else."""

    def key(key_id: int) -> bytes:
        try:
            return hub.vault.key(connection, merchant_id, key_id).key
        except VaultError:
            return b""

    return key


def _unfinished(what: str, ends: Ends, states: Sequence[str]) -> list[Fault]:
    return [
        Fault(f"{what}.open", f"{what}s", f"{ends.counts[state]} are {state}")
        for state in ends.counts
        if state in (*states, "parked", "rejected", "uncertain")
    ]


def _faults(effects: EffectProof, found: Sequence[Fault]) -> tuple[list[dict[str, Any]], dict[str, int]]:
    """What is wrong, each with its place, the first of each check; and how many there are of each."""
    counts, faults = (
        dict(effects.counts),
        [_row(each.check, each.place, each.message, each.seq, each.delivery_id) for each in effects.faults],
    )
    for each in found:
        counts[each.check] = counts.get(each.check, 0) + 1
        faults.append(_row(each.check, each.place, each.message))
    shown: dict[str, int] = {}
    kept = []
    for row in faults:
        shown[row["check"]] = shown.get(row["check"], 0) + 1
        if shown[row["check"]] <= SHOWN:
            kept.append(row)
    return kept, counts


def _row(
    check: str, place: str, message: str, seq: int | None = None, delivery_id: int | None = None
) -> dict[str, Any]:
    delivery = None if delivery_id is None else str(delivery_id)
    return {"check": check, "seq": seq, "delivery": delivery, "place": place, "message": message}
