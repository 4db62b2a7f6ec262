"""The SMTP sandbox, spoken to by Python's own smtplib over real sockets."""

from __future__ import annotations

import hashlib
import smtplib
import socket
from collections.abc import Iterator
from datetime import UTC, datetime
from email.message import EmailMessage
from typing import Any

import httpx2
import pytest

from tests.connectors.serving import load

NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)


@pytest.fixture
def server() -> Iterator[Any]:
    server = load("smtp").serve(http=True, clock=lambda: NOON)
    yield server
    server.close()


def invoice_mail(to: str = "camille@example.org") -> EmailMessage:
    mail = EmailMessage()
    mail["From"], mail["To"] = "shop@example.org", to
    mail["Subject"] = "Votre facture n° 2026-001"
    mail["Message-ID"] = "<invoice.1@hub.example>"
    mail.set_content("Bonjour,\n.une ligne qui commence par un point\nMerci\n")
    mail.add_attachment(b"%PDF-1.7 ...", maintype="application", subtype="pdf", filename="2026-001.pdf")
    return mail


def send(server: Any, mail: EmailMessage, recipients: list[str] | None = None) -> None:
    with smtplib.SMTP("127.0.0.1", server.port, timeout=5) as client:
        client.send_message(mail, to_addrs=recipients)


def test_a_mail_is_kept_with_its_envelope_texts_and_attachments(server: Any) -> None:
    send(server, invoice_mail(), ["camille@example.org", "archive@example.org"])

    (mail,) = server.messages
    assert (mail.sender, mail.recipients) == ("shop@example.org", ("camille@example.org", "archive@example.org"))
    assert (mail.message_id, mail.subject) == ("<invoice.1@hub.example>", "Votre facture n° 2026-001")
    assert mail.text.splitlines() == ["Bonjour,", ".une ligne qui commence par un point", "Merci"]
    assert [(each.filename, each.content_type) for each in mail.attachments] == [("2026-001.pdf", "application/pdf")]
    assert mail.attachments[0].sha256 == hashlib.sha256(b"%PDF-1.7 ...").hexdigest()


def test_several_mails_go_through_one_connection(server: Any) -> None:
    with smtplib.SMTP("127.0.0.1", server.port, timeout=5) as client:
        client.send_message(invoice_mail())
        client.rset()
        assert client.noop()[0] == 250
        client.send_message(invoice_mail("second@example.org"))

    assert [mail.recipients for mail in server.messages] == [("camille@example.org",), ("second@example.org",)]


def test_a_recipient_is_refused_for_good(server: Any) -> None:
    server.plant("RCPT *@nowhere.example", "status", status=550, body="5.1.1 no such user")

    with pytest.raises(smtplib.SMTPRecipientsRefused) as refused:
        send(server, invoice_mail("a@nowhere.example"))

    assert refused.value.recipients["a@nowhere.example"][0] == 550
    assert server.messages == []
    send(server, invoice_mail())
    assert len(server.messages) == 1


def test_one_of_two_recipients_is_refused(server: Any) -> None:
    server.plant("RCPT *@nowhere.example", "status", status=550)

    send(server, invoice_mail(), ["a@nowhere.example", "camille@example.org"])

    assert server.messages[0].recipients == ("camille@example.org",)


def test_a_passing_failure_after_the_message_keeps_nothing(server: Any) -> None:
    server.plant("DATA", "status", status=451, body="4.3.0 try later")

    with pytest.raises(smtplib.SMTPDataError) as failed:
        send(server, invoice_mail())

    assert (failed.value.smtp_code, server.messages) == (451, [])
    send(server, invoice_mail())
    assert len(server.messages) == 1


def test_a_failure_can_be_answered_although_the_message_was_kept(server: Any) -> None:
    server.plant("DATA", "status_after", status=451)

    with pytest.raises(smtplib.SMTPDataError):
        send(server, invoice_mail())

    assert len(server.messages) == 1


@pytest.mark.parametrize(("kind", "kept"), [("drop_before", 0), ("drop_after", 1)])
def test_the_connection_is_cut_after_the_message_without_an_answer(server: Any, kind: str, kept: int) -> None:
    server.plant("DATA *facture*", kind)

    with pytest.raises(smtplib.SMTPServerDisconnected):
        send(server, invoice_mail())

    assert len(server.messages) == kept
    assert server.requests()["requests"][-1] == {
        "command": "DATA",
        "argument": "Votre facture n° 2026-001",
        "reply": None,
        "fault": kind,
    }


