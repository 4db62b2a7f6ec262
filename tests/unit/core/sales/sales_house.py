"""A book, a stock and the syncs of one connection, on a real database: what a test does to it and what it sees of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa

from hub.core.ledger.rules import load_rules
from hub.core.ledger.tables import WRITE_ORDER as LEDGER
from hub.core.plan import CoreEvent, Plan
from hub.core.sales.sources import preload
from hub.core.sales.sync import Policy, SyncResult, sync
from hub.core.sales.tables import WRITE_ORDER as SALES
from hub.core.stock.channels import adopt
from hub.core.stock.items import upsert_item
from hub.core.stock.moves import move
from hub.core.stock.tables import WRITE_ORDER as STOCK
from hub.core.time import local_date
from hub.db.engine import Database
from hub.records.order import Order

CONNECTION = 7
NOW = 1_795_507_200_000_000
ORDER = (*STOCK, *LEDGER, *SALES)


@dataclass
class House:
    """What a test does to the hub and what it sees of it."""

    database: Database
    book: Any
    policy: Policy = field(default_factory=lambda: Policy(reserve_at="main"))
    now: int = NOW + 3_600_000_000
    events: list[CoreEvent] = field(default_factory=list)

    def work(self, do: Callable[[Plan], Any]) -> Any:
        """Runs something on a plan and writes it."""
        self.database.ids.ensure(2_000)
        self.now += 1_000_000
        with self.database.write() as connection:
            plan = self.book.plan(connection, self.now)
            result = do(plan)
            plan.write(connection, ORDER)
        self.events += plan.events
        return result

    def sync(self, order: Order, *, go_live_at: int | None = 0, **more: Any) -> SyncResult:
        def do(plan: Plan) -> SyncResult:
            preload(plan, [(CONNECTION, order)])
            return sync(
                plan,
                order,
                connection_id=CONNECTION,
                go_live_at=go_live_at,
                policy=self.policy,
                rules=load_rules(),
                **more,
            )

        result: SyncResult = self.work(do)
        return result

    def stock(self, **units: int) -> None:
        """Opens items with units at `main`, known to the shop with the same number."""

        def do(plan: Plan) -> None:
            for name, quantity in units.items():
                sku = name.replace("_", "-")
                item = upsert_item(plan, sku, sku)
                if quantity:
                    day = local_date(plan.now, "Europe/Paris")
                    move(plan, item["id"], "opening", "main", quantity, "opening", f"opening:{sku}", day)
                adopt(plan, CONNECTION, item["id"], quantity, item_ref=None, location_ref=None)

        self.work(do)

    # -- what is seen -----------------------------------------------------------------------------------------------

    def rows(self, statement: str, **values: Any) -> list[tuple[Any, ...]]:
        with self.database.read() as connection:
            return [tuple(row) for row in connection.execute(sa.text(statement), values)]

    def balances(self) -> dict[str, int]:
        """Accounts that are not at zero, debit positive."""
        found = self.rows("SELECT a.code, b.amount FROM account a JOIN balance b ON b.id = a.id WHERE b.amount <> 0")
        return {str(code): int(amount) for code, amount in found}

    def vat(self) -> dict[tuple[str, str], int]:
        """Sums by account and VAT code."""
        found = self.rows(
            "SELECT a.code, p.vat_code, sum(p.amount) FROM posting p JOIN account a ON a.id = p.account_id "
            "WHERE p.vat_code IS NOT NULL GROUP BY 1, 2 HAVING sum(p.amount) <> 0"
        )
        return {(str(code), str(vat)): int(amount) for code, vat, amount in found}

    def documents(self) -> list[tuple[str, str, int]]:
        """(kind, number, total) in order of issue."""
        return [
            (str(k), str(n), int(t)) for k, n, t in self.rows("SELECT kind, number, total FROM document ORDER BY id")
        ]

    def net(self) -> int:
        return sum(total if kind == "invoice" else -total for kind, _, total in self.documents())

    def levels(self) -> dict[str, tuple[int, int, int]]:
        """on hand, held and waiting of each SKU at `main`."""
        found = self.rows(
            "SELECT i.sku, l.on_hand, l.held, l.waiting FROM stock_level l JOIN item i ON i.id = l.item_id "
            "JOIN location p ON p.id = l.location_id WHERE p.code = 'main'"
        )
        return {str(sku): (int(a), int(b), int(c)) for sku, a, b, c in found}

    def channel(self) -> dict[str, int]:
        found = self.rows("SELECT i.sku, c.expected FROM channel_level c JOIN item i ON i.id = c.item_id")
        return {str(sku): int(expected) for sku, expected in found}

    def questions(self) -> set[str]:
        """Kinds of the questions that are open."""
        kinds: set[str] = set()
        for event in self.events:
            if event.name == "question.raised":
                kinds.add(event.record["kind"])
            elif event.name == "question.resolved":
                kinds.discard(event.record["kind"])
        return kinds

    def told(self, name: str) -> list[dict[str, Any]]:
        """Records of the events of a name."""
        return [event.record for event in self.events if event.name == name]

    def entries(self) -> list[tuple[str, str, list[tuple[str, int]]]]:
        """(ref, journal, postings by account) of all entries."""
        found: dict[tuple[str, str], list[tuple[str, int]]] = {}
        for ref, journal, code, amount in self.rows(
            "SELECT e.ref, e.journal, a.code, p.amount FROM entry e JOIN posting p ON p.entry_id = e.id "
            "JOIN account a ON a.id = p.account_id ORDER BY e.seq, p.line"
        ):
            found.setdefault((str(ref), str(journal)), []).append((str(code), int(amount)))
        return [(ref, journal, postings) for (ref, journal), postings in found.items()]
