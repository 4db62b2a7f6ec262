"""Proves what a hub promises: each event at its end or named, each effect once, the chain whole, books and stock right."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec
from sqlalchemy import Connection

from hub.connect.rootkeys import VaultError
from hub.core.faults import Fault
from hub.core.ledger.verify import verify_ledger
from hub.core.sales.verify import verify_sales
from hub.core.stock.verify import verify_stock
from hub.db.identity import hub_id, known_id
from hub.db.types import instant_text
from hub.inbox.proof import Ends, prove_events
from hub.outbox import checkpoint as signing
from hub.outbox.ends import prove_deliveries
from hub.outbox.proof import EffectFault, prove_effects
from hub.workers.admin.errors import AdminError
from hub.workers.hub import Hub

#: open events and deliveries, and faults of one kind, that are named; all are counted
SHOWN = 20
_MOVING_EVENTS = ("fetch", "ready", "retry")
_MOVING_DELIVERIES = ("planned", "waiting", "sending", "retry")


def prove(
    hub: Hub, *, strict: bool = False, checkpoints: Sequence[Mapping[str, str]] = (), merchant_id: int = 1
) -> dict[str, Any]:
    """The proof of a merchant's hub from its rows, in one state of the database.

    `{ok, at, effects: {count, confirmed, hash}, events, deliveries, open, faults: [{check, seq, delivery, message}],
    counts}`; `counts` are all faults by check, of which the first are listed. `strict`: what is open is a fault. `checkpoints`: files, `{name, text}`, that the
    logs must begin with. Raises: AdminError when one is no checkpoint."""
    kept = [_opened(each["name"], each["text"]) for each in checkpoints]
    with hub.database.snapshot() as connection:
        key = chain_keys(hub, connection, merchant_id)
        effects = prove_effects(connection, merchant_id, key)
        events = prove_events(connection, merchant_id, most=SHOWN)
        deliveries = prove_deliveries(connection, merchant_id, most=SHOWN)
        effects.take(_compared(hub, connection, merchant_id, kept))
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
    effects.take(_fault(each) for each in found)
    return {
        "ok": not effects.counts,
        "at": instant_text(hub.clock()),
        "effects": {"count": effects.effects, "confirmed": effects.confirmed, "hash": effects.hash.hex()},
        "events": events.counts,
        "deliveries": deliveries.counts,
        "open": [dataclasses.asdict(each) for each in (*events.open, *deliveries.open)],
        "faults": fault_rows(effects.faults),
        "counts": effects.counts,
    }


def checkpoint(hub: Hub, *, merchant_id: int = 1) -> dict[str, Any]:
    """A signed statement of where the logs stand, as `{file, public_key, statement}`. Raises: AdminError when the proof of
    what it would say fails."""
    hub.database.ids.ensure(1)
    with hub.database.write() as connection:
        seed = hub.vault.data_key(connection, merchant_id, "signing").key
        identity = hub_id(connection)
    with hub.database.snapshot() as connection:
        key = chain_keys(hub, connection, merchant_id)
        effects = prove_effects(connection, merchant_id, key)
        if effects.counts or verify_ledger(connection, merchant_id, key):
            raise AdminError("nothing is signed: the logs have faults, which `hub prove` names")
        statement = signing.state(
            connection, merchant_id, hub=identity, effects=effects.effects, last=effects.hash, now=hub.clock()
        )
    return {
        "file": signing.sign(statement, seed),
        "public_key": signing.public_key(seed),
        "statement": msgspec.to_builtins(statement),
    }


def _opened(name: str, text: str) -> signing.Checkpoint:
    try:
        return signing.opened(text)
    except signing.CheckpointError as error:
        raise AdminError(f"{name}: {error}") from None


def _compared(
    hub: Hub, connection: Connection, merchant_id: int, kept: Sequence[signing.Checkpoint]
) -> list[EffectFault]:
    if not kept:
        return []
    ours = [signing.public_key(each.key) for each in hub.vault.all_keys(connection, merchant_id, "signing")]
    return list(signing.compare(connection, merchant_id, kept, hub=known_id(connection) or "", ours=ours))


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


def _fault(each: Fault) -> EffectFault:
    """A fault of another part: what it is about is in its message."""
    return EffectFault(each.check, None, None, f"{each.place}: {each.message}")


def fault_rows(faults: Sequence[EffectFault]) -> list[dict[str, Any]]:
    """Faults as JSON: the first of each check. Ids are text, as everywhere in JSON."""
    shown: dict[str, int] = {}
    rows = []
    for each in faults:
        shown[each.check] = shown.get(each.check, 0) + 1
        if shown[each.check] <= SHOWN:
            delivery = None if each.delivery_id is None else str(each.delivery_id)
            rows.append({"check": each.check, "seq": each.seq, "delivery": delivery, "message": each.message})
    return rows
