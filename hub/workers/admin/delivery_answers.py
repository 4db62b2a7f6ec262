"""What answers do to deliveries. Each is written only if the delivery still stands as the person saw it."""

from __future__ import annotations

from collections.abc import Mapping
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from sqlalchemy import Connection

from hub.connect.errors import ConnectError
from hub.connect.manifest import Operation
from hub.core.plan import Row
from hub.outbox import announce, bodies, effects, outcomes
from hub.outbox.plan import DELIVERY
from hub.outbox.tables import DeliveryState
from hub.workers.admin.core import Change
from hub.workers.admin.errors import AdminError

if TYPE_CHECKING:
    from hub.workers.hub import Hub

_PARKED = (DeliveryState.REJECTED, DeliveryState.UNCERTAIN)
_UNSENT = (DeliveryState.PLANNED, DeliveryState.WAITING, DeliveryState.RETRY)
#: a delivery that begins anew
ANEW: Mapping[str, Any] = {
    "state": DeliveryState.PLANNED,
    "attempts": 0,
    "next_attempt_at": 0,
    "finished_at": None,
    "reason": None,
    "error_class": None,
}


def drop(changing: Change, delivery_id: int) -> bool:
    """It is not sent."""
    set_delivery(
        changing,
        delivery_id,
        (*_PARKED, *_UNSENT),
        state=DeliveryState.SUPERSEDED,
        reason="dropped by a person",
        error_class=None,
        finished_at=changing.plan.now,
    )
    return True


def resend(hub: Hub, changing: Change, question: Row, _values: Mapping[str, Any]) -> bool:
    """A person says that it is to be sent. What may have arrived before follows the ladder of its operation: the key that
    the vendor remembers, a look-up or a compared value keep it from being done twice. Where nothing does, the person has
    said that it is sent once more all the same. What was refused is made anew from its content."""
    row = _delivery(hub, question)
    values = dict(ANEW)
    if row["state"] == DeliveryState.REJECTED:
        values["frozen_body"] = None
        if not row["maybe_sent"]:
            values["first_sent_at"] = None
    elif not _protected(_operation(hub, row), row, changing.plan.now):
        values |= {"maybe_sent": False, "first_sent_at": None}
    set_delivery(changing, row["id"], _parked(row), **values)
    return True


def _parked(row: Row) -> tuple[str, ...]:
    """The state in which it was seen, where that is one that a person settles."""
    return (row["state"],) if row["state"] in _PARKED else ()


def _protected(spec: Operation, row: Row, now: int) -> bool:
    """Whether its ladder still keeps a delivery from being done twice."""
    if row["ladder"] != "native_key":
        return bool(row["ladder"] != "none")
    if spec.find is not None or spec.key is None or spec.key.remembers is None:
        return True
    return (now - (row["first_sent_at"] or now)) / 1_000_000 < spec.key.remembers


def confirmed(hub: Hub, changing: Change, question: Row, values: Mapping[str, Any]) -> bool:
    """A person has found it there: it counts as confirmed, with its external id in the bindings and the effect log, and
    what waited for it goes on."""
    row = _delivery(hub, question)
    external_id = str(values["external_id"]).strip()
    if not external_id:
        raise AdminError("the answer 'confirmed' needs external_id")
    if row["is_state"]:
        raise AdminError(f"delivery {row['id']} is a number, not a thing that has an id: send it again")
    binds = _operation(hub, row).binds
    body = row["frozen_body"] if row["frozen_body"] is not None else row["body"]
    set_delivery(
        changing,
        row["id"],
        _parked(row),
        state=DeliveryState.CONFIRMED,
        external_id=external_id,
        reason="a person found it there",
        error_class=None,
        finished_at=changing.plan.now,
    )
    merchant_id, now = changing.plan.merchant_id, changing.plan.now
    changing.event_seq = row["event_seq"] or changing.event_seq
    changing.plan.emit(announce.EVENT, row["ordering_key"], announce.record_of(SimpleNamespace(**row), external_id))

    def write(connection: Connection) -> None:
        if binds:
            ours = row["key"].removeprefix(f"{binds}:")
            bound = outcomes.Bound(merchant_id, row["connection_id"], binds, ours, external_id)
            if outcomes.bind(connection, hub.database.ids, [bound]):
                raise AdminError(f"{external_id} is another {binds} of ours already: it cannot be {row['key']}, too")
        effect = effects.Confirmed(
            row["id"],
            row["connection_id"],
            row["operation"],
            row["key"],
            row["version"],
            external_id,
            bodies.digest(bytes(body or b"")),
        )
        key = hub.vault.data_key(connection, merchant_id, "chain")
        effects.append(connection, merchant_id, [effect], key=(key.id, key.key), now=now)

    changing.then(write)
    return True


def set_delivery(changing: Change, delivery_id: int, found_in: tuple[DeliveryState | str, ...], **values: Any) -> None:
    """Changes a delivery with the plan, if it still is in one of these states: its sender may have been quicker."""

    def write(connection: Connection) -> None:
        changed = connection.execute(
            DELIVERY.update().where(DELIVERY.c.id == delivery_id, DELIVERY.c.state.in_(found_in)).values(**values)
        ).rowcount
        if changed != 1:
            row = connection.execute(
                sa.select(DELIVERY.c.state, DELIVERY.c.external_id).where(DELIVERY.c.id == delivery_id)
            ).one()
            said = f"{row.state}, as {row.external_id}" if row.external_id else row.state
            raise AdminError(f"delivery {delivery_id} has moved on since: it is {said}. Look at it again")

    changing.then(write)


def _operation(hub: Hub, row: Row) -> Operation:
    try:
        return hub.links.open(row["connection_id"]).operation(row["operation"])
    except (LookupError, ConnectError) as error:
        raise AdminError(f"delivery {row['id']}: {row['operation']} cannot be looked up: {error}") from None


def _delivery(hub: Hub, question: Row) -> Row:
    with hub.database.read() as connection:
        row = (
            connection.execute(sa.select(DELIVERY).where(DELIVERY.c.id == question["delivery_id"]))
            .mappings()
            .one_or_none()
        )
    if row is None:
        raise AdminError(f"question {question['id']} is about no delivery")
    return dict(row)
