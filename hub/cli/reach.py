"""Reaches a hub: the API of the one that runs, else the hub itself, opened here. The calls are the same.

A hub on PostgreSQL is always opened here: a command is one more of its processes, under the same locks, and wakes the others.
"""

from __future__ import annotations

import getpass
import importlib
import re
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol
from urllib.parse import quote

from hub.cli.errors import CommandError
from hub.cli.options import settings_of

if TYPE_CHECKING:
    from hub.workers.admin.running import Running
    from hub.workers.hub import Hub
    from hub.workers.settings import Settings

_WAIT_S = 10.0
#: seconds within which a running hub answers
_TIMEOUT_S = 300.0
#: seconds for which the work of other processes is waited for
_OTHERS_S = 60.0


class Call(NamedTuple):
    """One thing that can be asked of a hub: its route, and the admin function behind it. A `{name}` of the path is an
    argument; the others are the query of a GET and the body of the rest."""

    method: str
    path: str
    function: str
    #: it takes as long as it takes: a long log, or the lists of other systems
    long: bool = False


CALLS = {
    "status": Call("GET", "/status", "reports:status"),
    "connections": Call("GET", "/connections", "connections:listed"),
    "apply": Call("POST", "/connections/apply", "connections:apply"),
    "secrets": Call("PUT", "/connections/{name}/secrets", "connections:set_secrets"),
    "mode": Call("POST", "/connections/{name}/mode", "connections:set_mode"),
    "setup": Call("POST", "/connections/{name}/setup", "connections:setup"),
    "adopt-stock": Call("POST", "/connections/{name}/adopt-stock", "connections:adopt_stock"),
    "check": Call("POST", "/connections/{name}/check", "connections:check"),
    "poll": Call("POST", "/connections/{name}/poll", "events:poll"),
    "trigger": Call("POST", "/events/{name}", "events:trigger"),
    "replay": Call("POST", "/replay", "events:replay"),
    "replays": Call("GET", "/replays", "replays:listed"),
    "replay-begin": Call("POST", "/replays", "replays:begin"),
    "replay-one": Call("GET", "/replays/{replay_id}", "replays:one"),
    "replay-set": Call("POST", "/replays/{replay_id}/{state}", "replays:set_state"),
    "event": Call("GET", "/inbox/{seq}", "edits:event"),
    "event-edit": Call("POST", "/inbox/{seq}/edit", "edits:edit_event"),
    "delivery": Call("GET", "/outbox/{delivery_id}", "deliveries:shown"),
    "delivery-edit": Call("POST", "/outbox/{delivery_id}/edit", "deliveries:edit"),
    "resolve": Call("POST", "/outbox/{delivery_id}/resolve", "deliveries:resolve"),
    "flows": Call("GET", "/flows", "rollout:listed"),
    "flow-diff": Call("GET", "/flows/{flow}/diff", "rollout:diff"),
    "flow-activate": Call("POST", "/flows/{flow}/activate", "rollout:activate"),
    "flow-rollback": Call("POST", "/flows/{flow}/rollback", "rollout:rollback"),
    "reload": Call("POST", "/flows/reload", "flows:reload"),
    "inbox": Call("GET", "/inbox", "reports:inbox"),
    "outbox": Call("GET", "/outbox", "reports:outbox"),
    "outbox-release": Call("POST", "/outbox/release", "release:release"),
    "runs": Call("GET", "/runs", "reports:runs"),
    "questions": Call("GET", "/questions", "questions:listed"),
    "answer": Call("POST", "/questions/{question_id}/answer", "questions:answer"),
    "stock": Call("GET", "/stock", "bookkeeping:stock"),
    "ledger": Call("GET", "/ledger", "bookkeeping:ledger"),
    "entries": Call("GET", "/entries", "bookkeeping:entries"),
    "orders": Call("GET", "/orders", "bookkeeping:orders"),
    "documents": Call("GET", "/documents", "bookkeeping:documents"),
    "verify": Call("GET", "/verify", "verify:verify"),
    "keys": Call("GET", "/keys", "keys:listed"),
    "keys-rotate": Call("POST", "/keys/rotate", "keys:rotate", long=True),
    "keys-drop": Call("POST", "/keys/{key_id}/drop", "keys:drop"),
    "prove": Call("POST", "/prove", "prove:prove", long=True),
    "prove-checkpoint": Call("POST", "/prove/checkpoint", "prove:checkpoint", long=True),
    "prove-remote": Call("POST", "/prove/remote", "prove_remote:prove_remote", long=True),
}


#: calls that keep who made them
_RECORDED = ("answer replay replay-begin event-edit delivery-edit resolve flow-activate flow-rollback").split()


def _who() -> str:
    """Who stands at this terminal, for the record."""
    try:
        name = getpass.getuser()
    except (OSError, KeyError):
        name = ""
    return f"cli:{name}" if re.fullmatch(r"[\w.@+-]{1,50}", name) else "cli"


class Reached(Protocol):
    """A hub that answers calls."""

    def call(self, name: str, /, **arguments: Any) -> dict[str, Any]: ...

    def work(self, told: Callable[[], bool] | None = None) -> None:
        """Lets everything be worked that can be. `told` is called again and again meanwhile; true: that was enough."""


