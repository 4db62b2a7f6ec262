"""`hub capture`: a test is made of what a hub did, it passes, and nobody who was in the input is in it."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
import typer
from typer.testing import CliRunner
from world import World, world

from hub.cli.capture import command
from hub.connect import payload
from hub.connect.limits import Limits
from hub.connect.registry import shipped
from hub.db.types import instant_us, now_us
from hub.inbox.arrivals import from_webhook
from hub.inbox.tables import Inbox
from hub.workers.admin import events
from hub.workers.admin.errors import AdminError, NotThere
from hub.workers.capture import Made, capture_test
from hub.workers.captured import event_of_run
from hub.workers.flowtest import run_file
from hub.workers.hub import Hub
from hub.workers.personal import Pseudonyms

INBOX = Inbox.__table__  # type: ignore[attr-defined]
ITEMS = [
    {"sku": "MUG-01", "title": "Mug", "price": "14.90", "vat": "0.2", "quantity": 20},
    {"sku": "THE-01", "title": "Thé", "price": "9.90", "vat": "0.055", "quantity": 20},
]


@contextmanager
def stocked(folder: Path, **options: Any) -> Iterator[World]:
    """A world with the items in stock."""
    with world(folder, ITEMS, **options) as made:
        events.trigger(made.hub, "items", [{key: each[key] for key in ("sku", "title", "quantity")} for each in ITEMS])
        made.hub.run_until_idle()
        yield made


@pytest.fixture
def house(tmp_path: Path) -> Any:
    with stocked(tmp_path) as made:
        yield made


@pytest.fixture
def house_on_postgres(tmp_path: Path, postgres_url: str) -> Any:
    with stocked(tmp_path, url=postgres_url) as made:
        yield made


@pytest.fixture
def home(tmp_path: Path) -> Path:
    (tmp_path / "home" / "flows").mkdir(parents=True)
    return tmp_path / "home"


def webhook(w: World, topic: str, body: bytes, role: str = "shop") -> int:
    """A webhook that comes in and is worked; its number."""
    info = next(iter(w.hub.active(1).settings.roles.of(role)))
    where = {"merchant_id": 1, "connection_id": info.id, "lanes": 64, "settings": info.settings}
    event = from_webhook(
        w.registry.get(info.connector), body, topic=topic, headers={"content-type": "application/json"}, **where
    )
    w.hub.intake.receive([event])
    w.hub.run_until_idle()
    with w.database.read() as connection:
        found = connection.execute(sa.select(sa.func.max(INBOX.c.seq)).where(INBOX.c.topic == topic)).scalar_one()
    return int(found)


def newest_record(w: World, record: str) -> int:
    """The event of a kind of record that came last."""
    with w.database.read() as connection:
        return int(connection.execute(sa.select(sa.func.max(INBOX.c.seq)).where(INBOX.c.record == record)).scalar_one())


def given(w: World, name: str, *records: dict[str, Any]) -> int:
    """A manual trigger with records; the number of its last event."""
    events.trigger(w.hub, name, list(records))
    w.hub.run_until_idle()
    return newest_record(w, name)


def passes(made: Made) -> bool:
    result = run_file(made.file)
    return result.problems == [] and all(case.passed for case in result.cases)


def shipped_payload(name: str) -> dict[str, Any]:
    return dict(json.loads((shipped("flows") / "payloads" / name).read_text("utf-8")))


def another(order: dict[str, Any]) -> dict[str, Any]:
    """An order like this one, which is not this one."""
    lines = [line | {"id": line["id"] + 5_000} for line in order["line_items"]]
    return order | {"id": order["id"] + 5_000, "name": "#1999", "line_items": lines}


def capture(w: World, seq: int, home: Path, name: str = "captured") -> Made:
    with w.database.read() as connection:
        return capture_test(connection, w.vault, w.registry, seq, home=home, name=name)


def people_of(value: Any) -> set[str]:
    """Names, mail addresses, telephone numbers, streets and notes of an input, word for word."""
    fields = "first_name last_name name email contact_email phone address1 address2 city company note".split()
    found: set[str] = set()
    if isinstance(value, dict):
        for name, each in value.items():
            inside = name in ("customer", "billing_address", "shipping_address", "default_address")
            found |= people_of(each)
            if isinstance(each, str) and each and name in fields and not each.startswith("#"):
                found.add(each)
            if inside and isinstance(each, dict):
                found |= {str(each[key]) for key in fields if each.get(key)}
    elif isinstance(value, list):
        found = {each for item in value for each in people_of(item)}
    return found


PERSON = {
    "first_name": "Clémentine",
    "last_name": "d'Harcourt",
    "name": "Clémentine d'Harcourt",
    "address1": "12 bis impasse des Lilas",
    "address2": "Bâtiment C",
    "city": "Montreuil",
    "zip": "93100",
    "country_code": "FR",
    "phone": "+33 6 12 34 56 78",
    "company": "Lilas & fils",
}


def order_with_a_person() -> dict[str, Any]:
    body = shipped_payload("1001-paid.json")
    body |= {
        "email": "clementine.dharcourt@personne.example",
        "contact_email": "clementine.dharcourt@personne.example",
        "phone": "+33612345678",
        "note": "Sonnez chez Clémentine d'Harcourt, code 4521, ou 06 12 34 56 78",
        "billing_address": dict(PERSON),
        "shipping_address": dict(PERSON),
        "browser_ip": "203.0.113.9",
    }
    body["customer"] = {
        "id": 7100000000001,
        "first_name": PERSON["first_name"],
        "last_name": PERSON["last_name"],
        "email": "clementine.dharcourt@personne.example",
        "default_address": dict(PERSON),
    }
    return body


def test_a_captured_test_passes_and_holds_nobody_of_the_input(house: World, home: Path) -> None:
    body = order_with_a_person()
    seq = webhook(house, "orders/paid", json.dumps(body).encode())

    made = capture(house, seq, home)

    result = run_file(made.file)
    assert result.problems == []
    assert [case.failures for case in result.cases] == [[]]
    text = "".join(file.read_text("utf-8") for file in [made.file, *made.payloads])
    sold = {line["title"] for line in body["line_items"]}
    there = {word for value in PERSON.values() for word in re.split(r"[ ,]+", value) if len(word) > 3}
    for word in sorted((people_of(body) - sold) | there):
        assert word.casefold() not in text.casefold(), f"{word} is still there"
    assert "4521" not in text, "what stands in a note is gone"
    assert "203.0.113.9" not in text
    assert "44.60" in text
    assert "MUG-01" in text
    assert "invoice.create, state: confirmed" in text
    given = json.loads(made.payloads[0].read_text("utf-8"))
    assert given["billing_address"]["first_name"] == given["customer"]["first_name"]
    assert given["billing_address"]["name"].split()[0] == given["billing_address"]["first_name"]
    assert given["email"] == given["customer"]["email"]
    assert given["total_price"] == body["total_price"]


def test_earlier_events_of_the_order_are_captured_with_it(house: World, home: Path) -> None:
    webhook(house, "orders/paid", (shipped("flows") / "payloads" / "1001-paid.json").read_bytes())
    seq = webhook(house, "orders/updated", (shipped("flows") / "payloads" / "1001-refunded.json").read_bytes())

    made = capture(house, seq, home)

    assert made.events >= 2
    text = made.file.read_text("utf-8")
    assert "credit_notes:\n        - {" in text
    assert all(case.passed for case in run_file(made.file).cases)


def test_a_captured_test_fails_when_the_flow_does_something_else(house: World, home: Path) -> None:
    seq = webhook(house, "orders/paid", (shipped("flows") / "payloads" / "1001-paid.json").read_bytes())
    made = capture(house, seq, home)
    (home / "flows" / "invoices-to-books.yaml").write_text(
        "flow: invoices-to-books\non: {event: invoice.issued}\nsteps:\n  - stop: no more\n", "utf-8"
    )

    [case] = run_file(made.file).cases

    assert not case.passed
    assert any(each["what"].startswith("deliveries") for each in case.failures)


def test_where_the_test_is_not_as_the_hub_nothing_is_kept(house: World, home: Path) -> None:
    seq = webhook(house, "orders/paid", (shipped("flows") / "payloads" / "1001-paid.json").read_bytes())
    (home / "flows" / "shop-orders.yaml").write_text(
        "flow: shop-orders\non: {role: shop, record: order}\nsteps:\n  - stop: nothing is booked\n", "utf-8"
    )
    before = sorted(home.rglob("*"))

    with pytest.raises(AdminError) as refused:
        capture(house, seq, home)

    assert "nothing is kept" in str(refused.value)
    assert any(problem.startswith("invoices") for problem in refused.value.problems)
    assert sorted(home.rglob("*")) == before


def test_an_erased_body_is_refused_with_its_date(house: World, home: Path) -> None:
    seq = webhook(house, "orders/paid", (shipped("flows") / "payloads" / "1001-paid.json").read_bytes())
    with house.database.write() as connection:
        connection.execute(INBOX.update().where(INBOX.c.seq == seq).values(body=None))

    with pytest.raises(AdminError, match=rf"event {seq} came in on \d{{4}}-\d\d-\d\d .* has been erased"):
        capture(house, seq, home)
    with house.database.read() as connection, pytest.raises(NotThere, match="no run 1"):
        event_of_run(connection, 1, 1)
    assert list((home / "flows").iterdir()) == []


def test_an_order_that_was_read_is_captured_too(house: World, home: Path) -> None:
    house._post(
        "shopify",
        "/_sandbox/orders",
        {"lines": [{"sku": "MUG-01", "quantity": 2}], "pay": True, "email": "ada@personne.example"},
    )
    events.poll(house.hub, "shop")
    house.hub.run_until_idle()
    with house.database.read() as connection:
        seq = connection.execute(sa.select(sa.func.max(INBOX.c.seq)).where(INBOX.c.record == "order")).scalar_one()

    made = capture(house, seq, home)

    text = "".join(file.read_text("utf-8") for file in [made.file, *made.payloads])
    assert "personne.example" not in text
    assert "read: order" in text
    assert all(case.passed for case in run_file(made.file).cases)


def test_a_shipment_is_of_the_order_that_its_reference_named(house: World, home: Path) -> None:
    webhook(house, "orders/paid", (shipped("flows") / "payloads" / "1001-paid.json").read_bytes())
    house._post("shipbob", "/_sandbox/ship", {"all": True})
    events.poll(house.hub, "warehouse")
    house.hub.run_until_idle()

    made = capture(house, newest_record(house, "shipment"), home)

    text = made.file.read_text("utf-8")
    assert "{sku: MUG-01, quantity: 2, source: main, destination: customer}" in text
    found = re.search(r'refs: \{(SO\d+-\d+): "#1001"\}', text)
    assert found
    made.file.write_text(text.replace(f"refs: {{{found[1]}", "refs: {SO9-9999"), "utf-8")
    for file in made.payloads:  # whatever the hub called it
        file.write_text(file.read_text("utf-8").replace(found[1], "SO9-9999"), "utf-8")
    assert passes(made)

    text = made.file.read_text("utf-8")
    made.file.write_text(text.replace('"#1001"}}', '"#1002"}}'), "utf-8")
    [case] = run_file(made.file).cases
    assert "`refs` names #1002, and no orders of that name are there by then" in case.failures[0]["found"]
    made.file.write_text(re.sub(r", refs: \{[^}]*\}", "", text), "utf-8")
    [case] = run_file(made.file).cases
    assert any(each["what"].startswith("moves") for each in case.failures)
    made.file.write_text(text.replace("refs: {SO", "refs: {XY"), "utf-8")
    assert "`refs` says of references of orders" in run_file(made.file).problems[0]


def test_an_order_that_waited_is_captured_with_the_receipts_that_came(house: World, home: Path) -> None:
    given(house, "items", {"sku": "BOL-01", "title": "Bowl", "quantity": 1})
    body = shipped_payload("1008-short.json")
    waits = webhook(house, "orders/paid", json.dumps(body).encode())
    given(house, "receipts", {"sku": "BOL-01", "quantity": 1, "ref": "BL-1"})
    came = given(house, "receipts", {"sku": "BOL-01", "quantity": 9, "ref": "BL-2"})
    later = webhook(house, "orders/updated", json.dumps(body | {"updated_at": "2026-11-25T10:00:00+01:00"}).encode())

    at_first, at_receipt, at_last = (capture(house, seq, home, f"at-{seq}") for seq in (waits, came, later))

    assert [passes(each) for each in (at_first, at_receipt, at_last)] == [True, True, True]
    assert "stock.short" in at_first.file.read_text("utf-8")
    last = at_last.file.read_text("utf-8")
    assert last.count("manual: receipts") == 2
    assert "questions: []" in last
    assert "BOL-01: 1}" in last


def test_goods_that_another_order_took_are_not_in_stock(house: World, home: Path) -> None:
    given(house, "items", {"sku": "BOL-01", "title": "Bowl", "quantity": 6})
    first = shipped_payload("1008-short.json")
    webhook(house, "orders/paid", json.dumps(first).encode())

    made = capture(house, webhook(house, "orders/paid", json.dumps(another(first)).encode()), home)

    assert passes(made)
    assert "stock.short" in made.file.read_text("utf-8")


def test_what_a_file_brought_is_captured(house: World, home: Path) -> None:
    seq = given(house, "items", {"sku": "BOL-01", "title": "Bowl", "quantity": 4})

    made = capture(house, seq, home)

    assert passes(made)
    assert "{sku: BOL-01, quantity: 4, source: opening, destination: main}" in made.file.read_text("utf-8")


def test_a_carrier_is_no_person() -> None:
    told = {"trackingInfo": [{"company": "Colissimo"}], "address": {"company": "Lilas & fils"}}

    made = Pseudonyms(b"k" * 32).record(told)

    assert made["trackingInfo"] == told["trackingInfo"]
    assert made["address"] != told["address"]


def test_the_same_person_has_the_same_pseudonym_and_another_key_gives_another() -> None:
    one, again, other = Pseudonyms(b"a" * 32), Pseudonyms(b"a" * 32), Pseudonyms(b"b" * 32)
    record = payload.decode(
        json.dumps({"customer": {"firstName": "Zoé", "displayName": "Zoé Martin"}, "note": "Zoé Martin"})
    )

    assert one.record(record) == again.record(record)
    assert one.of("email", "a@b.example") == again.of("email", "a@b.example") != other.of("email", "a@b.example")
    assert "Zoé" not in json.dumps(one.record(record), ensure_ascii=False)


@pytest.mark.parametrize(
    ("text", "kept"),
    [("write to x.y@shop.example now", "write to "), ("call +33 6 11 22 33 44", "call "), ("06 11 22 33 44", "")],
)
def test_mail_and_telephone_are_found_in_any_text(text: str, kept: str) -> None:
    made = Pseudonyms(b"k" * 32).record({"anything": text})["anything"]

    assert made != text
    assert made.startswith(kept)
    assert "shop.example" not in made
    assert "22 33 44" not in made


@pytest.mark.parametrize(
    "plain", ["5100000001006", "2026-11-24T09:12:00+01:00", "MUG-01", "44.60", "gid://shopify/Order/5100000001006"]
)
def test_ids_instants_skus_and_amounts_are_kept(plain: str) -> None:
    assert Pseudonyms(b"k" * 32).record({"anything": plain}) == {"anything": plain}


def test_the_command_says_what_it_wrote(house: World, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    order = shipped_payload("1001-paid.json")
    webhook(
        house, "orders/paid", json.dumps(another(order)).encode()
    )  # it has the invoice number that a test begins with
    seq = webhook(house, "orders/paid", json.dumps(order).encode())
    with house.database.read() as connection:
        run = connection.execute(
            sa.text("SELECT id FROM run WHERE event_seq = :seq ORDER BY id"), {"seq": seq}
        ).scalar()
    monkeypatch.setenv("HUB_HOME", str(home))
    monkeypatch.setenv("HUB_DATABASE_URL", house.database.url.render_as_string(hide_password=False))
    monkeypatch.setenv("HUB_SECRET_KEY", base64.b64encode(bytes(range(32))).decode())
    app = typer.Typer()
    app.command()(command)

    shown = CliRunner().invoke(app, [str(run), "--name", "mine"])

    assert shown.exit_code == 0, shown.output
    assert f"{home / 'flows' / 'mine.test.yaml'}: 1 events, passes" in shown.stdout
    assert "not compared: invoice.create: " in shown.stdout
    assert all(case.passed for case in run_file(home / "flows" / "mine.test.yaml").cases)


ASKS = (
    "flow: asks\non: {event: invoice.issued}\nallow: {ladder-none: it is a test}\nsteps:\n"
    "  - fetch: {role: shop, record: order, id: \"'1'\", as: found}\n"
    "  - deliver: {role: mail, operation: message.send, key: \"'asks:' + invoice.number\", body: \"{'to': ['team@example.org'], "
    "'subject': 'Asked', 'text': default(found.name, 'nobody knows it')}\"}\n"
)
DAILY = (
    "flow: daily\non: {schedule: 0 7 * * *}\nallow: {ladder-none: it is a test}\nsteps:\n"
    "  - deliver: {role: mail, operation: message.send, key: record.day, body: \"{'to': ['team@example.org'], 'subject': record.day, "
    "'text': 'Good morning'}\"}\n"
)


@contextmanager
def with_flow(w: World, home: Path, name: str, text: str, clock: Callable[[], int] = now_us) -> Iterator[None]:
    """The hub of a world with one flow more."""
    (home / "flows" / f"{name}.yaml").write_text(text, "utf-8")
    before = w.hub
    w.hub = Hub(w.database, w.vault, w.registry, homes=[home], clock=clock, limits=Limits(enforced=False))
    try:
        assert [str(problem) for problem in w.hub.problems] == []
        yield
    finally:
        w.hub.stop()
        w.hub = before


def newest(w: World, kind: str) -> int:
    with w.database.read() as connection:
        return int(connection.execute(sa.select(sa.func.max(INBOX.c.seq)).where(INBOX.c.kind == kind)).scalar_one())


def test_what_a_flow_of_the_core_did_after_its_event_is_captured_with_the_event_behind_it(
    house: World, home: Path
) -> None:
    with with_flow(house, home, "asks", ASKS):
        webhook(house, "orders/paid", (shipped("flows") / "payloads" / "1001-paid.json").read_bytes())
    seq = newest(house, "core")

    made = capture(house, seq, home)

    text = made.file.read_text("utf-8")
    assert "webhook: orders/paid" in text
    assert text.count("message.send") == 2, "the mail of the invoice, and that of the flow that read"
    assert all(case.passed for case in run_file(made.file).cases)


def test_a_scheduled_run_is_captured_as_a_tick_of_its_flow(house: World, home: Path) -> None:
    at = [instant_us("2026-11-24T06:30:00+01:00")]
    with with_flow(house, home, "daily", DAILY, lambda: at[0]):
        house.hub.scheduler.tick()
        at[0] += 3_600_000_000
        house.hub.run_until_idle()

        made = capture(house, newest(house, "schedule"), home)

    text = made.file.read_text("utf-8")
    assert "- {schedule: daily}" in text
    assert "subject: 2026-11-24" in text or 'subject: "2026-11-24"' in text
    assert all(case.passed for case in run_file(made.file).cases)


def test_a_hub_on_postgresql_is_captured_alike(house_on_postgres: World, home: Path) -> None:
    with with_flow(house_on_postgres, home, "asks", ASKS):
        webhook(house_on_postgres, "orders/paid", (shipped("flows") / "payloads" / "1001-paid.json").read_bytes())

    made = capture(house_on_postgres, newest(house_on_postgres, "core"), home)

    assert all(case.passed for case in run_file(made.file).cases)
