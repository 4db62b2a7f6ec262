"""Sends one mail. What fails before the message was handed over is tried again; after that nobody can tell."""

from __future__ import annotations

import hashlib
import smtplib
import ssl
from datetime import UTC, datetime
from email.errors import MessageError
from email.message import EmailMessage
from email.utils import format_datetime, parseaddr
from typing import Any

from hub.connect.errors import Ambiguous, NotSent, ReconnectNeeded, Refused, Throttled
from hub.connect.links import Link
from hub.connect.operations import Call, Confirmed

# Answers that say nothing was done and that a later try may work: RFC 5321, 4.2.1.
_TRANSIENT = range(400, 500)


def send(link: Link, call: Call) -> Confirmed:
    """`message.send`. Raises: NotSent, Throttled (4xx), Refused (5xx), Ambiguous (cut after the message was sent)."""
    message = _message(link, call)
    server = _open(link)
    try:
        sender, recipients = parseaddr(str(message["From"]))[1], _addresses(call.body)
        _step(link, lambda: server.mail(sender), 250)
        for recipient in recipients:
            _step(link, lambda recipient=recipient: server.rcpt(recipient), 250, 251)
        _step(link, lambda: server.docmd("DATA"), 354)
        # `send_message` would do all of this in one call and not say how far it came
        try:
            server.send(_dotted(message.as_bytes(policy=message.policy.clone(linesep="\r\n"))))
            code, said = server.getreply()
        except (OSError, smtplib.SMTPException) as error:
            raise Ambiguous(
                f"{link.name}: the connection ended after the message was sent ({type(error).__name__})"
            ) from error
        _judge(link, code, said, 250)
    finally:
        _close(server)
    return Confirmed(str(message["Message-ID"]), {"recipients": recipients})


def check(link: Link) -> None:
    """Connects and logs in. Raises: NotSent, ReconnectNeeded."""
    _close(_open(link))


def _open(link: Link) -> smtplib.SMTP:
    settings = link.settings
    host, port, timeout = str(settings["host"]), int(settings["port"]), float(settings["timeout"])
    security, username = settings["security"], settings.get("username")
    try:
        if security == "tls":
            server: smtplib.SMTP = smtplib.SMTP_SSL(host, port, timeout=timeout, context=ssl.create_default_context())
        else:
            server = smtplib.SMTP(host, port, timeout=timeout)
        try:
            server.ehlo_or_helo_if_needed()
            if security == "starttls":
                server.starttls(context=ssl.create_default_context())
            if username:
                if security == "none" and not _loopback(host):
                    raise ReconnectNeeded(f"{link.name}: the password is not sent without TLS: set security")
                server.login(str(username), link.secrets.get("password", ""))
        except BaseException:
            _close(server)
            raise
    except smtplib.SMTPAuthenticationError as error:
        if error.smtp_code in _TRANSIENT:
            raise NotSent(f"{link.name}: log-in failed for now ({error.smtp_code})") from None
        # the error's text may repeat what was sent: it is not passed on
        raise ReconnectNeeded(f"{link.name}: the mail server refuses the log-in ({error.smtp_code})") from None
    except (OSError, smtplib.SMTPException) as error:
        raise NotSent(f"{link.name}: no session with {host}:{port} ({type(error).__name__})") from error
    return server


def _step(link: Link, command: Any, *wanted: int) -> None:
    try:
        code, said = command()
    except (OSError, smtplib.SMTPException) as error:
        raise NotSent(f"{link.name}: the session ended before the message ({type(error).__name__})") from error
    _judge(link, code, said, *wanted)


def _judge(link: Link, code: int, said: bytes, *wanted: int) -> None:
    if code in wanted:
        return
    text = f"{link.name}: {code} {said.decode('utf-8', 'replace')}"[:300]
    if code == -1:  # smtplib's sign for a reply that never came
        raise NotSent(text)
    raise Throttled(text) if code in _TRANSIENT else Refused(text)


def _close(server: smtplib.SMTP) -> None:
    try:
        server.quit()
    except (OSError, smtplib.SMTPException):
        server.close()


def _message(link: Link, call: Call) -> EmailMessage:
    body, settings = call.body, link.settings
    message = EmailMessage()
    try:
        message["From"] = _one(body.get("from") or settings["sender"])
        message["To"] = ", ".join(_list(body.get("to")))
        if body.get("cc"):
            message["Cc"] = ", ".join(_list(body["cc"]))
        if reply_to := body.get("reply_to") or settings.get("reply_to"):
            message["Reply-To"] = _one(reply_to)
        message["Subject"] = str(body.get("subject") or "")
        message["Date"] = format_datetime(datetime.now(UTC))
        message["Message-ID"] = message_id(call.key, str(settings.get("domain") or ""), str(message["From"]))
        message.set_content(str(body.get("text") or ""))
        if body.get("html"):
            message.add_alternative(str(body["html"]), subtype="html")
    except (ValueError, MessageError, AttributeError) as error:
        raise Refused(f"{link.name}: the mail cannot be written: {error}") from None
    if not _addresses(body):
        raise Refused(f"{link.name}: the mail has no recipient")
    return message


def message_id(key: str, domain: str, sender: str) -> str:
    """The Message-ID of a key: the same for the same mail, so that a receiver can drop a repeat."""
    right = domain or parseaddr(sender)[1].rpartition("@")[2] or "localhost"
    return f"<{hashlib.sha256(key.encode()).hexdigest()[:32]}@{right}>"


def _addresses(body: dict[str, Any]) -> list[str]:
    found = [parseaddr(entry)[1] for name in ("to", "cc") for entry in _list(body.get(name))]
    return [address for address in found if "@" in address]


def _list(value: Any) -> list[str]:
    return [_one(each) for each in (value if isinstance(value, list) else [value] if value else [])]


def _one(value: Any) -> str:
    text = str(value)
    if "\r" in text or "\n" in text:
        raise ValueError("a line break in an address")
    return text


def _dotted(raw: bytes) -> bytes:
    """The message as DATA carries it: dots doubled at the start of a line, and the line that ends it."""
    lines = raw.replace(b"\r\n", b"\n").split(b"\n")
    if lines and not lines[-1]:
        lines.pop()
    return b"".join((b"." + line if line.startswith(b".") else line) + b"\r\n" for line in lines) + b".\r\n"


def _loopback(host: str) -> bool:
    return host in ("localhost", "::1") or host.startswith("127.")
