"""A mail server on loopback that keeps what it is sent and fails when told to.

    server = serve("127.0.0.1", 0)
    ...                              # send mail to server.port
    server.messages[0].subject
    server.close()

With `http=True` a second port, `server.http_port`, answers with the words of the other sandboxes:
    GET    /_sandbox/state                   {"messages": [...], "sessions": n}
    GET    /_sandbox/requests                {"requests": [{"command", "argument", "reply", "fault"}], "counts": {"RCPT": n}}
    GET    /_sandbox/faults, POST, DELETE    {"match": "RCPT *@example.org", "kind": "status", "status": 550, "body": "no such user"}

A fault's `match` is a command and a pattern for its argument, where `*` stands for anything; the argument of CONNECT is the
client's address, of MAIL and RCPT the mail address, of DATA the Subject. DATA means the answer after the message. Kinds:
`status` (answer the status, keep nothing), `status_after` (keep the message, then answer the status), `drop_before` and
`drop_after` (cut the connection without an answer, before or after the message is kept: after is the case where a sender cannot
know), `slow_after` (keep the message, answer after `seconds`).
"""

from __future__ import annotations

import base64
import binascii
import email.policy
import hashlib
import hmac
import json
import re
import socket
import socketserver
import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from email.message import EmailMessage
from email.parser import BytesParser
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

LONGEST_LINE = 2048
COMMANDS = ("CONNECT", "HELO", "EHLO", "AUTH", "MAIL", "RCPT", "DATA", "RSET", "NOOP", "QUIT")


class Fault(BaseModel):
    """One planted fault; the kinds are explained at the top of this file."""

    model_config = ConfigDict(extra="forbid")

    match: str = Field(pattern=r"^[A-Z]+( .+)?$")
    kind: Literal["status", "status_after", "drop_before", "drop_after", "slow_after"]
    status: int = Field(default=451, ge=400, le=599)
    body: str = "planted fault"
    times: int | None = Field(default=1, ge=1)  # None: until deleted
    seconds: float = Field(default=0, ge=0, le=600)

    def hits(self, command: str, argument: str) -> bool:
        """True when this fault is meant for the command."""
        name, _, wanted = self.match.partition(" ")
        pattern = ".*".join(re.escape(part) for part in (wanted or "*").split("*"))
        return name == command and re.fullmatch(pattern, argument, re.DOTALL) is not None


@dataclass(frozen=True)
class Attachment:
    filename: str
    content_type: str
    size: int  # bytes
    sha256: str


@dataclass(frozen=True)
class Mail:
    """One message that was kept."""

    number: int
    received_at: str
    sender: str  # of the envelope
    recipients: tuple[str, ...]  # of the envelope
    message_id: str
    subject: str
    text: str
    html: str
    headers: dict[str, str]
    attachments: tuple[Attachment, ...]
    raw: bytes

    def as_json(self) -> dict[str, Any]:
        """As the state shows it: without the raw bytes."""
        shown = {key: value for key, value in asdict(self).items() if key not in ("raw", "sender", "recipients")}
        return {**shown, "from": self.sender, "to": list(self.recipients)}


