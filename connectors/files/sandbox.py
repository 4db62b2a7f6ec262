"""An SFTP server on loopback, over a folder that is thrown away, that fails when told to.

    server = serve("127.0.0.1", 0)
    ...                              # log in at server.port with the settings of `connection(server)`
    server.files()                   # {"out/order.json": "{...}"}
    server.close()

There are two folders, `out` and `in`. Actions (`act`, and `post` in the tests of flows):
    put      {"name": "in/stock.csv", "text": "..."}     somebody puts a file there
    take     {"name": "out/order.json"}                  somebody takes one away
    reply    {"to": "out/orders_*.csv", "name": "in/shipments_1.csv", "copy": {"order_ref": "shipment_id"},
              "add": {"carrier": "Colissimo"}}
             somebody takes CSV files away and gives their rows back in one, with more columns

A fault's `match` is a command and a pattern for its path, where `*` stands for anything. Commands: CONNECT (the path is the
client's address), AUTH (the user), LIST, STAT, READ, OPEN (for writing), WRITE, CLOSE, RENAME (the old path), REMOVE, MKDIR.
Kinds: `status` (answer `status`, an SFTP code: 2 no such file, 3 denied, 4 failure; nothing is done), `status_after` (it is
done, and the answer is the code), `drop_before` and `drop_after` (cut the connection without an answer, before or after it is
done).
"""

from __future__ import annotations

import contextlib
import csv
import fnmatch
import io
import logging
import os
import shutil
import socket
import tempfile
import threading
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import paramiko
from paramiko import SFTP_FAILURE, SFTP_NO_SUCH_FILE, SFTP_OK, SFTP_PERMISSION_DENIED
from pydantic import BaseModel, ConfigDict, Field

# connections are cut on purpose here
logging.getLogger("paramiko").setLevel(logging.CRITICAL)
COMMANDS = ("CONNECT", "AUTH", "LIST", "STAT", "READ", "OPEN", "WRITE", "CLOSE", "RENAME", "REMOVE", "MKDIR")
FOLDERS = ("out", "in")
#: the request that an operation of the connector stands for, where a test plants an answer to it
REQUESTS = {"file.write": "RENAME *"}


class Fault(BaseModel):
    """One planted fault; the kinds are explained at the top of this file."""

    model_config = ConfigDict(extra="forbid")

    match: str = Field(pattern=r"^[A-Z]+( .+)?$")
    kind: Literal["status", "status_after", "drop_before", "drop_after"]
    status: int = Field(default=SFTP_FAILURE, ge=1, le=8)
    times: int | None = Field(default=1, ge=1)  # None: until forgotten

    def hits(self, command: str, argument: str) -> bool:
        """True when this fault is meant for the command."""
        name, _, wanted = self.match.partition(" ")
        return name == command and fnmatch.fnmatchcase(argument, wanted or "*")


class Cut(Exception):
    """The connection was cut by a fault."""