@contextmanager
def reached(home: Path | None, *, writes: bool = False) -> Iterator[Reached]:
    """The hub of a home. `writes`: nobody else may change it meanwhile, so a hub opened here holds its lock.

    Raises: CommandError, AdminError."""
    from hub.workers.admin import running

    settings = settings_of(home)
    lock = running.RunLock(settings.home, many=settings.many)
    there = _running(settings)
    if there is None:
        # the hub's own code is loaded only where it runs here
        from hub.workers.admin import setup

        setup.check_ready(settings)
        if writes:
            try:
                lock.take(wait_s=_WAIT_S)
            except running.AlreadyRunning:
                there = _running(settings)  # it was started meanwhile
                if there is None:
                    raise
    if there is not None:
        with _Remote(there) as remote:
            yield remote
        return
    try:
        with _Local(settings) as local:
            yield local
    finally:
        lock.release()


def needs_running(home: Path | None) -> Reached:
    """The API of a hub that has to be running. Raises: CommandError."""
    there = _running(settings_of(home))
    if there is None:
        raise CommandError("the hub is not running: start it with `hub up`")
    return _Remote(there)


def _running(settings: Settings) -> Running | None:
    """The running hub, of one process; one that is just starting is waited for."""
    from hub.workers.admin import running

    if settings.many:
        return None
    until = time.monotonic() + 2
    while running.is_locked(settings.home):
        found = running.read(settings.home)
        if found is not None:
            return found
        if time.monotonic() > until:
            return None  # another command holds the lock
        time.sleep(0.05)
    return None


class _Local:
    def __init__(self, settings: Settings) -> None:
        from hub.cli import logs
        from hub.workers.hub import Hub

        logs.set_up_command(settings)
        self._settings = settings
        self._hub: Hub = Hub.open(settings)

    def __enter__(self) -> _Local:
        return self

    def __exit__(self, *_error: object) -> None:
        self._hub.stop()

    def call(self, name: str, /, **arguments: Any) -> dict[str, Any]:
        module, _, function = CALLS[name].function.partition(":")
        given = {key: value for key, value in arguments.items() if value is not None}
        if name == "setup" and "callback_url" not in given:
            if not self._settings.public_url:
                raise CommandError("where do webhooks go to? Set HUB_PUBLIC_URL, or give --callback-url")
            given["callback_url"] = f"{self._settings.public_url}/webhooks/{given['name']}"
        code = getattr(importlib.import_module(f"hub.workers.admin.{module}"), function)
        if name in _RECORDED:
            given["by"] = _who()
        result: dict[str, Any] = code(self._hub, **given)
        return result

    def work(self, told: Callable[[], bool] | None = None) -> None:
        # on PostgreSQL other processes may be at what was left to them
        until = time.monotonic() + _OTHERS_S
        while True:
            while self._hub.work_once():
                if told is not None and told():
                    return
            if not self._settings.many or self.call("status")["idle"] or time.monotonic() >= until:
                return
            time.sleep(0.1)


class _Remote:
    def __init__(self, running: Running) -> None:
        from hub.connect.http import httpx

        self._url = running.url
        self._http: Any = httpx.Client(
            base_url=running.url,
            headers={"authorization": f"Bearer {running.token}", "x-hub-by": _who()},
            # a proxy of the environment is not for this machine, and would see the token
            trust_env=False,
        )

    def __enter__(self) -> _Remote:
        return self

    def __exit__(self, *_error: object) -> None:
        self._http.close()

    def call(self, name: str, /, **arguments: Any) -> dict[str, Any]:
        spec = CALLS[name]
        given = {key: value for key, value in arguments.items() if value is not None}
        path = spec.path
        for key in [key for key in given if f"{{{key}}}" in path]:
            path = path.replace(f"{{{key}}}", quote(str(given.pop(key)), safe=""))
        return self.request(spec.method, f"/api{path}", given, timeout=None if spec.long else _TIMEOUT_S)

    def request(
        self, method: str, path: str, values: Mapping[str, Any], *, timeout: float | None = _TIMEOUT_S
    ) -> dict[str, Any]:
        """One request to the API. Raises: CommandError with what it refused."""
        from hub.connect import payload
        from hub.connect.http import httpx

        try:
            if method == "GET":
                query = {key: _query(value) for key, value in values.items()}
                answer = self._http.request(method, path, params=query, timeout=timeout)
            else:
                headers = {"content-type": "application/json"}
                answer = self._http.request(
                    method, path, content=payload.encode(dict(values)), headers=headers, timeout=timeout
                )
        except httpx.HTTPError as error:
            raise CommandError(f"the hub at {self._url} does not answer ({type(error).__name__})") from None
        data = answer.json() if answer.headers.get("content-type", "").startswith("application/json") else {}
        if answer.status_code == 200:
            return dict(data)
        raise CommandError(data.get("error", f"the hub answered {answer.status_code}"), data.get("problems", []))

    def work(self, told: Callable[[], bool] | None = None) -> None:
        while not (self.call("status")["idle"] if told is None else told()):
            time.sleep(0.1)


def _query(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
