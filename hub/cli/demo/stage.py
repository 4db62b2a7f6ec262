"""What the demo runs on: a process of sandboxes, a hub process in a fresh home, and a browser that a merchant would use."""

from __future__ import annotations

import base64
import html
import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import Any
from urllib.parse import urljoin, urlsplit

from hub.connect.http import httpx
from hub.workers.admin import running

SHOP = "boutique-demo.myshopify.com"
SHIPBOB_TOKEN = "demo-shipbob-token"  # noqa: S105 - of the sandbox
_START_S = 60
#: a vendor tries for hours to bring a webhook, here it is a minute; seconds between the attempts
_WEBHOOK_RETRIES = [0.2, 0.5, *[1.0] * 60]
_ASK_AGAIN_S = 0.1


class DemoFailed(Exception):
    """The demo could not go on: what happened, and what the process concerned said last."""


class Stage:
    """The processes of one demo. Leaving it ends them and removes nothing that the caller made.

    `patience`: seconds for which a hub that is away is asked again. A call may then reach the hub twice: for plays that
    kill it, whose calls change nothing the second time."""

    def __init__(self, folder: Path, *, patience: float = 0) -> None:
        self.folder = folder
        self.home = folder / "home"
        self.patience = patience
        self._processes: dict[str, subprocess.Popen[str]] = {}
        self.sandboxes: dict[str, str] = {}
        self.hub_url = ""
        self._bind = "127.0.0.1:0"
        self._token = ""
        # a proxy of the caller's environment is not for this machine
        self.client = httpx.Client(timeout=60, trust_env=False)

    def __enter__(self) -> Stage:
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _at: TracebackType | None
    ) -> None:
        self.client.close()
        self.close()

    def close(self) -> None:
        """Ends the processes: the hub first, in order."""
        processes = [*reversed(self._processes.values())]
        for process in processes:
            if process.stdin is not None:
                process.stdin.close()
            if process.poll() is None:
                process.terminate()
        for process in processes:
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self._processes.clear()

    def process(self, name: str) -> subprocess.Popen[str]:
        """The process of the `hub` or of the `sandboxes`."""
        return self._processes[name]

    # -- processes ----------------------------------------------------------------------------------------------

    def start_sandboxes(self, products: list[dict[str, Any]]) -> None:
        """Shopify, QuickBooks, ShipBob and a mail server on free ports of loopback."""
        settings = {
            "shopify": {
                "domain": SHOP,
                "products": products,
                "access_token": None,
                "client_id": "demo-shopify",
                "client_secret": "demo-shopify-secret",
                "bucket": 1_000_000,
                "restore_rate": 100_000,
                "retry_schedule": _WEBHOOK_RETRIES,
            },
            "quickbooks": {"client_id": "demo-quickbooks", "client_secret": "demo-quickbooks-secret"},
            "shipbob": {"token": SHIPBOB_TOKEN, "retry_seconds": _WEBHOOK_RETRIES, "calls_per_minute": 100_000},
            "smtp": {"http": True},
        }
        process = self._spawn(
            "sandboxes", ["-m", "hub.cli.demo.sandboxes"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(json.dumps(settings) + "\n")
        process.stdin.flush()
        line = process.stdout.readline()
        if not line:
            raise DemoFailed(f"the sandboxes did not start: {self._last_words('sandboxes')}")
        self.sandboxes = json.loads(line)

    def start_hub(self, *, wait: bool = True) -> subprocess.Popen[str]:
        """`hub up` on a free port, and on the same one when it is started again: the vendors' webhooks go there."""
        process = self._spawn("hub", ["-m", "hub", "up"])
        if wait:
            self.wait_for_hub(process)
        return process

    def wait_for_hub(self, process: subprocess.Popen[str]) -> None:
        """Waits until the hub answers, and learns its address and token."""
        until = time.monotonic() + _START_S
        while time.monotonic() < until:
            if process.poll() is not None:
                raise DemoFailed(f"the hub did not start: {self._last_words('hub')}")
            there = running.read(self.home)
            if there is not None and there.pid == process.pid:
                self.hub_url, self._token = there.url, there.token
                self._bind = urlsplit(self.hub_url).netloc
                try:
                    if self.client.get(f"{self.hub_url}/healthz").status_code == 200:
                        return
                except httpx.TransportError:
                    pass
            time.sleep(0.02)
        raise DemoFailed(f"the hub did not answer within {_START_S} s: {self._last_words('hub')}")

    def _spawn(self, name: str, arguments: list[str], **options: Any) -> subprocess.Popen[str]:
        log = (self.folder / f"{name}.log").open("a")
        process = subprocess.Popen(  # noqa: S603 - our own interpreter and modules
            [sys.executable, *arguments], env=self.environment(), cwd=self.folder, stderr=log, encoding="utf-8",
            **{"stdin": subprocess.DEVNULL, "stdout": log, **options},
        )  # fmt: skip
        log.close()
        self._processes[name] = process
        return process

    def environment(self) -> dict[str, str]:
        """The environment of the hub: its home, its port, no proxy on this machine, and nothing of the caller's hub."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith("HUB_")}
        checkout = str(Path(__file__).resolve().parents[3])
        path = os.pathsep.join(filter(None, [checkout, kept.get("PYTHONPATH")]))
        direct = ",".join(filter(None, ["127.0.0.1", kept.get("NO_PROXY") or kept.get("no_proxy")]))
        ours = {"PYTHONPATH": path, "PYTHONUTF8": "1", "NO_PROXY": direct, "no_proxy": direct}
        return {**kept, **ours, "HUB_HOME": str(self.home), "HUB_BIND": self._bind}

    def _last_words(self, name: str) -> str:
        file = self.folder / f"{name}.log"
        return file.read_text(errors="replace")[-2000:].strip() if file.is_file() else "it said nothing"

    # -- talking ------------------------------------------------------------------------------------------------

    def cli(self, *arguments: str) -> Any:
        """A command of the CLI with `--json`; its answer. Raises: DemoFailed with what it said."""
        until = time.monotonic() + self.patience
        while True:
            done = subprocess.run(  # noqa: S603 - our own interpreter and modules
                [sys.executable, "-m", "hub", *arguments, "--json"],
                env=self.environment(), cwd=self.folder, capture_output=True, encoding="utf-8", check=False,
            )  # fmt: skip
            if done.returncode == 0 or (done.returncode == 1 and done.stdout.strip()):
                return json.loads(done.stdout) if done.stdout.strip() else None
            if time.monotonic() >= until:
                raise DemoFailed(f"hub {' '.join(arguments)}: {done.stderr.strip() or done.stdout.strip()}")
            time.sleep(_ASK_AGAIN_S)

    def hub(self, method: str, path: str, **options: Any) -> Any:
        """A call of the hub's API. Raises: DemoFailed."""
        until = time.monotonic() + self.patience
        while True:
            try:
                answer = self.client.request(
                    method, f"{self.hub_url}{path}", headers={"authorization": f"Bearer {self._token}"}, **options
                )
            except httpx.TransportError as error:
                failed = f"{method} {path}: {type(error).__name__}: {error}; {self._last_words('hub')}"
            else:
                if answer.status_code < 400:
                    return answer.json()
                failed = f"{method} {path}: {answer.status_code} {answer.text[:400]}"
                if answer.status_code not in (
                    401,
                    503,
                ):  # a hub that starts, whose token may have ended with the one before
                    raise DemoFailed(failed)
            if time.monotonic() >= until:
                raise DemoFailed(failed)
            time.sleep(_ASK_AGAIN_S)

    def sandbox(self, name: str, path: str, body: Any = None, *, method: str | None = None) -> Any:
        """A call of a sandbox's control API."""
        answer = self.client.request(
            method or ("GET" if body is None else "POST"),
            f"{self.sandboxes[name]}/_sandbox/{path}",
            **({} if body is None else {"json": body}),
        )
        if answer.status_code >= 400:
            raise DemoFailed(f"sandbox {name} {path}: {answer.status_code} {answer.text[:400]}")
        return answer.json()

    def browse(self, connection: str) -> str:
        """Connects an app as a merchant does: follows the hub's link, says yes on the vendor's page, comes back."""
        with httpx.Client(timeout=30, trust_env=False, headers={"authorization": f"Bearer {self._token}"}) as browser:
            there = browser.get(f"{self.hub_url}/connect/{connection}/start").headers["location"]
            page = browser.get(there, headers={"authorization": ""})
            if page.status_code != 200:
                raise DemoFailed(f"the page of {connection} answered {page.status_code}: {page.text[:300]}")
            target, fields = _form(page.text, there)
            back = browser.post(target, data=fields, headers={"authorization": ""})
            if back.status_code not in (302, 303):
                raise DemoFailed(f"{connection} did not send us back: {back.status_code} {back.text[:300]}")
            done = browser.get(back.headers["location"])
            if done.status_code != 200:
                raise DemoFailed(f"{connection} was not connected: {_text(done.text)[:400]}")
            return _text(done.text)

    def wait_idle(self, seconds: float = 60) -> None:
        """Waits until the hub has nothing left that it can do by itself."""
        until = time.monotonic() + seconds
        quiet = 0
        while time.monotonic() < until:
            status = self.hub("GET", "/api/status")
            quiet = quiet + 1 if status["idle"] else 0
            if quiet >= 2:
                return
            time.sleep(0.05)
        raise DemoFailed(f"the hub is still busy after {seconds:.0f} s: {json.dumps(status)[:600]}")


def _form(page: str, base: str) -> tuple[str, dict[str, str]]:
    """Where the form of a page goes, and what it sends when its first button is pressed."""
    action = re.search(r"<form[^>]*action=\"([^\"]*)\"", page)
    fields = {}
    for tag in re.findall(r"<(?:input|button)\b[^>]*>", page):
        parts = {key: html.unescape(value) for key, value in re.findall(r"([a-z-]+)=\"([^\"]*)\"", tag)}
        name = parts.get("name")
        if name and name not in fields:
            fields[name] = parts.get("value", "")
    return urljoin(base, html.unescape(action.group(1)) if action else ""), fields


def _text(page: str) -> str:
    body = re.sub(r"<(style|script|head)\b.*?</\1>", " ", page, flags=re.S)
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", body)).split())


def webhook_secret() -> str:
    """A secret for webhooks in the form that ShipBob takes."""
    return "whsec_" + base64.b64encode(os.urandom(24)).decode()