class Server:
    """A running sandbox: `port`, `host_key`, `private_key`, `folder`, `plant`, `act`, `close`."""

    def __init__(self, host: str, port: int, *, username: str, password: str | None) -> None:
        self.username = username
        self.password = password
        self.folder = Path(tempfile.mkdtemp(prefix="sftp-sandbox-"))
        self._key = paramiko.ECDSAKey.generate()
        self.host_key = f"{self._key.get_name()} {self._key.get_base64()}"
        client = paramiko.ECDSAKey.generate()
        self.public_key = client
        self.private_key = _text(client)
        self._lock = threading.RLock()
        self._faults: list[Fault] = []
        self._log: list[dict[str, Any]] = []
        self.reset()
        self._open: set[paramiko.Transport] = set()
        self._listener = socket.socket()
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._listener.bind((host, port))
        self._listener.listen(20)
        self.port: int = self._listener.getsockname()[1]
        self._closing = False
        self._thread = threading.Thread(target=self._accept, name="sftp-sandbox", daemon=True)
        self._thread.start()

    def reset(self) -> None:
        """Everything as it was at the start: no files, no faults, nothing asked."""
        with self._lock:
            self._faults.clear()
            self._log.clear()
        for each in list(self.folder.iterdir()):
            shutil.rmtree(each)
        for name in FOLDERS:
            (self.folder / name).mkdir()

    def plant(self, match: str, kind: str, **more: Any) -> None:
        """Plant a fault; the words are those of Fault."""
        if match.split(" ")[0] not in COMMANDS:
            raise ValueError(f"no such command: {match}; known: {', '.join(COMMANDS)}")
        with self._lock:
            self._faults.append(Fault.model_validate({"match": match, "kind": kind, **more}))

    def take(self, command: str, argument: str) -> Fault | None:
        """The first fault for a command, counted down; the command is noted."""
        with self._lock:
            fault = next((each for each in self._faults if each.hits(command, argument)), None)
            self._log.append({"command": command, "argument": argument, "fault": fault.kind if fault else None})
            if fault and fault.times is not None:
                fault.times -= 1
                self._faults = [each for each in self._faults if each.times != 0]
            return fault

    def requests(self) -> dict[str, Any]:
        """What was asked: `{"requests": [...], "counts": {"RENAME": n}}`."""
        with self._lock:
            return {"requests": list(self._log), "counts": Counter(entry["command"] for entry in self._log)}

    def files(self) -> dict[str, str]:
        """All files and their text."""
        return {
            str(file.relative_to(self.folder)): file.read_text("utf-8", "replace")
            for file in sorted(self.folder.rglob("*"))
            if file.is_file()
        }

    def act(self, name: str, body: dict[str, Any]) -> dict[str, Any]:
        """One action. Raises: ValueError for one that it does not know or that cannot be done."""
        path = self.folder / os.path.normpath("/" + str(body.get("name", ""))).lstrip("/")
        if name == "put":
            path.write_text(str(body.get("text", "")), "utf-8", newline="")
        elif name == "reply":
            rows: list[dict[str, Any]] = []
            for file in sorted(self.folder.glob(str(body.get("to", "")))):
                rows += csv.DictReader(io.StringIO(file.read_text("utf-8"), newline=""))
                file.unlink()
            if not rows:
                raise ValueError(f"there is no file like {body.get('to')!r}: {', '.join(self.files()) or 'none'}")
            copied = dict(body.get("copy", {}))
            rows = [{**row, **{new: row[old] for old, new in copied.items()}, **body.get("add", {})} for row in rows]
            with path.open("w", encoding="utf-8", newline="") as made:
                writer = csv.DictWriter(made, list(rows[0]))
                writer.writeheader()
                writer.writerows(rows)
        elif name == "take":
            if not path.is_file():
                raise ValueError(f"there is no file {body.get('name')!r}: {', '.join(self.files()) or 'none'}")
            path.unlink()
        else:
            raise ValueError(f"no action {name!r}; known: put, reply, take")
        return self.files()

    def close(self) -> None:
        """Stop, and forget all files."""
        self._closing = True
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)  # wakes the thread that waits for a client
        self._listener.close()
        self._thread.join(5)
        with self._lock:
            transports = list(self._open)
        for transport in transports:
            transport.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _accept(self) -> None:
        while not self._closing:
            try:
                client, address = self._listener.accept()
            except OSError:
                return
            fault = self.take("CONNECT", str(address[0]))
            if fault:
                client.close()
                continue
            transport = paramiko.Transport(client)
            transport.add_server_key(self._key)
            transport.set_subsystem_handler("sftp", paramiko.SFTPServer, _Folder)
            with self._lock:
                self._open = {each for each in self._open if each.is_active()} | {transport}
            with contextlib.suppress(paramiko.SSHException, EOFError, OSError):
                # an event instead of waiting: the next client is not kept
                transport.start_server(threading.Event(), server=_Session(self, transport))


def serve(host: str = "127.0.0.1", port: int = 0, *, username: str = "hub", password: str | None = None) -> Server:
    """Start a server. With a password it takes the password, else the key of `private_key`."""
    return Server(host, port, username=username, password=password)


def connection(server: Server) -> dict[str, Any]:
    """Settings of a connection to a server, which takes files at once: no test waits."""
    secret = {"password": server.password} if server.password else {"private_key": server.private_key}
    return {
        "place": "sftp",
        "host": "127.0.0.1",
        "port": server.port,
        "username": server.username,
        "host_key": server.host_key,
        "folder": "out",
        "pickup": "in",
        "settle": 0,
        "timeout": 5,
        **secret,
    }


def _text(key: paramiko.PKey) -> str:
    made = io.StringIO()
    key.write_private_key(made)
    return made.getvalue()


