"""`item.sync`: an item of the catalogue, made or brought up to date."""

from __future__ import annotations

from dataclasses import dataclass, field

from hub.core.stock.items import upsert_item
from hub.flows.compiling import StepConfig, StepContext, StepKind
from hub.flows.run import Parked, Run, Step
from hub.mapping import Expression


class Config(StepConfig):
    """Expressions of the item's SKU and title. `tracked` false: sold without looking at the stock."""

    sku: str = "record.sku"
    title: str = "record.title"
    tracked: bool = True


@dataclass
class ItemSync(Step):
    sku: Expression
    title: Expression
    tracked: bool
    needs_plan: bool = field(default=True, init=False)

    def run(self, run: Run) -> None:
        sku, title = self.sku.evaluate(run.scope), self.title.evaluate(run.scope)
        if not isinstance(sku, str) or not sku.strip():
            raise Parked("item.sku", f"an item needs a SKU, found {sku!r}")
        row = upsert_item(run.book, sku.strip(), str(title or sku), tracked=self.tracked)
        run.scope["item"] = {"id": row["id"], "sku": row["sku"], "title": row["title"]}
        run.changed.append(f"item {row['id']}")


def compile_step(config: Config, context: StepContext) -> ItemSync | None:
    sku, title = context.expression(config.sku, "sku"), context.expression(config.title, "title")
    context.names.add("item")
    return None if sku is None or title is None else ItemSync(sku, title, config.tracked)


KIND = StepKind("item.sync", Config, compile_step)  # type: ignore[arg-type]
