"""`stock.observe`: a shop says how many it shows. It moves nothing; a number that we cannot explain is checked."""

from __future__ import annotations

from dataclasses import dataclass, field

from hub.core.stock.channels import CHANNEL_LEVELS
from hub.flows.compiling import StepConfig, StepContext, StepKind
from hub.flows.run import Parked, Run, Step, Stop
from hub.mapping import Expression
from hub.outbox.plan import Target, plan_delivery
from hub.outbox.stock_levels import CHANNEL_LEVEL_BY_REF


class Config(StepConfig):
    """Expressions of the vendor's stock record and of what it shows. `operation` is the connector's check, a state
    delivery that reads the number again once the pending orders are in."""

    item_ref: str = "record.item_ref"
    found: str = "record.available"
    operation: str = "stock.check"


@dataclass
class StockObserve(Step):
    config: Config
    item_ref: Expression
    found: Expression
    needs_plan: bool = field(default=True, init=False)

    def run(self, run: Run) -> None:
        info = run.trigger.connection
        if info is None:
            raise Parked("stock.connection", "an observation comes from a connection")
        item_ref, found = self.item_ref.evaluate(run.scope), self.found.evaluate(run.scope)
        known = run.book.get(CHANNEL_LEVEL_BY_REF, (info.id, str(item_ref)))
        level = None if known is None else run.book.get(CHANNEL_LEVELS, (info.id, known["item_id"]))
        if level is None or level["expected"] is None:
            raise Stop("the shop's quantity of this item was not adopted")
        if level["expected"] == found:
            raise Stop("as expected")
        operation = run.settings.roles.operation(info, self.config.operation)
        if operation is None:
            raise Stop(f"{info.connector} has no {self.config.operation}")
        delivery = plan_delivery(
            run.book,
            # a read: made again after a crash, whatever came of the first
            Target(info.id, info.mode, self.config.operation, "compare_and_set", is_state=True),
            key=f"item:{level['item_id']}",
            body=None,
            ordering_key=f"item:{level['item_id']}",
            event_seq=run.trigger.event_seq,
            run_id=run.id,
        )
        run.changed.append(f"delivery {delivery}")


def compile_step(config: Config, context: StepContext) -> StockObserve | None:
    item_ref, found = context.expression(config.item_ref, "item_ref"), context.expression(config.found, "found")
    return None if item_ref is None or found is None else StockObserve(config, item_ref, found)


KIND = StepKind("stock.observe", Config, compile_step)  # type: ignore[arg-type]
