"""`order.sync`: compares the order with what is booked and books only the difference."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import msgspec

from hub.core.sales.context import Policy
from hub.core.sales.sync import sync
from hub.flows.compiling import StepConfig, StepContext, StepKind
from hub.flows.run import Parked, Run, Step, Stop
from hub.records.order import Order


class Config(StepConfig):
    """`invoice`: when the invoice is issued. `reserve_at`: the location where stock is reserved, null for none. `payments`:
    `read` asks the shop for payments that an order tells of and does not bring, `given` books only what comes."""

    invoice: Literal["on_payment", "on_order"] = "on_payment"
    reserve_at: str | None = None
    payments: Literal["read", "given"] = "read"


@dataclass
class OrderSync(Step):
    policy: Policy
    needs_plan: bool = field(default=True, init=False)

    def run(self, run: Run) -> None:
        connection = run.trigger.connection
        if connection is None:
            raise Parked("order.connection", "an order comes from a connection")
        order = canonical_order(run)
        result = sync(
            run.book,
            order,
            connection_id=connection.id,
            go_live_at=connection.go_live_at,
            policy=self.policy,
            rules=run.settings.rules,
            read_back=run.trigger.read,
        )
        if result.needs:
            run.reads.append(("order", order.external_id))
        if result.order_id is not None:
            run.changed.append(f"order {result.order_id}")
            run.scope["order_id"] = result.order_id
        run.scope["outcome"] = result.outcome
        if result.outcome == "test":
            raise Stop("a test order")


def canonical_order(run: Run) -> Order:
    """The order that a mapping made, as a record. Raises: Parked with the path of what does not fit."""
    value = run.scope.get("order")
    if isinstance(value, Order):
        return value
    try:
        order: Order = msgspec.convert(value, Order)
    except msgspec.ValidationError as error:
        raise Parked("record.shape", f"the mapped order does not fit: {error}") from None
    run.scope["order"] = order
    return order


def compile_step(config: Config, context: StepContext) -> OrderSync:
    if "order" not in context.names:
        context.problem("order-missing", "`order.sync` needs an order", "put `- map: order` before it")
    context.names |= {"order_id", "outcome"}
    return OrderSync(Policy(invoice=config.invoice, reserve_at=config.reserve_at, payments=config.payments))


KIND = StepKind("order.sync", Config, compile_step)
