"""Plays the demo while its hub is killed again and again, and reads what every side has in the end."""

from __future__ import annotations

import random
import signal
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hub.cli.demo.compare import Comparison, compare, pages
from hub.cli.demo.play import Play
from hub.cli.demo.stage import Stage

#: of 20 kills, how many fall into which act
TWENTY = {"_orders": 8, "_poll": 2, "_ship": 6, "_refunds": 2, "_receipt": 2}
TEN = {act: count // 2 for act, count in TWENTY.items()}
#: a hub at work is killed within so many seconds; one in five is killed while it starts
WORK_S = 0.5
START_S = 1.2


class Killer:
    """Kills the hub of a stage with SIGKILL at moments drawn from a seed, and starts it again at once."""

    def __init__(self, stage: Stage, seed: int) -> None:
        self.kills = 0
        self._stage = stage
        self._chance = random.Random(seed)
        self._failed: list[BaseException] = []

    @contextmanager
    def during(self, count: int) -> Iterator[None]:
        """Kills the hub `count` times while the body runs. At the end it is up."""
        thread = threading.Thread(target=self._run, args=(count,), daemon=True)
        thread.start()
        try:
            yield
        finally:
            thread.join()
            if self._failed:  # the play could not go on without the hub: this is why
                raise self._failed[0]

    def _run(self, count: int) -> None:
        try:
            for _ in range(count):
                self._kill()
        except BaseException as error:  # noqa: BLE001 - told to the thread that plays
            self._failed.append(error)

    def _kill(self) -> None:
        stage = self._stage
        starting = self._chance.random() < 0.2
        moment = self._chance.uniform(0, START_S if starting else WORK_S)
        if starting:
            self._end()
            stage.start_hub(wait=False)
        time.sleep(moment)
        self._end()
        self.kills += 1
        stage.start_hub()

    def _end(self) -> None:
        hub = self._stage.process("hub")
        hub.send_signal(signal.SIGKILL)
        hub.wait()


class KilledPlay(Play):
    """The demo with kills in its acts."""

    killer: Killer
    kills: Mapping[str, int]

    def act(self, name: str, work: Callable[[], str]) -> None:
        with self.killer.during(self.kills.get(work.__name__, 0)):
            super().act(name, work)


def play(
    folder: Path, orders: int, *, kills: Mapping[str, int] = {}, seed: int = 0
) -> tuple[dict[str, Any], Comparison]:
    """The demo in a folder, with so many kills in its acts. What every side has, and what the demo's comparison says."""
    folder.mkdir()
    with Stage(folder, patience=40 if kills else 0) as stage:
        played = KilledPlay(stage, orders, tell=lambda _text: None)
        played.killer, played.kills = Killer(stage, seed), kills
        played.run()
        assert played.killer.kills == sum(kills.values())
        return facts(stage), compare(stage)


def facts(stage: Stage) -> dict[str, Any]:
    """What is to be equal whatever happened to the hub, without ids, numbers of documents and instants; and under
    `deliveries`, `mails`, `questions` and `verify` what is to be looked at."""
    shop = stage.sandbox("shopify", "state")
    items = stage.hub("GET", "/api/stock", params={"limit": 500})["items"]
    orders = pages(stage, "/api/orders")
    return {
        "balances": {each["code"]: each["minor"] for each in stage.hub("GET", "/api/ledger")["accounts"]},
        "stock": {each["sku"]: each["levels"] for each in items},
        "expected at the shop": {each["sku"]: [level["expected"] for level in each["channels"]] for each in items},
        "invoiced": {each["name"]: each["invoiced"] for each in orders},
        "books": _books(stage, {each["id"]: each["name"] for each in orders}),
        "warehouse": _warehouse(stage),
        "shop": {each["name"]: _shop_order(each) for each in shop["orders"]},
        "told to customers": sorted((each["order"], each["kind"], len(each["tracking"])) for each in shop["emails"]),
        "inventory": {
            each["sku"]: (each["available"], each["committed"], each["on_hand"]) for each in shop["inventory"]
        },
        "subscriptions that the shop gave up": shop["removed_subscriptions"],
        "deliveries": pages(stage, "/api/outbox"),
        "mails": stage.client.get(f"{stage.sandboxes['smtp_control']}/_sandbox/state").json()["messages"],
        "questions": stage.hub("GET", "/api/questions", params={"state": "open", "limit": 500})["items"],
        "verify": stage.cli("verify"),
    }


def _books(stage: Stage, name_of: dict[str, str]) -> dict[str, Any]:
    books = stage.sandbox("quickbooks", "state")
    order_of = {each["number"]: name_of[each["order_id"]] for each in pages(stage, "/api/documents")}
    sums: dict[str, dict[str, float]] = defaultdict(dict)
    for entity in ("invoice", "creditmemo"):
        for each in books[entity]:
            of_order = sums[order_of[each["DocNumber"]]]
            of_order[entity] = round(of_order.get(entity, 0) + each["TotalAmt"], 2)
    order_by_invoice = {each["Id"]: order_of[each["DocNumber"]] for each in books["invoice"]}
    for each in books["payment"]:
        for line in each["Line"]:
            of_order = sums[order_by_invoice[line["LinkedTxn"][0]["TxnId"]]]
            of_order["paid"] = round(of_order.get("paid", 0) + line["Amount"], 2)
    counted = ("customer", "item", "invoice", "creditmemo", "payment", "refundreceipt", "salesreceipt", "journalentry")
    return {"orders": dict(sums), "records": {entity: len(books[entity]) for entity in counted}}


def _warehouse(stage: Stage) -> dict[str, Any]:
    found: dict[str, list[Any]] = defaultdict(list)
    for each in stage.sandbox("shipbob", "state")["orders"]:
        products = sorted((product["sku"], product["quantity"]) for product in each["products"])
        found[each["order_number"]].append((each["status"], products, len(each["shipments"])))
    return dict(found)


def _shop_order(order: dict[str, Any]) -> dict[str, Any]:
    return {
        **{name: order[name] for name in ("financial_status", "fulfillment_status", "current_total", "refunded")},
        "fulfilments": sorted(
            (sorted((line["sku"], line["quantity"]) for line in each["lines"]), len(each["tracking"]), each["notify"])
            for each in order["fulfillments"]
        ),
    }