class Server:
    """A running sandbox: `port`, `http_port` (None without http), `messages`, `plant`, `close`."""

    def __init__(
        self,
        host: str,
        port: int,
        *,
        hostname: str,
        username: str | None,
        password: str | None,
        max_size: int,
        clock: Callable[[], datetime],
        http: bool,
        http_port: int,
    ) -> None:
        self.hostname = hostname
        self.username = username
        self.password = password or ""
        self.max_size = max_size
        self._clock = clock
        self._lock = threading.RLock()
        self._messages: list[Mail] = []
        self._faults: list[Fault] = []
        self._log: list[dict[str, Any]] = []
        self.sessions = 0
        self.closing = threading.Event()
        self._smtp = _Listener((host, port), _Session)
        self._smtp.sandbox = self
        self.port: int = self._smtp.server_address[1]
        self._http = _Control((host, http_port), _Routes) if http else None
        self.http_port: int | None = None
        if self._http:
            self._http.sandbox = self
            self.http_port = self._http.server_address[1]
        for server in (self._smtp, self._http):
            if server:
                threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()

    @property
    def messages(self) -> list[Mail]:
        """The messages kept, oldest first."""
        with self._lock:
            return list(self._messages)

    def plant(self, match: str, kind: str, **more: Any) -> None:
        """Plant a fault; the words are those of Fault."""
        fault = Fault.model_validate({"match": match, "kind": kind, **more})
        if fault.match.partition(" ")[0] not in COMMANDS:
            raise ValueError(f"no such command: {fault.match}; known: {', '.join(COMMANDS)}")
        with self._lock:
            self._faults.append(fault)

    def reset(self) -> None:
        """Forget everything: messages, faults, what was said. It goes on listening."""
        with self._lock:
            self._messages.clear()
            self._faults.clear()
            self._log.clear()
            self.sessions = 0

    def forget_faults(self) -> None:
        """Drop all planted faults."""
        with self._lock:
            self._faults.clear()

    def take(self, command: str, argument: str) -> Fault | None:
        """The first fault for a command, counted down."""
        with self._lock:
            for fault in self._faults:
                if fault.hits(command, argument):
                    if fault.times is not None:
                        fault.times -= 1
                        if not fault.times:
                            self._faults.remove(fault)
                    return fault
        return None

    def keep(self, sender: str, recipients: list[str], raw: bytes) -> None:
        """Keep a message."""
        with self._lock:
            stamp = self._clock().astimezone(UTC).isoformat()
            self._messages.append(_parse(len(self._messages) + 1, stamp, sender, recipients, raw))

    def log(self, command: str, argument: str, reply: int | None, fault: Fault | None) -> None:
        """Note a command and what it was answered."""
        with self._lock:
            entry = {"command": command, "argument": argument, "reply": reply, "fault": fault.kind if fault else None}
            self._log.append(entry)

    def opened(self) -> None:
        """Count a session."""
        with self._lock:
            self.sessions += 1

    def state(self) -> dict[str, Any]:
        """What GET /_sandbox/state answers."""
        with self._lock:
            return {"messages": [mail.as_json() for mail in self._messages], "sessions": self.sessions}

    def requests(self) -> dict[str, Any]:
        """What GET /_sandbox/requests answers."""
        with self._lock:
            counts = Counter(entry["command"] for entry in self._log)
            return {"requests": list(self._log), "counts": counts}

    def faults(self) -> dict[str, Any]:
        """The faults still waiting."""
        with self._lock:
            return {"faults": [fault.model_dump() for fault in self._faults]}

    def close(self) -> None:
        """Stop listening; open sessions end at their next command."""
        self.closing.set()
        for server in (self._smtp, self._http):
            if server:
                server.shutdown()
                server.server_close()


def serve(
    host: str = "127.0.0.1",
    port: int = 0,
    *,
    http: bool = False,
    http_port: int = 0,
    hostname: str = "mail.sandbox.invalid",
    username: str | None = None,
    password: str | None = None,
    max_size: int = 25_000_000,
    clock: Callable[[], datetime] | None = None,
) -> Server:
    """Start a server. With `username` AUTH PLAIN is offered and needed before MAIL; `max_size` is in bytes."""
    return Server(
        host,
        port,
        hostname=hostname,
        username=username,
        password=password,
        max_size=max_size,
        clock=clock or (lambda: datetime.now(UTC)),
        http=http,
        http_port=http_port,
    )


def _parse(number: int, stamp: str, sender: str, recipients: list[str], raw: bytes) -> Mail:
    message = BytesParser(_class=EmailMessage, policy=email.policy.default).parsebytes(raw)
    attachments = []
    for part in message.iter_attachments():
        content = part.get_payload(decode=True) or b""
        digest = hashlib.sha256(content).hexdigest()
        attachments.append(Attachment(part.get_filename() or "", part.get_content_type(), len(content), digest))
    bodies = {}
    for kind in ("plain", "html"):
        body = message.get_body((kind,))
        bodies[kind] = body.get_content() if body is not None else ""
    return Mail(
        number=number,
        received_at=stamp,
        sender=sender,
        recipients=tuple(recipients),
        message_id=str(message.get("Message-ID", "")),
        subject=str(message.get("Subject", "")),
        text=bodies["plain"],
        html=bodies["html"],
        headers={name: str(value) for name, value in message.items()},
        attachments=tuple(attachments),
        raw=raw,
    )


