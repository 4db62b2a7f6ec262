"""What the control file of a sandbox does that no loopback client can show."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import httpx2

from tests.connectors.serving import load, serving


def call(app: Any, path: str, client: tuple[str, int], method: str = "GET", body: bytes = b"") -> list[dict[str, Any]]:
    """Call an ASGI application without a server; gives the messages that it sent."""
    sent: list[dict[str, Any]] = []
    scope = {
        "type": "http",
        "method": method,
        "path": path,
        "query_string": b"",
        "headers": [],
        "client": client,
        "http_version": "1.1",
        "scheme": "http",
        "root_path": "",
    }

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    asyncio.run(app(scope, receive, send))
    return sent


def test_the_control_routes_answer_to_loopback_only() -> None:
    app = load("shipbob").create("pat")

    for client, status in ((("10.0.0.5", 1), 403), (("127.0.0.1", 1), 200), (("::1", 1), 200)):
        assert call(app, "/_sandbox/state", client)[0]["status"] == status


def test_under_another_server_a_cut_is_an_answer_that_never_ends() -> None:
    app = load("shipbob").create("pat")
    fault = b'{"match": "GET /2026-01/channel", "kind": "drop_before"}'
    call(app, "/_sandbox/faults", ("127.0.0.1", 1), "POST", fault)

    (only,) = call(app, "/2026-01/channel", ("127.0.0.1", 1))

    assert only["type"] == "http.response.start"
    assert (b"content-length", b"1000000") in only["headers"]


def test_many_callers_at_once_with_one_requestid_make_one_record() -> None:
    app = load("quickbooks").create("id", "secret")
    answers: list[bytes] = []
    with serving(app) as base:
        grant = httpx2.post(f"{base}/_sandbox/grant").json()
        headers = {"authorization": f"Bearer {grant['access_token']}"}
        address = f"{base}/v3/company/{grant['realmId']}/customer?requestid=one"

        def create() -> None:
            answers.append(httpx2.post(address, json={"DisplayName": "Camille"}, headers=headers).content)

        callers = [threading.Thread(target=create) for _ in range(8)]
        for caller in callers:
            caller.start()
        for caller in callers:
            caller.join()
        state = httpx2.get(f"{base}/_sandbox/state").json()

    assert (len(answers), len(set(answers)), len(state["customer"])) == (8, 1, 1)