class _Session(paramiko.ServerInterface):
    """One client."""

    def __init__(self, sandbox: Server, transport: paramiko.Transport) -> None:
        self.sandbox = sandbox
        self.transport = transport

    def get_allowed_auths(self, username: str) -> str:
        return "password" if self.sandbox.password else "publickey"

    def check_auth_password(self, username: str, password: str) -> int:
        return self._judge(username, bool(self.sandbox.password) and password == self.sandbox.password)

    def check_auth_publickey(self, username: str, key: paramiko.PKey) -> int:
        return self._judge(username, not self.sandbox.password and key == self.sandbox.public_key)

    def check_channel_request(self, kind: str, chanid: int) -> int:
        return paramiko.OPEN_SUCCEEDED if kind == "session" else paramiko.OPEN_FAILED_ADMINISTRATIVELY_PROHIBITED

    def _judge(self, username: str, good: bool) -> int:
        fault = self.sandbox.take("AUTH", username)
        if fault and fault.kind.startswith("drop"):
            self.transport.close()
        good = good and username == self.sandbox.username and not fault
        return paramiko.AUTH_SUCCESSFUL if good else paramiko.AUTH_FAILED


class _Folder(paramiko.SFTPServerInterface):
    """The files of a server, as one client sees them."""

    def __init__(self, server: _Session, *arguments: Any, **options: Any) -> None:
        super().__init__(server, *arguments, **options)
        self.sandbox = server.sandbox
        self.transport = server.transport

    def asked(self, command: str, path: str, work: Callable[[], Any]) -> Any:
        """Does the work and gives its answer, unless a planted fault says otherwise. Raises: Cut."""
        fault = self.sandbox.take(command, path.lstrip("/"))
        kind = fault.kind if fault else ""
        answer: Any = None
        if kind not in ("status", "drop_before"):
            try:
                answer = work()
            except FileNotFoundError:
                answer = SFTP_NO_SUCH_FILE
            except PermissionError:
                answer = SFTP_PERMISSION_DENIED
            except OSError:
                answer = SFTP_FAILURE
        if kind.startswith("drop"):
            self.transport.close()
            raise Cut
        return fault.status if fault else answer

    def real(self, path: str) -> Path:
        return self.sandbox.folder / self.canonicalize(path).lstrip("/")

    def list_folder(self, path: str) -> Any:
        def work() -> Any:
            found = []
            for file in sorted(self.real(path).iterdir()):
                known = paramiko.SFTPAttributes.from_stat(file.lstat())
                known.filename = file.name
                found.append(known)
            return found

        return self.asked("LIST", path, work)

    def stat(self, path: str) -> Any:
        return self.asked("STAT", path, lambda: paramiko.SFTPAttributes.from_stat(self.real(path).stat()))

    def lstat(self, path: str) -> Any:
        return self.asked("STAT", path, lambda: paramiko.SFTPAttributes.from_stat(self.real(path).lstat()))

    def open(self, path: str, flags: int, attr: Any) -> Any:
        reading = not flags & (os.O_WRONLY | os.O_RDWR)

        def work() -> Any:
            made = _File(self, path, flags)
            file = os.fdopen(os.open(self.real(path), flags, 0o640), "rb" if reading else "wb")
            made.readfile = made.writefile = file  # type: ignore[attr-defined]
            return made

        return self.asked("READ" if reading else "OPEN", path, work)

    def remove(self, path: str) -> int:
        return int(self.asked("REMOVE", path, lambda: self.real(path).unlink() or SFTP_OK))

    def rename(self, oldpath: str, newpath: str) -> int:
        def work() -> int:
            # as OpenSSH does it: a name that is taken is a failure
            if self.real(newpath).exists():
                return SFTP_FAILURE
            self.real(oldpath).rename(self.real(newpath))
            return SFTP_OK

        return int(self.asked("RENAME", oldpath, work))

    def mkdir(self, path: str, attr: Any) -> int:
        return int(self.asked("MKDIR", path, lambda: self.real(path).mkdir() or SFTP_OK))


class _File(paramiko.SFTPHandle):
    """An open file."""

    def __init__(self, folder: _Folder, path: str, flags: int) -> None:
        super().__init__(flags)
        self.inside = folder
        self.path = path

    def write(self, offset: int, data: bytes) -> int:
        def work() -> int:
            answer = super(_File, self).write(offset, data)
            self.writefile.flush()  # type: ignore[attr-defined]
            return int(answer)

        return int(self.inside.asked("WRITE", self.path, work))

    def stat(self) -> Any:
        return paramiko.SFTPAttributes.from_stat(os.fstat(self.readfile.fileno()))  # type: ignore[attr-defined]

    def close(self) -> None:
        with contextlib.suppress(Cut):
            self.inside.asked("CLOSE", self.path, super().close)
