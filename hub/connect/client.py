"""The HTTP client of one connection: one for the process's life, because a new one costs 26-33 ms of CPU."""

from __future__ import annotations

import threading
from base64 import b64encode
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlsplit, urlunsplit

import tenacity

from hub.connect import payload
from hub.connect.errors import Ambiguous, Cut, NoQuota, NotSent, ReconnectNeeded, Refused, Throttled, Withheld
from hub.connect.http import httpx
from hub.connect.limits import FREE, Free, Permit
from hub.connect.manifest import ApiKey, Basic, OAuth2
from hub.connect.paths import fill
from hub.observe import traces

if TYPE_CHECKING:
    from hub.connect.links import Link

T = TypeVar("T")

TIMEOUT = httpx.Timeout(30, connect=5, pool=5)
_NOTHING: Any = object()
_HOLDS: ContextVar[Callable[[], bool] | None] = ContextVar("holds", default=None)


@contextmanager
def held(holds: Callable[[], bool]) -> Iterator[None]:
    """Requests of this thread are sent only while this holds; then NotSent."""
    token = _HOLDS.set(holds)
    try:
        yield
    finally:
        _HOLDS.reset(token)


@dataclass(frozen=True)
class Answer:
    """What a system answered, whatever the status. `headers` has lower-case names."""

    status: int
    headers: Mapping[str, str]
    body: bytes = field(repr=False)

    @property
    def ok(self) -> bool:
        return 200 <= self.status < 300

    @cached_property
    def data(self) -> Any:
        """The body as JSON; None when there is none. Raises: Unreadable."""
        return payload.decode(self.body) if self.body.strip() else None

    @cached_property
    def data_or_none(self) -> Any:
        """The body as JSON, or None when it is none."""
        try:
            return self.data
        except Exception:  # noqa: BLE001  a page of a proxy is no JSON, and says nothing
            return None


