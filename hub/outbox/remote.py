"""Compares what one operation made on one connection with what the system itself lists: missing there, there twice, there
and unknown here, other values. What is there is listed first, so that what is confirmed meanwhile is known."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection

from hub.connect.listing import value_at
from hub.connect.proof_spec import Proof, expression
from hub.core.reading import one_of
from hub.mapping import EvaluationError
from hub.outbox import bodies, stock_levels
from hub.outbox.plan import DELIVERY
from hub.outbox.proof import Faults
from hub.outbox.tables import DeliveryState, Effect

_EFFECT = Effect.__table__  # type: ignore[attr-defined]
_PAGE = 1_000
_MERCHANT: sa.BindParameter[int] = sa.bindparam("merchant_id", type_=sa.BigInteger)
_OF: dict[str, sa.BindParameter[Any]] = {name: sa.bindparam(name) for name in ("connection_id", "operation")}
_EFFECTS = (
    sa.select(
        *(_EFFECT.c[name] for name in ("seq", "delivery_id", "key", "external_id", "confirmed_at")),
        DELIVERY.c.frozen_body,
    )
    .select_from(_EFFECT.outerjoin(DELIVERY, DELIVERY.c.id == _EFFECT.c.delivery_id))
    .where(
        _EFFECT.c.merchant_id == _MERCHANT,
        *(_EFFECT.c[name] == value for name, value in _OF.items()),
        _EFFECT.c.seq > sa.bindparam("after", type_=sa.BigInteger),
    )
    .order_by(_EFFECT.c.seq)
    .limit(_PAGE)
)
#: what is being sent now is told by the next comparison; what was only observed or dropped is nobody's of ours
_TO_CONFIRM = (
    *(DeliveryState.PLANNED, DeliveryState.WAITING, DeliveryState.RETRY),
    *(DeliveryState.REJECTED, DeliveryState.UNCERTAIN),
)
_UNCONFIRMED = (
    sa.select(*(DELIVERY.c[name] for name in ("id", "state", "key", "body", "frozen_body")))
    .where(
        DELIVERY.c.merchant_id == _MERCHANT,
        *(DELIVERY.c[name] == value for name, value in _OF.items()),
        one_of(DELIVERY.c.state, _TO_CONFIRM),
    )
    .order_by(DELIVERY.c.id)
)


@dataclass
class There:
    """One record there: its id, what no two share, whether it bears our mark, the values to compare."""

    id: str
    key: str | None
    mine: bool
    values: tuple[Any, ...]
    known: bool = False


@dataclass
class Lists:
    """What a system lists, by id and by key."""

    by_id: dict[str, There] = field(default_factory=dict)
    by_key: dict[str, list[There]] = field(default_factory=dict)


@dataclass(kw_only=True)
class Compared(Faults):
    """What came of a comparison: how many are here and there, how many there are none of ours, and the faults."""

    here: int = 0
    there: int = 0
    others: int = 0


@dataclass(frozen=True)
class Of:
    """Whose operation it is."""

    merchant_id: int
    connection_id: int
    operation: str
    name: str

    @property
    def values(self) -> dict[str, Any]:
        return {"merchant_id": self.merchant_id, "connection_id": self.connection_id, "operation": self.operation}


def lists(records: Iterable[Mapping[str, Any]], proof: Proof) -> Lists:
    """What is there, as little of it as is compared. A record that comes twice, because the list moved on, is one."""
    found = Lists()
    for record in records:
        key = value_at(proof.key, record)
        identity = value_at(proof.id, record) or key
        if identity is None or identity in found.by_id:
            continue
        mine = bool(proof.mine) and all(_fits(pattern, value_at(path, record)) for path, pattern in proof.mine.items())
        values = tuple(_value(each.there, record) for each in proof.same.values())
        found.by_id[identity] = there = There(identity, key, mine, values)
        if key is not None:
            found.by_key.setdefault(key, []).append(there)
    return found


def compare(connection: Connection, of: Of, proof: Proof, there: Lists, *, since: int, until: int) -> Compared:
    """The facts of an operation with what is there. `since`, `until`: when an effect that must be in the list was
    confirmed, in microseconds; until is when the list was begun."""
    made = Compared(there=len(there.by_id))
    for row in _effects(connection, of):
        made.here += 1
        found = there.by_id.get(row.external_id or "")
        if found is None:
            if since <= row.confirmed_at < until:
                said = "it has no id there" if row.external_id is None else f"there is no {row.external_id}"
                made.add("remote.missing", f"{of.name}: {of.operation} {row.key}: {said}", **_of_row(row))
            continue
        found.known = True
        if row.frozen_body is not None:
            _values(made, of, proof, found, bodies.decode(bytes(row.frozen_body)), row)
    _unconfirmed(connection, of, proof, there, made)
    for several in there.by_key.values():
        if len(several) > 1 and any(each.known or each.mine for each in several):
            ids = ", ".join(each.id for each in several)
            made.add("remote.twice", f"{of.name}: {of.operation} {several[0].key} is there {len(several)} times: {ids}")
            for each in several:
                each.known = True
    for one in there.by_id.values():
        if one.mine and not one.known:
            shown = f"{one.key} ({one.id})" if one.key else one.id
            made.add(
                "remote.unknown",
                f"{of.name}: {of.operation}: {shown} bears the hub's mark, and the hub does not know it",
            )
        made.others += not one.known and not one.mine
    return made


def compare_levels(connection: Connection, of: Of, proof: Proof, there: Lists) -> Compared:
    """Stock levels: what the shop shows now with what it should show by our reckoning."""
    made = Compared(there=len(there.by_id))
    for item_id, body in stock_levels.expected(connection, of.merchant_id, of.connection_id):
        made.here += 1
        key = value_at(proof.key_here or proof.key, body)
        found = there.by_key.get(key or "")
        if not found:
            made.add("remote.missing", f"{of.name}: {of.operation} item:{item_id}: it is not stocked there")
            continue
        found[0].known = True
        _values(made, of, proof, found[0], body, None, key=f"item:{item_id}")
    made.others = sum(not each.known for each in there.by_id.values())
    return made


def _effects(connection: Connection, of: Of) -> Iterator[Any]:
    after = 0
    while True:
        page = connection.execute(_EFFECTS, {**of.values, "after": after}).all()
        yield from page
        if len(page) < _PAGE:
            return
        after = page[-1].seq


def _values(
    made: Compared, of: Of, proof: Proof, found: There, body: Any, row: Any | None, *, key: str | None = None
) -> None:
    for (name, spec), theirs in zip(proof.same.items(), found.values, strict=True):
        ours = _value(spec.here, body)
        if ours == theirs:
            continue
        what = row.key if row is not None else key
        message = f"{of.name}: {of.operation} {what} ({found.id}): {name} is {theirs} there and {ours} here"
        made.add(f"remote.{name}", message, **_of_row(row))


def _of_row(row: Any) -> dict[str, int]:
    """The effect and the delivery of a fault; nothing for what is not a fact."""
    return {} if row is None else {"seq": row.seq, "delivery_id": row.delivery_id}


def _unconfirmed(connection: Connection, of: Of, proof: Proof, there: Lists, made: Compared) -> None:
    """Deliveries of which there is a record already: of a hub that was restored, or of an answer that was lost."""
    if not proof.key:
        return
    for row in connection.execute(_UNCONFIRMED, of.values):
        body = row.frozen_body if row.frozen_body is not None else row.body
        key = None if body is None else value_at(proof.key_here or proof.key, bodies.decode(bytes(body)))
        for one in there.by_key.get(key or "", ()):
            if not one.known:
                one.known = True
                message = (
                    f"{of.name}: {of.operation} {row.key} is there as {one.id}, and its delivery is {row.state} here"
                )
                made.add("remote.unconfirmed", message, delivery_id=row.id)


def _fits(pattern: str, value: str | None) -> bool:
    return value is not None and re.search(pattern, value) is not None


def _value(text: str, record: Any) -> Any:
    """The value of an expression; what cannot be computed is a text that says why, and equals nothing of the other side."""
    try:
        return expression(text).evaluate({"record": record})
    except EvaluationError as error:
        return f"not computed ({error.problem.message})"
