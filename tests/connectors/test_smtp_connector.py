"""The SMTP connector against its sandbox: a mail is sent at most once."""

from __future__ import annotations

from typing import Any

import pytest

from hub.connect.links import Link
from hub.connect.operations import Confirmed, NeedsReconnect, Outcome, Rejected, Retry, Uncertain, execute
from hub.connect.sandboxes import Running
from tests.connectors.kit import Kit

MAIL = {"to": "Ada <ada@example.org>", "subject": "Votre facture n° 1", "text": "Bonjour,\n.point\n"}


@pytest.fixture
def server(kit: Kit) -> Running:
    return kit.sandbox("smtp")


@pytest.fixture
def link(kit: Kit, server: Running) -> Link:
    return kit.connect("smtp", settings(server))


def settings(server: Running, **more: Any) -> dict[str, Any]:
    place = {"host": server.host, "port": server.port, "security": "none", "timeout": 2}
    return {**place, "sender": "Atelier <shop@example.org>", **more}


def send(link: Link, body: dict[str, Any] = MAIL, key: str = "invoice:1") -> Outcome:
    return execute(link, "message.send", body, key, first_attempt=True)


def test_a_mail_arrives_with_a_message_id_made_from_the_key(link: Link, server: Running) -> None:
    done = send(link, MAIL | {"html": "<p>Bonjour</p>", "reply_to": "help@example.org"})
    send(link)

    first, second = server.state.messages
    assert isinstance(done, Confirmed)
    assert done.external_id == first.message_id == second.message_id
    assert (first.recipients, first.subject) == (("ada@example.org",), "Votre facture n° 1")
    assert first.text.splitlines() == ["Bonjour,", ".point"]
    assert first.headers["Reply-To"] == "help@example.org"


@pytest.mark.parametrize("match", ["CONNECT", "EHLO", "MAIL", "RCPT"])
def test_what_fails_before_the_message_is_tried_again(link: Link, server: Running, match: str) -> None:
    server.state.plant(match, "drop_before")
    if match == "EHLO":
        server.state.plant("HELO", "drop_before")

    outcome = send(link)

    assert isinstance(outcome, Retry)
    assert not outcome.sent
    assert server.state.messages == []


@pytest.mark.parametrize("match", ["MAIL", "RCPT", "DATA"])
def test_a_temporary_refusal_is_tried_again_and_a_final_one_is_a_question(
    link: Link, server: Running, match: str
) -> None:
    server.state.plant(match, "status", status=451)
    server.state.plant(match, "status", status=550, body="no such user")

    assert isinstance(send(link), Retry)
    refused = send(link)
    assert isinstance(refused, Rejected)
    assert "550" in refused.reason
    assert server.state.messages == []


def test_a_connection_that_ends_after_the_message_leaves_it_uncertain(link: Link, server: Running) -> None:
    server.state.plant("DATA", "drop_after")

    assert isinstance(send(link), Uncertain)
    assert len(server.state.messages) == 1


def test_a_server_that_is_too_slow_after_the_message_leaves_it_uncertain(kit: Kit, server: Running) -> None:
    link = kit.connect("smtp", settings(server, timeout=1))
    server.state.plant("DATA", "slow_after", seconds=3)

    assert isinstance(send(link), Uncertain)


def test_nobody_listening_is_tried_again(link: Link, server: Running) -> None:
    server.stop()

    outcome = send(link)

    assert isinstance(outcome, Retry)
    assert not outcome.sent


def test_a_log_in_that_is_refused_asks_for_a_person(kit: Kit) -> None:
    server = kit.sandbox("smtp", username="shop", password="right")
    good = kit.connect("smtp", settings(server, username="shop", password="right"))
    bad = kit.connect("smtp", settings(server, username="shop", password="wr0ng-secret"))

    assert isinstance(send(good), Confirmed)
    refused = send(bad)
    assert isinstance(refused, NeedsReconnect)
    assert "wr0ng" not in refused.reason


@pytest.mark.parametrize("body", [{"subject": "x"}, {"to": "nobody"}, {"to": "a@b.c\r\nBcc: d@e.f"}])
def test_a_mail_that_cannot_be_written_is_refused(link: Link, server: Running, body: dict[str, Any]) -> None:
    assert isinstance(send(link, body), Rejected)
    assert server.state.messages == []