class Client:
    """Sends requests of one connection with its credentials. Safe to share between threads.

    Errors: NotSent when nothing reached the system, Cut when something may have, ReconnectNeeded when the credentials
    are refused. Every other answer is given back as it is: `judge` reads the error table."""

    def __init__(self, link: Link) -> None:
        self._link = link
        self._lock = threading.Lock()
        self._http: Any = None

    def request(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        json: Any = _NOTHING,
        content: bytes | None = None,
        asks: str = "",
        reads: bool = False,
    ) -> Answer:
        """One request to the system, with its credentials. `content` is JSON text that is sent as it stands; `asks`: the
        name that its cost is known by, where the system counts points; `reads`: it changes nothing, whatever its method."""
        sent = {
            "accept": "application/json",
            **self._common_headers(),
            **{k.lower(): v for k, v in (headers or {}).items()},
        }
        if json is not _NOTHING:
            content = payload.encode(json)
        if content is not None:
            sent.setdefault("content-type", "application/json")
        url = self.url(path)
        used, credentials = self._credentials()
        answer = self.send(
            method, url, query=query, headers={**sent, **credentials}, content=content, asks=asks, reads=reads
        )
        if answer.status != 401:
            return answer
        if not isinstance(self._link.connector.manifest.auth, OAuth2):
            raise ReconnectNeeded(f"{self._link.name}: the system refuses the credentials (401)")
        self._link.renew(used)
        used, credentials = self._credentials()
        answer = self.send(
            method, url, query=query, headers={**sent, **credentials}, content=content, asks=asks, reads=reads
        )
        if answer.status == 401:
            raise self._link.refused(used)
        return answer

    def send(
        self,
        method: str,
        url: str,
        *,
        query: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        content: bytes | None = None,
        form: Mapping[str, str] | None = None,
        timeout: Any = None,
        asks: str = "",
        reads: bool = False,
        limited: bool = True,
    ) -> Answer:
        """One request as it stands, with no credentials of ours, when the system's quota holds it (`limited` false: at once).
        Raises: NoQuota with nothing sent, NotSent, Cut, Refused."""
        extra: dict[str, Any] = {"data": dict(form)} if form is not None else {"content": content}
        if timeout is not None:
            extra["timeout"] = timeout
        writes = not reads and method not in ("GET", "HEAD")
        permit: Permit | Free = self._link.gate.enter(asks, writes=writes) if limited else FREE
        holds = _HOLDS.get()
        if holds is not None and not holds():  # asked last: it may have been waited for quota
            permit.unsent()
            raise Withheld(f"{self._link.name}: another process may have taken this over by now")
        try:
            address = _address(url, tuple((query or {}).items()))
            with traces.span("http", method=method, host=address.host):
                answer = self._client().request(method, address, headers=dict(headers or {}), **extra)
                traces.note(status=answer.status_code)
        except httpx.PoolTimeout as error:
            permit.unsent()
            raise Withheld(f"{self._link.name}: too many requests wait for {_host(url)}") from error
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.ProxyError) as error:
            permit.unsent()
            raise NotSent(f"{self._link.name}: no connection to {_host(url)} ({type(error).__name__})") from error
        except (httpx.UnsupportedProtocol, httpx.LocalProtocolError, httpx.InvalidURL) as error:
            permit.unsent()
            raise Refused(f"{self._link.name}: the request cannot be sent: {error}") from error
        except httpx.HTTPError as error:
            permit.lost()
            raise Cut(f"{self._link.name}: {_host(url)} gave no whole answer ({type(error).__name__})") from error
        except BaseException:
            permit.lost()
            raise
        made = Answer(answer.status_code, {k.lower(): v for k, v in answer.headers.items()}, answer.content)
        permit.answered(made)
        return made

    def url(self, path: str) -> str:
        """The whole address of a path; of a whole address only scheme and host are replaced, by `settings.base_url`."""
        link = self._link
        override = str(link.settings.get("base_url") or "").rstrip("/")
        if urlsplit(path).scheme:
            if not override:
                return path
            own, given = urlsplit(override), urlsplit(path)
            return urlunsplit((own.scheme, own.netloc, own.path.rstrip("/") + given.path, given.query, ""))
        bases = link.connector.manifest.base_urls
        if override:
            return override + path
        if not bases:
            raise Refused(f"{link.name}: no address: set base_url")
        environment = str(link.settings.get("environment") or next(iter(bases)))
        if environment not in bases:
            raise Refused(f"{link.name}: environment {environment!r} is not one of {', '.join(bases)}")
        return fill(bases[environment], {"settings": link.settings}).rstrip("/") + path

    def close(self) -> None:
        with self._lock:
            if self._http is not None:
                self._http.close()
                self._http = None

    def _client(self) -> Any:
        with self._lock:
            if self._http is None:
                limits = httpx.Limits(max_connections=20, max_keepalive_connections=10, keepalive_expiry=15)
                self._http = httpx.Client(
                    timeout=TIMEOUT, limits=limits, follow_redirects=False, transport=self._link.transport
                )
            return self._http

    def _common_headers(self) -> dict[str, str]:
        scope = {"settings": self._link.settings}
        own = {name.lower(): fill(text, scope) for name, text in self._link.connector.manifest.headers.items()}
        return {"user-agent": "hub/0.1", **own}

    def _credentials(self) -> tuple[str, dict[str, str]]:
        """The access token used (empty without OAuth) and the headers that carry the credentials."""
        auth, secrets = self._link.connector.manifest.auth, self._link.secrets
        if isinstance(auth, OAuth2):
            token = secrets.get("access_token", "")
            if not token or self._link.ended:
                self._link.renew(token)
                token = self._link.secrets["access_token"]
            return token, {auth.header.name.lower(): auth.header.prefix + token}
        if isinstance(auth, ApiKey):
            return "", {auth.header.name.lower(): auth.header.prefix + self._needed(auth.secret)}
        if isinstance(auth, Basic):
            pair = f"{self._link.settings.get(auth.user, '')}:{self._needed(auth.password)}"
            return "", {"authorization": "Basic " + b64encode(pair.encode()).decode()}
        return "", {}

    def _needed(self, name: str) -> str:
        value = self._link.secrets.get(name)
        if not value:
            raise ReconnectNeeded(f"{self._link.name}: {name} is not set")
        return value


def reading(work: Callable[[], T], *, attempts: int = 3) -> T:
    """Does a read that may fail for a moment, a few times; never a write. Long waits are the caller's."""
    failed: list[BaseException] = []

    def again(error: BaseException) -> bool:
        if isinstance(error, NoQuota):  # it was waited for already
            return False
        failed.append(error)
        if isinstance(error, Throttled):
            return error.after_s is None or error.after_s <= 5
        return isinstance(error, (NotSent, Cut, Ambiguous))

    def wait(state: tenacity.RetryCallState) -> float:
        error = state.outcome.exception() if state.outcome else None
        asked = error.after_s if isinstance(error, Throttled) else None
        return asked if asked is not None else tenacity.wait_random_exponential(multiplier=0.2, max=2)(state)

    retrying = tenacity.Retrying(
        retry=tenacity.retry_if_exception(again), stop=tenacity.stop_after_attempt(attempts), wait=wait, reraise=True
    )
    try:
        return retrying(work)
    except NoQuota:
        if failed:  # it was tried: who is refused for ever does not wait for quota
            raise failed[-1] from None
        raise


@lru_cache(maxsize=256)
def _address(url: str, query: tuple[tuple[str, str], ...]) -> Any:
    """An address that was taken apart. That is half the cost of a request, and most are asked again and again."""
    return httpx.URL(url, params=dict(query)) if query else httpx.URL(url)


def _host(url: str) -> str:
    parts = urlsplit(url)
    return parts.hostname or "the system"
