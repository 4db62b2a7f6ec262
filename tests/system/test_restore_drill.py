"""The drill: a backup in the middle of the work, the hub goes on and is lost, the backup is restored and released. On both
engines and real sockets; what the sandboxes have in the end is what they had when the first hub was lost."""

from __future__ import annotations

import base64
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from world import World, world

from hub.connect.http import httpx
from hub.outbox.plan import DELIVERY
from hub.workers.admin import connections, events, questions, verify
from hub.workers.admin.backup import backup
from hub.workers.admin.errors import AdminError
from hub.workers.admin.release import release
from hub.workers.admin.restore import restore
from hub.workers.hub import Hub
from hub.workers.settings import Settings

MUG = {"sku": "MUG-01", "title": "Mug", "price": "12.00", "vat": "0.2", "quantity": 50}
KEY = base64.b64encode(bytes(range(32))).decode()


@pytest.fixture
def house(database_url: str, tmp_path: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("HUB_SECRET_KEY", KEY)
    if database_url.startswith("postgresql"):
        request.getfixturevalue("postgres_tools")
    with world(tmp_path, [MUG], url=database_url) as made:
        events.trigger(made.hub, "items", [{"sku": "MUG-01", "title": "Mug", "quantity": 50}])
        made.hub.run_until_idle()
        connections.adopt_stock(made.hub, "shop")
        yield made


@pytest.fixture
def new_home(database_url: str, tmp_path: Path, request: pytest.FixtureRequest) -> Settings:
    postgres = database_url.startswith("postgresql")
    return Settings(home=tmp_path / "new", **(request.getfixturevalue("empty_postgres") if postgres else {}))


def _control(w: World, name: str, path: str, body: Any = None) -> Any:
    answer = httpx.post(f"{w.running[name].url}/_sandbox/{path}", json=body if body is not None else {}, timeout=20)
    answer.raise_for_status()
    return answer.json() if answer.content else None


def _order(w: World, email: str) -> str:
    placed = _control(
        w, "shopify", "orders",
        {"lines": [{"sku": "MUG-01", "quantity": 1, "price": "12.00"}], "pay": True, "email": email,
         "customer": {"first_name": email.partition("@")[0], "last_name": "Martin", "email": email}},
    )  # fmt: skip
    return str(placed["name"])


def _book(hub: Hub) -> None:
    """What came in is booked; nothing is sent."""
    while hub.books.work_once() or hub.fetch.fetch_once():
        pass


def _settle(hub: Hub) -> None:
    """Works until nothing is left; what is in back-off is let go at once."""
    for _ in range(12):
        hub.run_until_idle()
        with hub.database.write() as connection:
            waiting = connection.execute(DELIVERY.update().where(DELIVERY.c.state == "retry").values(next_attempt_at=0))
        if not waiting.rowcount:
            return


def _outside(w: World) -> dict[str, Any]:
    """What every system has, so that what is there twice shows."""
    books = httpx.get(f"{w.running['quickbooks'].url}/_sandbox/state", timeout=20).json()
    warehouse = httpx.get(f"{w.running['shipbob'].url}/_sandbox/state", timeout=20).json()
    return {
        "invoices": sorted((each["DocNumber"], each["PrivateNote"], each["TotalAmt"]) for each in books["invoice"]),
        "payments": sorted((each["PaymentRefNum"], each["TotalAmt"]) for each in books["payment"]),
        "customers": sorted(each["DisplayName"] for each in books["customer"]),
        "items": sorted(each["Name"] for each in books["item"]),
        "warehouse": sorted(each["order_number"] for each in warehouse["orders"]),
        "mails": len(w.running["smtp"].state.messages),
    }


def _deliveries(hub: Hub) -> list[Any]:
    with hub.database.read() as connection:
        return list(connection.execute(sa.select(DELIVERY).order_by(DELIVERY.c.id)).all())


def _lose(w: World, tmp_path: Path, new_home: Settings) -> tuple[dict[str, Any], Hub]:
    """One order done, one in the middle, one only booked; a backup; two more; the hub is lost and the backup restored."""
    _order(w, "done@example.org")
    events.poll(w.hub, "shop")
    _settle(w.hub)
    _control(w, "quickbooks", "faults", {"match": "POST *invoice*", "kind": "status_after", "status": 503, "times": 1})
    _order(w, "middle@example.org")
    events.poll(w.hub, "shop")
    w.hub.run_until_idle()
    _order(w, "booked@example.org")
    events.poll(w.hub, "shop")
    _book(w.hub)
    states = Counter((row.operation, row.state) for row in _deliveries(w.hub))
    assert states["invoice.create", "retry"] == 1, "made there, and its answer was lost"
    assert states["invoice.create", "planned"] + states["invoice.create", "waiting"] == 1

    url = w.database.url.render_as_string(hide_password=False)
    backup(Settings(home=tmp_path, database_url=url), tmp_path / "b.hub")

    _settle(w.hub)
    for name in ("later", "last"):
        _order(w, f"{name}@example.org")
        events.poll(w.hub, "shop")
        _settle(w.hub)
    outside = _outside(w)
    assert [len(outside[name]) for name in ("invoices", "payments", "warehouse", "customers")] == [5, 5, 5, 5]
    assert outside["mails"] == 5
    w.hub.stop()

    restore(new_home, tmp_path / "b.hub")
    return outside, Hub.open(new_home)


def test_nothing_is_there_twice_after_a_restore(house: World, tmp_path: Path, new_home: Settings) -> None:
    outside, hub = _lose(house, tmp_path, new_home)
    try:
        with pytest.raises(AdminError) as refused:
            release(hub, yes=True)
        assert any("hub poll shop" in problem for problem in refused.value.problems), "not read since"
        for name in ("shop", "warehouse"):
            events.poll(hub, name)
        _settle(hub)
        assert _outside(house) == outside, "it is paused: it reads, books and plans"
        assert all(row.state not in ("sending", "retry") for row in _deliveries(hub) if row.attempts == 0)

        looked = release(hub)
        assert not looked["released"]
        assert looked["unread"] == []
        assert release(hub, yes=True)["released"]
        _settle(hub)

        assert _outside(house) == outside
        states = Counter((row.operation, row.state) for row in _deliveries(hub) if row.state != "superseded")
        assert states["invoice.create", "confirmed"] == 5
        assert states["payment.create", "confirmed"] == 5
        assert states["message.send", "uncertain"] == 3, "nobody can know whether a mail went out"
        asked = Counter(item["kind"] for item in questions.listed(hub)["items"])
        assert set(asked) <= {"delivery.uncertain", "stock.drift"}, asked
        assert verify.verify(hub) == {"ok": True, "faults": []}

        # what is new after the release goes out as ever
        _order(house, "new@example.org")
        events.poll(hub, "shop")
        _settle(hub)
        now = _outside(house)
        assert [len(now[name]) for name in ("invoices", "payments", "warehouse", "customers")] == [6, 6, 6, 6]
        assert now["mails"] == 6
    finally:
        hub.stop()