class _Cut(Exception):
    """The connection is to be closed without an answer."""


class _Listener(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True
    block_on_close = False
    sandbox: Server


class _Session(socketserver.StreamRequestHandler):
    """One SMTP session (RFC 5321), with AUTH PLAIN (RFC 4616) and no STARTTLS."""

    server: _Listener
    timeout = 60

    def handle(self) -> None:
        self.sandbox = self.server.sandbox
        self.sandbox.opened()
        self.greeted = False
        self.trusted = self.sandbox.username is None
        self.reset()
        try:
            if (
                self.answer("CONNECT", str(self.client_address[0]), 220, f"{self.sandbox.hostname} ESMTP sandbox")
                != 220
            ):
                return
            while not self.sandbox.closing.is_set():
                line = self.rfile.readline(LONGEST_LINE + 1)
                if not line:
                    return
                if len(line) > LONGEST_LINE:
                    self.say(500, "line too long")
                    return
                if self.command(line.decode("utf-8", "replace").rstrip("\r\n")) == "QUIT":
                    return
        except (_Cut, OSError):
            return

    def reset(self) -> None:
        self.sender: str | None = None
        self.recipients: list[str] = []

    def say(self, status: int, *lines: str) -> None:
        rows = [f"{status}{' ' if number == len(lines) else '-'}{line}" for number, line in enumerate(lines, 1)]
        self.wfile.write("".join(f"{row}\r\n" for row in rows).encode())

    def answer(
        self, command: str, argument: str, status: int, *lines: str, work: Callable[[], None] | None = None
    ) -> int:
        """Do the work and answer, unless a planted fault says otherwise; gives the status answered."""
        fault = self.sandbox.take(command, argument)
        kind = fault.kind if fault else None
        if work and status < 400 and kind not in ("status", "drop_before"):
            work()
        if kind in ("drop_before", "drop_after"):
            self.sandbox.log(command, argument, None, fault)
            self.connection.shutdown(socket.SHUT_RDWR)
            raise _Cut
        if fault and kind in ("status", "status_after"):
            status, lines = fault.status, (fault.body,)
        if fault and kind == "slow_after":
            self.sandbox.closing.wait(fault.seconds)
        self.sandbox.log(command, argument, status, fault)
        self.say(status, *lines)
        return status

    def command(self, line: str) -> str:
        word, _, rest = line.partition(" ")
        name = word.upper()
        match name:
            case "HELO" | "EHLO":
                self.hello(name, rest)
            case "AUTH":
                self.auth(rest)
            case "MAIL":
                self.mail(rest)
            case "RCPT":
                self.rcpt(rest)
            case "DATA":
                self.data()
            case "RSET":
                self.answer(name, "", 250, "reset", work=self.reset)
            case "NOOP":
                self.answer(name, "", 250, "ok")
            case "QUIT":
                self.answer(name, "", 221, "bye")
            case "VRFY":
                self.say(252, "cannot verify, send and see")
            case _:
                self.say(502, "command not implemented")
        return name

    def hello(self, name: str, rest: str) -> None:
        if not rest.strip():
            self.answer(name, rest, 501, "who are you?")
            return
        lines = [f"{self.sandbox.hostname} greets you"]
        if name == "EHLO":
            lines += [f"SIZE {self.sandbox.max_size}", "8BITMIME", "SMTPUTF8", "ENHANCEDSTATUSCODES"]
            lines += ["AUTH PLAIN"] if self.sandbox.username else []

        def work() -> None:
            self.greeted = True
            self.reset()

        self.answer(name, rest, 250, *lines, work=work)

    def auth(self, rest: str) -> None:
        mechanism, _, initial = rest.partition(" ")
        if self.sandbox.username is None or mechanism.upper() != "PLAIN":
            self.answer("AUTH", mechanism, 504, "mechanism not supported")
            return
        if not initial:
            self.say(334, "")
            initial = self.rfile.readline(LONGEST_LINE).decode("ascii", "replace").strip()
        try:
            _, user, secret = base64.b64decode(initial, validate=True).split(b"\0")
        except (binascii.Error, ValueError):
            self.answer("AUTH", mechanism, 501, "cannot decode")
            return
        same_user = hmac.compare_digest(user, self.sandbox.username.encode())
        if not (hmac.compare_digest(secret, self.sandbox.password.encode()) and same_user):
            self.answer("AUTH", mechanism, 535, "5.7.8 authentication failed")
            return

        def work() -> None:
            self.trusted = True

        self.answer("AUTH", mechanism, 235, "2.7.0 authenticated", work=work)

    def mail(self, rest: str) -> None:
        address = _address("FROM", rest)
        if not self.trusted:
            self.answer("MAIL", address or "", 530, "5.7.0 authentication needed")
        elif not self.greeted or self.sender is not None:
            self.answer("MAIL", address or "", 503, "bad sequence of commands")
        elif address is None:
            self.answer("MAIL", rest, 501, "MAIL FROM:<address> expected")
        elif (size := re.search(r"\bSIZE=(\d+)", rest, re.IGNORECASE)) and int(size[1]) > self.sandbox.max_size:
            self.answer("MAIL", address, 552, "5.3.4 message too big")
        else:

            def work() -> None:
                self.sender = address

            self.answer("MAIL", address, 250, "2.1.0 sender ok", work=work)

    def rcpt(self, rest: str) -> None:
        address = _address("TO", rest)
        if self.sender is None:
            self.answer("RCPT", address or "", 503, "bad sequence of commands")
        elif not address:
            self.answer("RCPT", rest, 501, "RCPT TO:<address> expected")
        else:
            self.answer("RCPT", address, 250, "2.1.5 recipient ok", work=lambda: self.recipients.append(address))

    def data(self) -> None:
        if self.sender is None or not self.recipients:
            self.say(503, "bad sequence of commands")
            return
        self.say(354, "end with a line that holds a dot only")
        content, size = [], 0
        while True:
            line = self.rfile.readline()
            if not line:  # cut off in the middle: the message was not taken
                return
            if line in (b".\r\n", b".\n"):
                break
            size += len(line)
            if size <= self.sandbox.max_size:
                content.append(line[1:] if line.startswith(b".") else line)
        raw = b"".join(content)
        sender, recipients = self.sender, list(self.recipients)
        subject = str(BytesParser(policy=email.policy.default).parsebytes(raw, headersonly=True).get("Subject", ""))
        self.reset()
        if size > self.sandbox.max_size:
            self.answer("DATA", subject, 552, "5.3.4 message too big")
            return
        self.answer(*("DATA", subject, 250, "2.0.0 kept"), work=lambda: self.sandbox.keep(sender, recipients, raw))


def _address(word: str, rest: str) -> str | None:
    """The address of `FROM:<a@b>` or `TO:<a@b>`; empty for the null sender."""
    match = re.match(rf"{word}:\s*<([^<>\s]*)>", rest, re.IGNORECASE)
    return match[1] if match else None


class _Control(ThreadingHTTPServer):
    daemon_threads = True
    sandbox: Server


class _Routes(BaseHTTPRequestHandler):
    server: _Control

    def do_GET(self) -> None:
        sandbox = self.server.sandbox
        shown = {"state": sandbox.state, "requests": sandbox.requests, "faults": sandbox.faults}
        read = shown.get(self.path.removeprefix("/_sandbox/"))
        self.reply(200, read()) if read else self.reply(404, {"error": f"no GET {self.path}"})

    def do_POST(self) -> None:
        content = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if self.path != "/_sandbox/faults":
            self.reply(404, {"error": f"no POST {self.path}"})
            return
        try:
            value = json.loads(content)
            self.server.sandbox.plant(**value)
        except (ValueError, TypeError, ValidationError) as error:
            self.reply(400, {"error": str(error)})
            return
        self.reply(201, value)

    def do_DELETE(self) -> None:
        if self.path != "/_sandbox/faults":
            self.reply(404, {"error": f"no DELETE {self.path}"})
            return
        self.server.sandbox.forget_faults()
        self.reply(200, {})

    def reply(self, status: int, value: object) -> None:
        content = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: Any) -> None:
        """Quiet."""
