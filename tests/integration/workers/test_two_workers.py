"""Two hubs on one PostgreSQL database: they share the work, and what one does the other does not do again."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from lab_hub import Lab, serving
from lab_orders import ORDER, ORDERS, order

from hub.core.ledger.tables import ENTRY
from hub.core.ledger.verify import verify_ledger
from hub.core.sales.tables import DOCUMENT, SALES_ORDER
from hub.core.sales.verify import verify_sales
from hub.core.stock.tables import RESERVATION, STOCK_LEVEL
from hub.core.stock.verify import verify_stock
from hub.db.engine import Database
from hub.db.types import now_us
from hub.outbox.proof import prove_effects
from hub.workers.hub import Hub

INVOICES = """
flow: invoices
on: {event: invoice.issued}
steps:
  - deliver:
      role: books
      operation: invoice.create
      key: invoice.number
      body: "{'number': invoice.number, 'customer': {'$ref': 'customer', 'key': text(invoice.party.id), 'ensure': 'customer.ensure', 'data': {'ref': text(invoice.party.id)}}}"
"""


@pytest.fixture
def pair(postgres_url: str, tmp_path: Path) -> Iterator[tuple[Lab, Hub]]:
    """A lab with a second hub process."""
    with serving() as (system, url):
        first = Lab(Database(postgres_url), tmp_path / "home", system, url)
        first.write(orders=ORDERS, lab__order=ORDER, invoices=INVOICES)
        second = Lab(Database(postgres_url), tmp_path / "home", system, url)
        for hub in (first.hub, second.hub):
            hub.clock = hub.books._clock = hub.batch._clock = hub.outbox._clock = hub.fetch._clock = now_us
        yield first, second.hub
        for made in (first, second):
            made.hub.intake.close()
            made.hub.links.close()
            made.database.dispose()


def _open(hub: Hub) -> int:
    """Events and deliveries that can still move by themselves."""
    with hub.database.read() as connection:
        return sum(
            connection.execute(sa.text(f"SELECT count(*) FROM {table} WHERE state IN {states}")).scalar_one()
            for table, states in (
                ("inbox", "('fetch', 'ready', 'retry')"),
                ("delivery", "('planned', 'sending', 'retry')"),
            )
        )


def _work_together(*hubs: Hub) -> None:
    """Both work until nothing is left."""
    failures: list[BaseException] = []

    def work(hub: Hub) -> None:
        try:
            for _ in range(200):
                hub.run_until_idle()
                if not _open(hub):
                    return
                threading.Event().wait(0.02)
        except BaseException as error:
            failures.append(error)
            raise

    threads = [threading.Thread(target=work, args=(hub,)) for hub in hubs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert failures == []


def test_of_fifty_orders_at_once_ten_get_the_last_ten_units(pair: tuple[Lab, Hub]) -> None:
    lab, second = pair
    lab.trigger("items", {"sku": "MUG", "title": "Mug", "quantity": 10})
    lab.work()
    second.active(1)
    for number in range(50):
        lab.receive(order(number), topic="orders/changed", kind="order", dedup=f"d{number}")
        lab.receive(order(number), topic="orders/changed", kind="order", dedup=f"d{number}")
        lab.receive(order(number), topic="orders/changed", kind="order", dedup=f"again{number}")
    _work_together(lab.hub, second)

    states = [row.state for row in lab.rows(RESERVATION)]
    assert (states.count("held"), states.count("waiting"), len(states)) == (10, 40, 50)
    [level] = [row for row in lab.rows(STOCK_LEVEL) if row.guarded]
    assert (level.on_hand, level.held, level.waiting) == (10, 10, 40)
    assert len(lab.rows(SALES_ORDER)) == 50
    numbers = sorted(row.number for row in lab.rows(DOCUMENT))
    assert [int(number[-6:]) for number in numbers] == list(range(1, 51)), "no duplicate, no gap"
    assert [row.seq for row in lab.rows(ENTRY)] == list(range(1, len(lab.rows(ENTRY)) + 1))
    facts = lab.deliveries(is_state=False)
    assert {row.state for row in facts} == {"confirmed"}
    assert len(lab.system.invoices) == 50
    assert len([call for call in lab.system.calls if call.path == "/invoices"]) == 50, "each was sent once"
    assert len(lab.system.customers) == 1
    with lab.database.read() as connection:
        key = lambda key_id: lab.vault.key(connection, 1, key_id).key  # noqa: E731
        assert verify_ledger(connection, 1, key) == []
        assert verify_stock(connection, 1) == []
        assert verify_sales(connection, 1) == []
        proof = prove_effects(connection, 1, key)
        assert (proof.faults, proof.confirmed) == ([], len(facts))


def test_what_a_worker_that_is_gone_had_claimed_is_worked_by_the_other(pair: tuple[Lab, Hub]) -> None:
    from hub.inbox import claim

    lab, second = pair
    lab.trigger("items", {"sku": "MUG", "title": "Mug", "quantity": 10})
    lab.receive(order(1), topic="orders/changed", kind="order")
    with lab.database.write() as connection:
        assert claim.claim(connection, 1, owner="gone", now=now_us()) is not None
    second.run_until_idle()
    assert lab.rows(SALES_ORDER) == [], "its lease holds"
    with lab.database.write() as connection:
        connection.exec_driver_sql("UPDATE lane SET until = 0")
    second.run_until_idle()
    assert len(lab.rows(SALES_ORDER)) == 1
    assert {row.state for row in lab.events()} == {"done"}


def test_two_hubs_that_start_at_once_activate_the_same_flows(pair: tuple[Lab, Hub]) -> None:
    lab, second = pair
    with lab.database.write() as connection:
        connection.exec_driver_sql("DELETE FROM flow_activation")
        connection.exec_driver_sql("DELETE FROM flow_version")
    lab.hub._actives.clear()
    failures: list[BaseException] = []
    start = threading.Barrier(2)

    def activate(hub: Hub) -> None:
        start.wait()
        try:
            hub.active(1)
        except BaseException as error:
            failures.append(error)
            raise

    threads = [threading.Thread(target=activate, args=(hub,)) for hub in (lab.hub, second)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert failures == []
    with lab.database.read() as connection:
        stored = dict(connection.exec_driver_sql("SELECT flow, version_hash FROM flow_activation").all())
    assert stored == {flow.name: flow.version_hash for flow in second.active(1).flows}
