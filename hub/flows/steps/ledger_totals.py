"""`ledger.totals`: what was posted on some days, by account and VAT code."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date
from typing import Any

from pydantic import Field

from hub.core.ledger.totals import totals
from hub.flows.compiling import StepConfig, StepContext, StepKind
from hub.flows.run import Parked, Run, Step
from hub.mapping import Expression
from hub.records.money import Money


class Config(StepConfig):
    """`from` and `to` are expressions of days, `2026-11-24`, both included, in the book's zone; `journals` are codes (`VE`),
    none: all. The result, called `as`, is a list of `{account, name, vat_code, debit, credit, balance}` in their order;
    amounts are money, the balance is debit less credit."""

    from_: str = Field(alias="from")
    to: str
    journals: list[str] = Field(default=[])
    as_: str = Field(alias="as")


@dataclass
class LedgerTotals(Step):
    config: Config
    first: Expression
    last: Expression
    needs_plan: bool = field(default=True, init=False)

    def run(self, run: Run) -> None:
        first, last = _day(self.first, run), _day(self.last, run)
        if first > last:
            raise Parked("ledger.days", f"{self.first.text} is {first}, which is after {last}")
        run.scope[self.config.as_] = [
            {
                "account": each.account,
                "name": each.name,
                "vat_code": each.vat_code,
                "debit": Money(each.debit, each.currency),
                "credit": Money(each.credit, each.currency),
                "balance": Money(each.debit - each.credit, each.currency),
            }
            for each in totals(run.book, first, last, self.config.journals)
        ]


def _day(expression: Expression, run: Run) -> date:
    value: Any = expression.evaluate(run.scope)
    try:
        return date.fromisoformat(value)
    except (TypeError, ValueError):
        raise Parked("ledger.days", f"{expression.text} is {value!r}: a day is needed, such as 2026-11-24") from None


def compile_step(config: Config, context: StepContext) -> LedgerTotals | None:
    first, last = context.expression(config.from_, "from"), context.expression(config.to, "to")
    context.names.add(config.as_)
    return None if first is None or last is None else LedgerTotals(config, first, last)


KIND = StepKind("ledger.totals", Config, compile_step)  # type: ignore[arg-type]
