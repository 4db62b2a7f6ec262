"""`stock.move`: units of an item go from one location to another, once under their ref. Orders that waited for them go on."""

from __future__ import annotations

from dataclasses import dataclass, field

from hub.core.ledger.book import book_of
from hub.core.sales.restock import replenish_orders
from hub.core.stock.items import add_location, item_by_sku
from hub.core.stock.moves import move
from hub.core.time import local_date
from hub.flows.compiling import StepConfig, StepContext, StepKind
from hub.flows.run import Parked, Run, Step
from hub.mapping import Expression


class Config(StepConfig):
    """Expressions of SKU, quantity and ref; `source` and `destination` are codes of locations (`supplier`, `main`).
    `ref` identifies the move for ever: the same ref again moves nothing."""

    sku: str = "record.sku"
    quantity: str = "record.quantity"
    source: str
    destination: str
    kind: str = "receipt"
    ref: str


@dataclass
class StockMove(Step):
    config: Config
    sku: Expression
    quantity: Expression
    ref: Expression
    needs_plan: bool = field(default=True, init=False)

    def run(self, run: Run) -> None:
        plan = run.book
        sku, quantity = self.sku.evaluate(run.scope), self.quantity.evaluate(run.scope)
        ref = self.ref.evaluate(run.scope)
        if isinstance(quantity, bool) or not isinstance(quantity, int) or quantity <= 0:
            raise Parked("stock.quantity", f"{sku}: a whole number of units above 0 is moved, found {quantity!r}")
        if not isinstance(ref, str) or not ref:
            raise Parked("stock.ref", f"{sku}: a move needs a ref, found {ref!r}")
        item = item_by_sku(plan, str(sku))
        if item is None:
            raise Parked("sku.unknown", f"there is no item {sku!r}: import it, then answer", details={"sku": sku})
        for code in (self.config.source, self.config.destination):
            add_location(plan, code, _KINDS.get(code, "warehouse"))
        date = local_date(plan.now, book_of(plan)["zone"])
        done = move(
            plan, item["id"], self.config.source, self.config.destination, quantity, self.config.kind, ref, date
        )
        if not done.replayed:
            replenish_orders(plan, item["id"], self.config.destination)
        run.changed.append(f"move {done.move_id}")


_KINDS = {kind: kind for kind in ("supplier", "customer", "loss", "opening", "quarantine", "transit")}


def compile_step(config: Config, context: StepContext) -> StockMove | None:
    sku, quantity = context.expression(config.sku, "sku"), context.expression(config.quantity, "quantity")
    ref = context.expression(config.ref, "ref")
    if sku is None or quantity is None or ref is None:
        return None
    return StockMove(config, sku, quantity, ref)


KIND = StepKind("stock.move", Config, compile_step)  # type: ignore[arg-type]
