"""The sandboxes of a test file: one for each role that it names, with a fresh state a test. They are the applications that
the demo serves over loopback, called in this process; a mail server has no such form and listens on loopback."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from functools import cache
from typing import Any

from hub.connect import payload, sandboxes
from hub.connect.http import httpx
from hub.connect.inprocess import InProcess
from hub.connect.registry import Registry

#: what `create` or `serve` of a sandbox is called with; others with no more than the clock
_MADE_WITH: dict[str, dict[str, Any]] = {
    "quickbooks": {"client_id": "sandbox-client", "client_secret": "sandbox-secret"},
    "shipbob": {"token": "sandbox-token", "calls_per_minute": 10_000},
}
#: operations that are sent by code: the request to match for a planted answer
_REQUESTS = {
    ("shopify", "fulfillment.create"): "FulfillmentCreate",
    ("shopify", "stock.set"): "InventorySet",
    ("quickbooks", "item.ensure"): "POST /v3/company/*/item",
    ("quickbooks", "taxcode.ensure"): "POST /v3/company/*/taxservice/taxcode",
    ("quickbooks", "taxrate.ensure"): "POST /v3/company/*/taxservice/taxcode",
    ("smtp", "message.send"): "DATA *",
}


class SandboxRefused(Exception):
    """A sandbox does not do what a test asks of it: says why."""


class FakeClock:
    """A clock that moves only when it is told to. Called, it gives UTC microseconds."""

    def __init__(self, now: int) -> None:
        self.now = now

    def __call__(self) -> int:
        return self.now

    def moment(self) -> datetime:
        return datetime.fromtimestamp(self.now / 1_000_000, UTC)


class _Switch:
    """An ASGI application in front of the one of the test at hand."""

    def __init__(self, app: Any) -> None:
        self.app = app

    @property
    def state(self) -> Any:
        return self.app.state

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await self.app(scope, receive, send)


@cache
def _takes_clock(make: Callable[..., Any]) -> bool:
    takes = inspect.signature(make).parameters
    return "clock" in takes or any(each.kind is inspect.Parameter.VAR_KEYWORD for each in takes.values())


class Sandboxes:
    """Sandboxes by role."""

    def __init__(
        self,
        registry: Registry,
        roles: Mapping[str, str],
        clock: Callable[[], datetime],
        *,
        sockets: bool = False,
    ) -> None:
        self._registry = registry
        self._roles = dict(roles)
        self._clock = clock
        self._served: dict[str, tuple[str, _Switch]] = {}
        self._running: list[sandboxes.Running] = []
        self._mail: dict[str, Any] = {}
        #: what the hub's clients send through; None: the network, which the sandboxes listen on
        self.transport = None if sockets else InProcess()
        self._client = httpx.Client(timeout=10, transport=self.transport)

    def reset(self, products: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
        """Fresh sandboxes. Returns the settings of the connection to each, by role."""
        settings: dict[str, dict[str, Any]] = {}
        for role, connector in self._roles.items():
            module = self._registry.get(connector).module("sandbox")
            if serve := getattr(module, "serve", None):
                if role in self._mail:
                    self._mail[role].reset()
                else:
                    self._mail[role] = serve("127.0.0.1", 0, **self._arguments(connector, serve, products))
            else:
                app = module.create(**self._arguments(connector, module.create, products))
                if role in self._served:
                    self._served[role][1].app = app
                else:
                    switch = _Switch(app)
                    self._served[role] = (self._serve(role, switch), switch)
            settings[role] = self._settings(role, connector)
        return settings

    def _serve(self, role: str, app: _Switch) -> str:
        if self.transport is not None:
            return self.transport.serve(role, app)
        running = sandboxes.serve_app(app)
        self._running.append(running)
        return running.url

    def _arguments(self, connector: str, make: Callable[..., Any], products: Sequence[Mapping[str, Any]]) -> Any:
        made: dict[str, Any] = dict(_MADE_WITH.get(connector, {}))
        if _takes_clock(make):
            made["clock"] = self._clock
        if connector == "shopify":
            made["products"] = [dict(each) for each in products]
        return made

    def _settings(self, role: str, connector: str) -> dict[str, Any]:
        if role in self._mail:
            server = self._mail[role]
            if own := getattr(self._registry.get(connector).module("sandbox"), "connection", None):
                return dict(own(server))
            return {
                "host": "127.0.0.1",
                "port": server.port,
                "security": "none",
                "sender": "Boutique <shop@example.org>",
            }
        url = self._served[role][0]
        if connector == "shopify":
            domain = self._served[role][1].state.sandbox.settings["domain"]
            return {
                "shop": domain,
                "base_url": url,
                "client_id": "sandbox-client",
                "client_secret": "sandbox-secret",
                "access_token": "shpat_sandbox",
            }
        if connector == "quickbooks":
            granted = self.post(role, "grant", {})
            return {
                "base_url": url,
                "realm_id": granted["realmId"],
                **_MADE_WITH["quickbooks"],
                "access_token": granted["access_token"],
                "refresh_token": granted["refresh_token"],
            }
        if connector == "shipbob":
            return {"base_url": url, "token": "sandbox-token", "channel_id": "100001"}
        own = getattr(self._registry.get(connector).module("sandbox"), "connection", None)
        if own is not None:
            return dict(own(url))
        return {"url" if connector == "http" else "base_url": url}

    def post(self, role: str, path: str, body: Any) -> Any:
        """One control action of a role's sandbox. Raises: SandboxRefused."""
        served = self._served.get(role)
        if act := getattr(self._mail.get(role), "act", None):
            try:
                return act(path, body if body is not None else {})
            except (ValueError, OSError) as error:
                raise SandboxRefused(f"the sandbox of {role} cannot do {path}: {error}") from None
        if served is None:
            raise SandboxRefused(
                f"no sandbox with actions plays the role {role!r}: {', '.join(self._served) or 'none'}"
            )
        content = payload.encode(body if body is not None else {})
        answer = self._client.post(f"{served[0]}/_sandbox/{path}", content=content)
        if answer.status_code >= 400:
            raise SandboxRefused(f"the sandbox of {role} answers {answer.status_code} to {path}: {answer.text[:300]}")
        return answer.json()

    def inside(self, role: str) -> Any:
        """The state of a role's sandbox itself, for who looks at it in this process."""
        return self._mail[role] if role in self._mail else self._served[role][1].state.sandbox

    def plant(self, role: str, answer: Mapping[str, Any]) -> None:
        """Plants an answer: `operation` (or `match`, in the sandbox's own words), `status`, `times`, `kind`. Raises:
        SandboxRefused."""
        connector = self._roles.get(role)
        if connector is None:
            raise SandboxRefused(f"no sandbox plays the role {role!r}: {', '.join(self._roles)}")
        fault = {name: value for name, value in answer.items() if name not in ("role", "operation")}
        fault.setdefault("kind", "status")
        if "match" not in fault:
            fault["match"] = self._request(connector, str(answer.get("operation")))
        if role in self._mail:
            try:
                self._mail[role].plant(**fault)
            except (TypeError, ValueError) as error:
                raise SandboxRefused(f"the sandbox of {role} cannot answer so: {error}") from None
            return
        self.post(role, "faults", {"status": 503, **fault})

    def _request(self, connector: str, operation: str) -> str:
        if (connector, operation) in _REQUESTS:
            return _REQUESTS[(connector, operation)]
        known = self._registry.get(connector).manifest.operations
        own = getattr(self._registry.get(connector).module("sandbox"), "REQUESTS", {})
        if operation in own:
            return str(own[operation])
        declared = known.get(operation)
        if declared is None:
            raise SandboxRefused(f"{connector} has no operation {operation!r}: {', '.join(sorted(known))}")
        if declared.request is None:
            raise SandboxRefused(f"{connector} sends {operation} by code: say which request in `match`")
        path = re.sub(r"\{[^}]*\}", "*", declared.request.path)
        return f"{declared.request.method} {path}"

    def close(self) -> None:
        """Stops all of them."""
        self._client.close()
        if self.transport is not None:
            self.transport.end()
        for server in self._mail.values():
            server.close()
        for running in self._running:
            running.stop()
