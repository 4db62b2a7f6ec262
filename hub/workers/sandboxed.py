"""The sandboxes of a test file: one for each connector that it names, served over loopback, with a fresh state a test."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any

from hub.connect import payload, sandboxes
from hub.connect.http import httpx
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


class Sandboxes:
    """Sandboxes by role."""

    def __init__(self, registry: Registry, roles: Mapping[str, str], clock: Callable[[], datetime]) -> None:
        self._registry = registry
        self._roles = dict(roles)
        self._clock = clock
        self._served: dict[str, tuple[sandboxes.Running, _Switch]] = {}
        self._mail: dict[str, Any] = {}
        self._client = httpx.Client(timeout=10)

    def reset(self, products: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
        """Fresh sandboxes. Returns the settings of the connection to each, by role."""
        settings: dict[str, dict[str, Any]] = {}
        for role, connector in self._roles.items():
            module = self._registry.get(connector).module("sandbox")
            if serve := getattr(module, "serve", None):
                port = 0
                if role in self._mail:
                    port = self._mail[role].port
                    self._mail.pop(role).close()
                self._mail[role] = serve("127.0.0.1", port, **self._arguments(connector, serve, products))
            else:
                app = module.create(**self._arguments(connector, module.create, products))
                if role in self._served:
                    self._served[role][1].app = app
                else:
                    switch = _Switch(app)
                    self._served[role] = (sandboxes.serve_app(switch), switch)
            settings[role] = self._settings(role, connector)
        return settings

    def _arguments(self, connector: str, make: Callable[..., Any], products: Sequence[Mapping[str, Any]]) -> Any:
        takes = inspect.signature(make).parameters
        open_ended = any(each.kind is inspect.Parameter.VAR_KEYWORD for each in takes.values())
        made: dict[str, Any] = dict(_MADE_WITH.get(connector, {}))
        if open_ended or "clock" in takes:
            made["clock"] = self._clock
        if connector == "shopify":
            made["products"] = [dict(each) for each in products]
        return made

    def _settings(self, role: str, connector: str) -> dict[str, Any]:
        if role in self._mail:
            server = self._mail[role]
            return {
                "host": "127.0.0.1",
                "port": server.port,
                "security": "none",
                "sender": "Boutique <shop@example.org>",
            }
        url = self._served[role][0].url
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
        if served is None:
            raise SandboxRefused(
                f"no sandbox with actions plays the role {role!r}: {', '.join(self._served) or 'none'}"
            )
        content = payload.encode(body if body is not None else {})
        answer = self._client.post(f"{served[0].url}/_sandbox/{path}", content=content)
        if answer.status_code >= 400:
            raise SandboxRefused(f"the sandbox of {role} answers {answer.status_code} to {path}: {answer.text[:300]}")
        return answer.json()

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
                self._mail[role].plant(**{"status": 451, **fault})
            except (TypeError, ValueError) as error:
                raise SandboxRefused(f"the sandbox of {role} cannot answer so: {error}") from None
            return
        self.post(role, "faults", {"status": 503, **fault})

    def _request(self, connector: str, operation: str) -> str:
        if (connector, operation) in _REQUESTS:
            return _REQUESTS[(connector, operation)]
        known = self._registry.get(connector).manifest.operations
        declared = known.get(operation)
        if declared is None:
            raise SandboxRefused(f"{connector} has no operation {operation!r}: {', '.join(sorted(known))}")
        if declared.request is None:
            raise SandboxRefused(f"{connector} sends {operation} by code: say which request in `match`")
        path = re.sub(r"\{[^}]*\}", "*", declared.request.path)
        return f"{declared.request.method} {path}"

    def close(self) -> None:
        """Stops all of them, side by side."""
        self._client.close()
        ends = [server.close for server in self._mail.values()] + [each.stop for each, _ in self._served.values()]
        if ends:
            with ThreadPoolExecutor(len(ends)) as pool:
                list(pool.map(lambda end: end(), ends))
