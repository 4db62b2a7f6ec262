"""Asking for the next tokens of connections, each once, by the leases of the database."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import structlog

from hub.connect import grants, leases
from hub.connect.errors import NotSent, ReconnectNeeded, Refused, Throttled, Withheld
from hub.connect.leases import Answered, Book, Closed, Granted, Lease, Newer, Pace, Refusal, Silence, State
from hub.db.engine import Unavailable

if TYPE_CHECKING:
    from hub.connect.links import Link, Links

_log = structlog.get_logger("hub.tokens")
#: seconds between looks at what another process does
_LOOK_S = 0.1
#: tries to store a pair while the database is away, one a second; then it is kept, and stored with the next request
_STORE_TRIES = 20


class Renewals:
    """The token requests of one process. Safe to share between threads."""

    def __init__(
        self,
        links: Links,
        clock: Callable[[], int],
        pace: Pace,
        pause: Callable[[float], None] = time.sleep,
    ) -> None:
        self._links = links
        self._clock = clock
        self.pace = pace
        self._pause = pause
        self._owner = f"{os.getpid()}-{os.urandom(4).hex()}"
        self._lock = threading.Lock()
        #: pairs that no database took yet: nobody else has them
        self._unstored: dict[tuple[int, int], tuple[Lease, Granted]] = {}

    def renew(self, link: Link, used: str) -> None:
        """Other tokens than `used`: stored meanwhile, brought by who asks now, or asked for here. Raises: ReconnectNeeded,
        NotSent when there are none for now."""
        give_up = time.monotonic() + self.pace.lease_s + self.pace.request_s
        while True:
            taken = self.take(link, used)
            match taken:
                case Newer():
                    link.reload()
                    return
                case Lease():
                    self.settle(taken, self.ask(link, taken))
                case Closed(state=State.REFUSED):
                    link.reload()
                    raise ReconnectNeeded(f"{link.name}: {taken.reason}")
                case Closed(state=State.ASKING) if time.monotonic() < give_up:
                    self._pause(_LOOK_S)
                case Closed():
                    wait = max(0.0, (taken.until - self._clock()) / 1_000_000)
                    raise NotSent(f"{link.name}: no token for now; the next request is in {wait:.0f} s: {taken.reason}")

    def renew_due(self, link: Link) -> None:
        """Asks for what is due, ahead of its end or because its holder is gone. Tells nobody how it went: the rows do."""
        taken = self.take(link, None)
        while isinstance(taken, Lease):
            self.settle(taken, self.ask(link, taken))
            taken = self.take(link, None)
        link.reload()

    def take(self, link: Link, used: str | None) -> Lease | Closed | Newer:
        """The lease, if it is free and `used` is still the stored access token (None: if it is due)."""
        self.store_again(link.id)
        grants.grant_of(link)
        self._links.database.ids.ensure(2)
        with self._links.database.write() as connection:
            taken = leases.take(
                self._book(connection), link.merchant_id, link.id, used=used, owner=self._owner, pace=self.pace
            )
            if isinstance(taken, Lease):
                grants.check_renewable(link, taken.secrets)  # nothing is taken where nothing can be asked for
        if isinstance(taken, Lease) and taken.lapsed is not None:
            _log.warning("a token request was never answered", connection=link.id, process=taken.lapsed)
        return taken

    def ask(self, link: Link, lease: Lease) -> Answered:
        """One request, if there is time for it. It has an end of its own, before that of the lease."""
        if self._clock() > lease.until - int(self.pace.request_s * 1_000_000):
            return Silence("this process slept for longer than its lease", sent=False)
        try:
            return Granted(grants.renew(link, lease.secrets))
        except (ReconnectNeeded, Refused) as error:
            return Refusal(str(error))
        except Throttled as error:
            return Silence(str(error), sent=False, after_s=error.after_s)
        except grants.Unanswered as error:
            return Silence(str(error), sent=True)
        except NotSent as error:
            return Silence(str(error), sent=False)

    def settle(self, lease: Lease, answered: Answered) -> None:
        """Commits what an answer does. A pair is not let go of before it is stored."""
        if not isinstance(answered, Granted):
            self._settle(lease, answered)
            return
        key = (lease.connection_id, lease.fence)
        with self._lock:
            self._unstored[key] = (lease, answered)
        for left in reversed(range(_STORE_TRIES)):
            try:
                self._settle(lease, answered)
                break
            except Unavailable as error:
                _log.warning("tokens not stored yet", connection=lease.connection_id, reason=type(error).__name__)
                if not left:
                    raise Withheld("the database is away: new tokens are kept and will be stored") from error
                self._pause(1)
        with self._lock:
            self._unstored.pop(key, None)

    def store_again(self, connection_id: int | None = None) -> None:
        """Stores the pairs that could not be stored before: of one connection, or all, each by itself. Raises: NotSent
        when those of the one connection still are not."""
        with self._lock:
            left = [each for (about, _), each in self._unstored.items() if connection_id in (None, about)]
        for lease, granted in left:
            try:
                self._settle(lease, granted)
            except Exception as error:
                # it is kept for the next try, and the pairs of other connections are stored
                _log.error(
                    "tokens not stored", connection=lease.connection_id, reason=f"{type(error).__name__}: {error}"[:200]
                )
                if connection_id is not None:
                    raise NotSent("its new tokens could not be stored: they are kept and will be") from error
                continue
            with self._lock:
                self._unstored.pop((lease.connection_id, lease.fence), None)

    def _settle(self, lease: Lease, answered: Answered) -> None:
        self._links.database.ids.ensure(2)
        with self._links.database.write() as connection:
            done = leases.settle(self._book(connection), lease, answered)
        said = {} if isinstance(answered, Granted) else {"reason": answered.reason}
        _log.info("token request", connection=lease.connection_id, fence=lease.fence, result=done, **said)

    def _book(self, connection: Any) -> Book:
        return Book(connection, self._links.vault, self._links.database.ids, self._clock())
