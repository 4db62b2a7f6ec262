"""Planted people and secrets go the whole way, with errors of every kind: no line of the log and no reason holds one."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import sqlalchemy as sa
import structlog
from lab_hub import Lab

from hub.cli import logs
from hub.db import refusals
from hub.flows.tables import Run
from hub.outbox.plan import DELIVERY

RUN = Run.__table__  # type: ignore[attr-defined]
PERSON = {
    "email": "zoe.quimperle@example.org",
    "first_name": "Zoé",
    "last_name": "Quimperlé-Plougastel",
    "phone": "+33 6 98 76 54 32",
    "address1": "17 venelle du Témoin",
    "city": "Landivisiau",
}
SECRETS = ("secret-of-the-lab", "bearer-abcdef123456")
#: as it is looked for: no part of a person may be there
PLANTED = ("zoe.quimperle", "Quimperlé", "Plougastel", "98 76 54", "venelle", "Témoin", "Landivisiau", *SECRETS)

TO_BOOKS = """
flow: to-books
description: What came goes to the books.
on: {role: shop, record: thing}
when: record.kind == 'send'
steps:
  - deliver: {role: books, operation: customer.ensure, key: record.id, body: "{'ref': record.id, 'customer': record.customer}"}
"""
TO_MAIL = """
flow: to-mail
on: {role: shop, record: thing}
allow: {ladder-none: a test}
when: record.kind == 'mail'
steps:
  - deliver: {role: books, operation: message.send, key: record.id, body: "{'to': record.customer.email, 'customer': record.customer}"}
"""
STUMBLES = """
flow: stumbles
on: {role: shop, record: thing}
when: record.kind == 'stumble'
steps:
  - set: {wrong: "round(record.customer.last_name, 2)"}
"""
KEYED = """
flow: keyed
on: {role: shop, record: thing}
when: record.kind == 'keyed'
steps:
  - deliver: {role: books, operation: invoice.create, key: "[record.customer.last_name]", body: record}
"""


@pytest.fixture
def lines(capsys: pytest.CaptureFixture[str]) -> Iterator[Callable[[], list[dict[str, Any]]]]:
    """Logs everything as a running hub does. Gives what was logged."""
    root = logging.getLogger()
    before = root.handlers[:], root.level
    logs.configure("debug")
    yield lambda: [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    structlog.reset_defaults()
    root.handlers[:], level = before
    root.setLevel(level)


def _thing(number: int, kind: str) -> dict[str, Any]:
    return {"id": f"t{number}", "kind": kind, "customer": PERSON}


def _reasons(lab: Lab) -> list[str]:
    """All that is kept of what went wrong: with questions, deliveries, events and runs."""
    found = [each.reason for each in lab.questions()] + [each.details for each in lab.questions()]
    found += [row.reason for row in lab.rows(DELIVERY)] + [row.reason for row in lab.rows(RUN)]
    return [each for each in [*found, *(row.outcome for row in lab.events())] if each]


def test_no_line_and_no_reason_holds_a_person_or_a_secret(lab: Lab, lines: Callable[[], list[dict[str, Any]]]) -> None:
    problems = lab.write(to_books=TO_BOOKS, to_mail=TO_MAIL, stumbles=STUMBLES, keyed=KEYED)
    own = ("to-books", "to-mail", "stumbles", "keyed")
    assert [each for each in problems if each.file in {f"flows/{name}.yaml" for name in own}] == []
    system = lab.system
    system.fault("POST /customers", "echo", status=422)
    system.fault("POST /messages", "drop_after")
    system.fault("/changes", "echo", status=400)
    lab.receive(_thing(1, "send"))
    lab.receive(_thing(2, "mail"))
    lab.receive(_thing(3, "stumble"))
    lab.receive(_thing(4, "keyed"))
    lab.receive(json.dumps(PERSON).encode()[:-9], kind="thing", key="cut")
    lab.receive({"id": "o1", "customer": PERSON}, topic="orders/changed", kind="order")
    lab.work()
    lab.hub.poller.soon(lab.lab)
    lab.work()

    logged, reasons = lines(), _reasons(lab)

    told = json.dumps([logged, reasons], ensure_ascii=False)
    assert [each for each in PLANTED if each in told] == []
    # and what is left is of use: it names the field, the event and the delivery
    assert any("round needs a number, not text '<last_name>'" in each for each in reasons)
    assert {"event_seq", "delivery_id", "merchant_id", "connection_id"} <= {key for line in logged for key in line}
    assert {line["event"] for line in logged} >= {"event worked", "attempt ended", "decode failed", "poll failed"}
    states = {row.key: row.state for row in lab.deliveries()}
    assert states == {"t1": "rejected", "t2": "uncertain"}


def test_what_a_database_refuses_is_told_without_the_values(
    lab: Lab, lines: Callable[[], list[dict[str, Any]]]
) -> None:
    name = PERSON["last_name"]
    statements = [
        sa.text(
            "INSERT INTO merchant (id, name, zone, currency, lanes, created_at) VALUES (1, :name, 'x', 'EUR', 1, 0)"
        ),
        sa.text("UPDATE merchant SET currency = :name"),
        sa.text("SELECT CAST(:name AS integer) / 0 FROM nowhere"),
    ]
    if not lab.database.sqlite:
        statements.append(sa.text("SELECT CAST(CAST(:name AS text) AS integer)"))
    told = []
    for statement in statements:
        try:
            with lab.database.write() as connection:
                connection.execute(statement, {"name": name})
        except sa.exc.DBAPIError as error:
            told.append(refusals.said(error))
            structlog.get_logger("hub.test").exception("write failed", event_seq=7)
    logged = lines()

    assert len(told) == len(logged) == len(statements)
    assert name not in json.dumps([logged, told], ensure_ascii=False)
    assert "merchant" in told[0]


def test_an_error_that_repeats_what_it_was_given_is_logged_by_its_place(
    lines: Callable[[], list[dict[str, Any]]],
) -> None:
    log = structlog.get_logger("hub.test")
    for value in (*PERSON.values(), *SECRETS):
        try:
            raise ValueError(f"{value} does not fit")
        except ValueError:
            log.exception("it failed")
        log.warning(f"told by a library: {PERSON['email']}", token=value)
    logged = lines()

    assert [each for each in PLANTED if each in json.dumps(logged, ensure_ascii=False)] == []
    assert logged[0]["error"] == "ValueError"
    assert any("test_personal_data.py" in place for place in logged[0]["at"])