def test_a_slow_answer_outlasts_the_senders_patience(server: Any) -> None:
    server.plant("DATA", "slow_after", seconds=0.5)

    # smtplib reports its own time-out with this class
    with pytest.raises(smtplib.SMTPServerDisconnected), smtplib.SMTP("127.0.0.1", server.port, timeout=0.1) as client:
        client.send_message(invoice_mail())

    assert len(server.messages) == 1


def test_a_connection_can_be_refused(server: Any) -> None:
    server.plant("CONNECT", "status", status=421, body="busy")

    with pytest.raises(smtplib.SMTPConnectError):
        send(server, invoice_mail())


def test_commands_out_of_order_are_refused(server: Any) -> None:
    with smtplib.SMTP("127.0.0.1", server.port, timeout=5) as client:
        assert client.docmd("MAIL", "FROM:<a@example.org>")[0] == 503  # no HELO yet
        client.helo("me")
        assert client.docmd("RCPT", "TO:<b@example.org>")[0] == 503
        assert client.docmd("DATA")[0] == 503
        assert client.docmd("STARTTLS")[0] == 502
        assert client.docmd("MAIL", "FROM a@example.org")[0] == 501


def test_a_message_cut_off_in_the_middle_is_not_kept(server: Any) -> None:
    with socket.create_connection(("127.0.0.1", server.port), timeout=5) as raw:
        raw.sendall(b"HELO me\r\nMAIL FROM:<a@example.org>\r\nRCPT TO:<b@example.org>\r\nDATA\r\nSubject: half\r\n")
        raw.shutdown(socket.SHUT_WR)
        while raw.recv(4096):
            pass

    assert server.messages == []


def test_a_message_above_the_size_is_refused() -> None:
    server = load("smtp").serve(max_size=500)
    try:
        with pytest.raises(smtplib.SMTPSenderRefused):  # smtplib tells the size at MAIL
            send(server, invoice_mail())
        with smtplib.SMTP("127.0.0.1", server.port, timeout=5) as client:
            client.helo("me")
            client.mail("a@example.org")
            client.rcpt("b@example.org")
            assert client.data(b"x" * 600)[0] == 552
    finally:
        server.close()
    assert server.messages == []


def test_with_a_username_a_login_is_needed() -> None:
    server = load("smtp").serve(username="shop", password="right")
    try:
        with pytest.raises(smtplib.SMTPSenderRefused) as refused:
            send(server, invoice_mail())
        assert refused.value.smtp_code == 530
        with smtplib.SMTP("127.0.0.1", server.port, timeout=5) as client:
            with pytest.raises(smtplib.SMTPAuthenticationError):
                client.login("shop", "wrong")
            client.login("shop", "right")
            client.send_message(invoice_mail())
    finally:
        server.close()
    assert len(server.messages) == 1


def test_state_and_faults_are_served_over_http(server: Any) -> None:
    with httpx2.Client(base_url=f"http://127.0.0.1:{server.http_port}") as control:
        fault = {"match": "RCPT *", "kind": "status", "status": 550}
        assert control.post("/_sandbox/faults", json=fault).status_code == 201
        assert control.get("/_sandbox/faults").json()["faults"][0]["match"] == "RCPT *"
        assert control.post("/_sandbox/faults", json={**fault, "kind": "nonsense"}).status_code == 400
        assert control.post("/_sandbox/faults", json={**fault, "match": "NONSENSE"}).status_code == 400
        assert control.delete("/_sandbox/faults").status_code == 200
        send(server, invoice_mail())
        state = control.get("/_sandbox/state").json()
        counts = control.get("/_sandbox/requests").json()["counts"]

    assert state["messages"][0] == {
        "number": 1,
        "received_at": "2026-11-24T12:00:00+00:00",
        "from": "shop@example.org",
        "to": ["camille@example.org"],
        "message_id": "<invoice.1@hub.example>",
        "subject": "Votre facture n° 2026-001",
        "text": state["messages"][0]["text"],
        "html": "",
        "headers": state["messages"][0]["headers"],
        "attachments": state["messages"][0]["attachments"],
    }
    assert (counts["RCPT"], counts["DATA"], state["sessions"]) == (1, 1, 1)
