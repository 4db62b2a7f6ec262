"""The connector that `hub new connector` writes, over real sockets: what it declares is what its sandbox does."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from hub.connect import reads
from hub.connect.errors import ReconnectNeeded
from hub.connect.links import Link, Links
from hub.connect.operations import Confirmed, NeedsReconnect, Rejected, execute
from hub.connect.registry import Registry
from hub.connect.rootkeys import root_key
from hub.connect.sandboxes import Running
from hub.connect.signatures import SignatureError
from hub.connect.vault import Vault
from hub.db.engine import Database
from hub.workers import scaffold
from tests.connectors.kit import Kit
from tests.connectors.serving import Receiver

Ask = Callable[..., Any]
ADA = {"email": "ada@example.org", "name": "Ada Byron"}


@pytest.fixture
def kit(sqlite_url: str, tmp_path: Path) -> Iterator[Kit]:
    """A hub whose folder has the connector."""
    home = tmp_path / "home"
    scaffold.write(home, scaffold.connector(home, "my_crm"))
    database = Database(sqlite_url)
    links = Links(Registry.discover(home), Vault([root_key(secrets.token_bytes(32))], database.ids), database)
    made = Kit(database, links)
    yield made
    links.close()
    for running in made.running:
        running.stop()
    database.dispose()


@pytest.fixture
def crm(kit: Kit) -> Running:
    return kit.sandbox("my_crm")


@pytest.fixture
def link(kit: Kit, crm: Running) -> Link:
    settings = kit.links.registry.get("my_crm").module("sandbox").connection(crm.url)
    return kit.connect("my_crm", settings)


def created(outcome: Any) -> str:
    assert isinstance(outcome, Confirmed), outcome
    assert outcome.external_id is not None
    return outcome.external_id


def test_a_contact_is_found_before_one_is_made(link: Link, crm: Running, ask: Ask) -> None:
    first = created(execute(link, "contact.ensure", ADA, "contact:1", first_attempt=True))
    again = created(execute(link, "contact.ensure", ADA, "contact:2", first_attempt=True))

    assert first == again
    assert len(ask(crm, "state", method="GET")["contacts"]) == 1


@pytest.mark.parametrize("kind", ["status_after", "drop_after"])
def test_a_write_whose_answer_was_lost_is_not_done_twice(link: Link, crm: Running, ask: Ask, kind: str) -> None:
    contact = created(execute(link, "contact.ensure", ADA, "contact:1", first_attempt=True))
    ask(crm, "faults", {"match": f"POST /contacts/{contact}/notes", "kind": kind, "status": 502})
    note = {"contact_id": int(contact), "text": "Invoice F2026-000001"}

    lost = execute(link, "note.create", note, "F2026-000001", first_attempt=True)
    done = execute(link, "note.create", note, "F2026-000001", first_attempt=False)

    assert not isinstance(lost, Confirmed)
    assert created(done) == "1"
    assert len(ask(crm, "state", method="GET")["notes"]) == 1


def test_what_it_refuses_is_refused(link: Link, kit: Kit, crm: Running) -> None:
    assert isinstance(execute(link, "note.create", {"contact_id": 7, "text": "x"}, "k", first_attempt=True), Rejected)
    wrong = kit.connect("my_crm", {"base_url": crm.url, "token": "another"})
    assert isinstance(execute(wrong, "contact.ensure", ADA, "k", first_attempt=True), NeedsReconnect)


def test_polls_find_every_change_once_over_pages_and_read_it(link: Link, crm: Running) -> None:
    for number in range(120):
        crm.state.act({"email": f"person{number}@example.org"})
    pages = []
    cursor, more = "2020-01-01T00:00:00+00:00", True
    while more and len(pages) < 10:  # a cursor that stands still is seen, not waited for
        page = reads.poll(link, "contact", cursor)
        pages.append(page)
        cursor, more = page.cursor, page.more
    found = [identity for page in pages for identity, _ in page.items]

    assert (len(found), len(set(found)), len(pages)) == (120, 120, 3)
    assert reads.poll(link, "contact", cursor).items == []
    record = reads.read(link, "contact", found[0])
    assert record is not None
    assert record["email"] == "person0@example.org"
    assert reads.read(link, "contact", "999999") is None


def test_webhooks_are_signed_and_read(link: Link, crm: Running, ask: Ask) -> None:
    receiver = Receiver()
    try:
        ask(crm, "subscribe", {"url": receiver.url})
        ask(crm, "contacts", ADA)
        got = receiver.next()
    finally:
        receiver.close()

    reads.verify(link, got.headers, got.body)
    topic = reads.topic_of(link.connector, got.headers, got.body, link.settings)
    found = reads.decode(link.connector, topic, got.headers, got.body, link.settings)
    assert (topic, found.record, found.record_id) == ("contact.updated", "contact", "1001")
    assert found.data["email"] == "ada@example.org"
    assert reads.delivery_id(link.connector, got.headers, got.body, link.settings) == "delivery-1"
    with pytest.raises(SignatureError):
        reads.verify(link, got.headers, got.body + b" ")


def test_the_connection_can_be_checked(link: Link, kit: Kit, crm: Running) -> None:
    check = link.connector.code("contacts:check")
    check(link)
    with pytest.raises(ReconnectNeeded):
        check(kit.connect("my_crm", {"base_url": crm.url, "token": "another"}))
