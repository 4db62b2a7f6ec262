"""A hub of its own for each test: a real home, a real SQLite database, a real web server on a free port."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
import structlog
from web_signing import SECRET, signed

from hub.cli import logs
from hub.web.server import Server
from hub.workers.admin import setup
from hub.workers.settings import Settings

CONNECTIONS = """
connections:
  desk:
    connector: http
    settings: {delivery_header: x-delivery, topic_header: x-topic, record: order, stamp_path: changed_at}
"""


@pytest.fixture(autouse=True)
def _no_settings_of_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HOME", "SECRET_KEY", "DATABASE_URL", "DATABASE_ADMIN_URL", "BIND", "PUBLIC_URL"):
        monkeypatch.delenv(f"HUB_{name}", raising=False)


@pytest.fixture(scope="session")
def template_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home that was just made: copy it."""
    home = tmp_path_factory.mktemp("template") / "home"
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("HUB_SECRET_KEY", raising=False)
        setup.init(Settings(home=home))
    return home


@pytest.fixture
def home(template_home: Path, tmp_path: Path) -> Path:
    """The home of this test."""
    return Path(shutil.copytree(template_home, tmp_path / "home"))


@pytest.fixture
def settings(home: Path) -> Settings:
    return Settings(home=home, bind="127.0.0.1:0")


@pytest.fixture
def server(settings: Settings) -> Iterator[Server]:
    """A running hub, which logs as `hub up` does: structlog's own form shows an error with all that is at hand, for seconds."""
    logs.configure("warning")
    with Server(settings) as running:
        yield running
    structlog.reset_defaults()


@pytest.fixture
def anyone(server: Server) -> Iterator[httpx2.Client]:
    """A client without a token."""
    with httpx2.Client(base_url=server.url, trust_env=False) as client:
        yield client


@pytest.fixture
def admin(server: Server) -> Iterator[httpx2.Client]:
    """A client with the hub's own token."""
    headers = {"authorization": f"Bearer {server.token}"}
    with httpx2.Client(base_url=server.url, headers=headers, trust_env=False, timeout=30) as client:
        yield client


@pytest.fixture
def desk(admin: httpx2.Client, server: Server) -> int:
    """The connection `desk`, whose webhooks are signed with SECRET. Its id."""
    answer = admin.post("/api/connections/apply", json={"text": CONNECTIONS})
    assert answer.status_code == 200, answer.text
    answer = admin.put("/api/connections/desk/secrets", json={"secrets": {"webhook_secret": SECRET}})
    assert answer.status_code == 200, answer.text
    return int(admin.get("/api/connections").json()["items"][0]["id"])


@pytest.fixture
def send(anyone: httpx2.Client, desk: int) -> Callable[..., httpx2.Response]:
    """Sends a signed webhook to `desk`."""

    def post(body: Any, to: str = "desk", **headers: str) -> httpx2.Response:
        text = body if isinstance(body, bytes) else json.dumps(body).encode()
        return anyone.post(f"/webhooks/{to}", content=text, headers={**signed(text), **headers})

    return post


@pytest.fixture
def stored(admin: httpx2.Client) -> Callable[[], list[dict[str, Any]]]:
    """The events that are in the inbox."""
    return lambda: admin.get("/api/inbox").json()["items"]
