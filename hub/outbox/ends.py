"""Where deliveries stand: how many came to their end, which are on their way, and who is asked about the parked ones."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection

from hub.core.faults import Fault
from hub.inbox.proof import Ends, Open
from hub.inbox.questions import QUESTION
from hub.outbox.plan import DELIVERY
from hub.outbox.tables import DeliveryState

_MERCHANT: sa.BindParameter[int] = sa.bindparam("merchant_id", type_=sa.BigInteger)
_COUNTS = (
    sa.select(DELIVERY.c.state, sa.func.count()).where(DELIVERY.c.merchant_id == _MERCHANT).group_by(DELIVERY.c.state)
)
_SHOWN = (
    sa.select(*(DELIVERY.c[name] for name in ("id", "state", "operation", "key", "reason")), QUESTION.c.id)
    .add_columns(QUESTION.c.reason.label("asked"))
    .select_from(
        DELIVERY.outerjoin(
            QUESTION,
            sa.and_(
                QUESTION.c.merchant_id == DELIVERY.c.merchant_id,
                sa.text("question.state = 'open'"),
                QUESTION.c.delivery_id == DELIVERY.c.id,
            ),
        )
    )
    .where(DELIVERY.c.merchant_id == _MERCHANT)
    .order_by(DELIVERY.c.id)
)
# the condition of the partial indexes, word for word
_OPEN = _SHOWN.where(sa.text("delivery.state IN ('planned', 'retry', 'sending', 'waiting')")).limit(
    sa.bindparam("limit")
)
_PARKED = _SHOWN.where(sa.text("delivery.state IN ('rejected', 'uncertain')"))
_WHY = {
    DeliveryState.PLANNED: "waits for its turn",
    DeliveryState.WAITING: "waits for what it refers to",
    DeliveryState.SENDING: "is being sent",
    DeliveryState.RETRY: "is tried again",
}


def prove_deliveries(connection: Connection, merchant_id: int, *, most: int) -> Ends:
    """Where the deliveries of a merchant stand; names `most` of those on their way and `most` of the parked ones."""
    values: dict[str, Any] = {"merchant_id": merchant_id}
    ends = Ends({state: int(count) for state, count in connection.execute(_COUNTS, values)})
    seen = None  # several questions may be open about one
    for row in connection.execute(_OPEN, {**values, "limit": most}):
        if row.id != seen:
            ends.open.append(_named(row, row.asked or row.reason or _WHY[DeliveryState(row.state)]))
        seen = row.id
    if not any(ends.counts.get(state) for state in (DeliveryState.REJECTED, DeliveryState.UNCERTAIN)):
        return ends
    shown, seen = 0, None
    for row in connection.execute(_PARKED, values):
        if row.id == seen:
            continue
        seen = row.id
        if row.asked is None:
            message = f"{row.operation} {row.key} is {row.state} and no question asks about it: {row.reason}"
            ends.faults.append(Fault("delivery.question", f"delivery {row.id}", message))
        elif shown < most:
            shown += 1
            ends.open.append(_named(row, row.asked))
    return ends


def _named(row: Any, reason: str) -> Open:
    return Open(f"delivery {row.id}", row.state, f"{row.operation} {row.key}", reason, row.id_1)
