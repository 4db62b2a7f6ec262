"""Token requests under every order of crashes, lost answers and sleepers: no pair that a vendor gave is lost by the hub.

The plays drive the real rows and the real requests, over a vendor behind the transport and a clock that it moves."""

from __future__ import annotations

import itertools
import os
import secrets
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import parse_qs

import pytest
import sqlalchemy as sa
from structlog.testing import capture_logs

from hub.connect import grants, leases
from hub.connect import links as connections
from hub.connect.errors import NotSent, ReconnectNeeded
from hub.connect.http import httpx
from hub.connect.leases import LEASE, Granted, Lease, Refusal, Silence
from hub.connect.links import Link, Links
from hub.connect.registry import Registry
from hub.connect.rootkeys import root_key
from hub.connect.vault import Vault
from hub.db.engine import Database

FULL = bool(os.environ.get("HUB_TEST_FULL"))
START = 1_795_000_000_000_000
LIFE_S = 3600
REGISTRY = Registry.discover()
ROOT = root_key(secrets.token_bytes(32))
KINDS = ("strict", "same again", "another, the first dies", "another for a while, the first dies")


class Vendor:
    """Rotates refresh tokens. `strict`: each is good once. `same again`: until its child is used it gives that child again;
    the third kind gives another child and revokes the one before, and the last one does so for a while."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self._numbers = itertools.count(1)
        self.good: set[str] = set()
        self.child: dict[str, str] = {}
        self.parent: dict[str, str] = {}
        self.used: list[str] = []
        #: what happens to the next answer: "lost", or a status instead of the work
        self.fault: str | int | None = None

    def authorise(self) -> grants.Tokens:
        refresh = self._issue(None)
        return grants.Tokens("access of " + refresh, refresh, None, None)

    def _issue(self, parent: str | None) -> str:
        made = f"refresh-{next(self._numbers)}"
        self.good.add(made)
        if parent is not None:
            self.child[parent], self.parent[made] = made, parent
        return made

    def __call__(self, request: Any) -> Any:
        fault, self.fault = self.fault, None
        if isinstance(fault, int):
            return httpx.Response(fault, json={})
        body = request.read().decode()
        token = parse_qs(body)["refresh_token"][0]
        self.used.append(token)
        child = self._renewed(token)
        if fault == "lost":
            raise httpx.ReadTimeout("no answer", request=request)
        if child is None:
            return httpx.Response(400, json={"error": "invalid_grant"})
        return httpx.Response(
            200, json={"access_token": "access of " + child, "refresh_token": child, "expires_in": LIFE_S}
        )

    def time_passes(self) -> None:
        """Grace ends, where it has an end."""
        if self.kind == KINDS[3]:
            self.good -= self.child.keys()

    def _renewed(self, token: str) -> str | None:
        if token not in self.good:
            return None
        self.good.discard(self.parent.get(token, ""))  # a child that is used ends the grace of its parent
        known = self.child.get(token)
        if self.kind == "strict":
            self.good.discard(token)
        elif known is not None:
            if self.kind == "same again":
                return known
            self.good.discard(known)
        return self._issue(token)


def connected(database: Database, vendor: Vendor, clock: Callable[[], int], **more: Any) -> Link:
    """A connection that a person authorised, over a vendor."""
    database.ids.ensure(50)
    vault = Vault([ROOT], database.ids)
    links = Links(REGISTRY, vault, database, httpx.MockTransport(vendor), clock=clock, **more)
    number = database.ids.next()
    with database.write() as connection:
        connections.create(
            connection, REGISTRY, vault, connection_id=number, merchant_id=1, name=f"books-{number}", connector="quickbooks",
            settings={"client_id": "app", "client_secret": "s3cret", "base_url": "http://vendor.example"},
        )  # fmt: skip
    link = links.open(number)
    with database.write() as connection:
        leases.replace(links._book(connection), 1, number, renewed(vendor.authorise(), clock()))
    link.reload()
    return link


def renewed(tokens: grants.Tokens, now: int) -> grants.Tokens:
    return grants.Tokens(tokens.access, tokens.refresh, now + LIFE_S * 1_000_000, None)


def state_of(link: Link) -> dict[str, Any]:
    with link.database.read() as connection:
        return dict(connection.execute(LEASE.select().where(LEASE.c.connection_id == link.id)).mappings().one())


def orders() -> Iterator[str]:
    """All ways in which two processes take, ask and settle, the first to take being a."""
    for places in itertools.combinations(range(1, 6), 2):
        yield "".join("a" if place in (0, *places) else "b" for place in range(6))


#: where a process ends: it does everything, or dies holding the lease, or with the answer, or the answer is lost on its way
ENDS = ("lives", "dies with the lease", "dies with the answer", "answer lost")


class Play:
    """Two processes and a person on one connection. The clock moves beyond the lease before the second one takes it."""

    def __init__(self, database: Database, vendor: Vendor, ends: dict[str, str]) -> None:
        self.now = START
        self.vendor, self.ends = vendor, ends
        self.link = connected(database, vendor, lambda: self.now)
        self.renewals = self.link._links.renewals
        self.steps = {"a": iter((self.take, self.ask, self.settle)), "b": iter((self.take, self.ask, self.settle))}
        self.leases: dict[str, Lease] = {}
        self.answers: dict[str, Any] = {}
        self.lost = False

    def step(self, who: str) -> None:
        next(self.steps[who])(who)

    def take(self, who: str) -> None:
        self.now += 36_000_000
        self.link.reload()
        taken = self.renewals.take(self.link, self.link.secrets["access_token"])
        if isinstance(taken, Lease):
            self.leases[who] = taken

    def ask(self, who: str) -> None:
        """Also long after the lease ran out: a process may sleep between its look at the clock and the request."""
        if who not in self.leases or self.ends[who] == "dies with the lease":
            return
        self.vendor.fault = "lost" if self.ends[who] == "answer lost" else None
        granted = len(self.vendor.parent)
        try:
            self.answers[who] = Granted(grants.renew(self.link, self.leases[who].secrets))
        except ReconnectNeeded as error:
            self.answers[who] = Refusal(str(error))
        except grants.Unanswered as error:
            self.answers[who] = Silence(str(error), sent=True)
        given = len(self.vendor.parent) > granted
        if given and self.ends[who] in ("dies with the answer", "answer lost"):
            self.lost = True

    def settle(self, who: str) -> None:
        if who not in self.answers or self.ends[who] == "dies with the answer":
            return
        before = state_of(self.link)
        lease, answer = self.leases[who], self.answers[who]
        self.renewals.settle(lease, answer)
        if before["fence"] != lease.fence and not isinstance(answer, Granted):
            assert state_of(self.link) == before, "who is too late and brings nothing changes nothing"

    def person(self) -> None:
        with self.link.database.write() as connection:
            tokens = renewed(self.vendor.authorise(), self.now)
            leases.replace(self.link._links._book(connection), 1, self.link.id, tokens)
        self.lost = False

    def check(self) -> None:
        """Later, the stored token is good; or a person is asked, and the pair was in a process that is gone."""
        self.vendor.time_passes()
        for _ in range(2):
            self.now += LIFE_S * 1_000_000
            if state_of(self.link)["due_at"] is not None:
                self.renewals.renew_due(self.link)
        row = self.link._links.row(self.link.id)
        if state_of(self.link)["state"] == "refused":
            assert row["status"] == "reconnect_needed"
            assert self.vendor.kind in (KINDS[0], KINDS[3]), "a vendor with grace never needs a person"
            assert self.lost, "no answer was lost, and yet the tokens were"
        else:
            assert row["status"] == "connected"
            assert self.link.secrets["refresh_token"] in self.vendor.good


@pytest.mark.parametrize("kind", KINDS)
def test_no_pair_is_lost_but_in_a_process_that_is_gone(kind: str, sqlite_url: str) -> None:
    database = Database(sqlite_url)

    @sa.event.listens_for(database.engine, "connect")
    def need_not_last(dbapi: Any, _record: Any) -> None:
        dbapi.execute("PRAGMA synchronous=OFF")

    plays = 0
    # with the full count, a person also connects it at each moment
    moments = [None, *range(1, 6)] if FULL else [None]
    for order, of_a, of_b, moment in itertools.product(orders(), ENDS, ENDS, moments):
        play = Play(database, Vendor(kind), {"a": of_a, "b": of_b})
        try:
            for number, who in enumerate(order):
                if number == moment:
                    play.person()
                play.step(who)
            play.check()
        except AssertionError as error:
            raise AssertionError(f"{order}, a {of_a}, b {of_b}, person at {moment}: {error}") from error
        finally:
            play.link._links.close()
        plays += 1
    database.dispose()
    assert plays == 10 * 16 * len(moments)


def test_a_pair_that_comes_after_its_sibling_was_refused_is_taken(database: Database) -> None:
    vendor = Vendor(KINDS[3])
    play = Play(database, vendor, {"a": "lives", "b": "lives"})
    for who in "abbba":
        play.step(who)  # b has stored its pair, which died when a was given another
    vendor.time_passes()
    play.now += LIFE_S * 1_000_000
    play.renewals.renew_due(play.link)
    assert play.link.status == "reconnect_needed"

    play.step("a")

    play.link.reload()
    assert play.link.status == "connected"
    assert play.link.secrets["refresh_token"] in vendor.good


def test_the_ladder_of_one_lease(database: Database) -> None:
    """The named ways, one by one, on each engine."""
    now = [START]
    vendor = Vendor("strict")
    link = connected(database, vendor, lambda: now[0])
    renewals = link._links.renewals

    def take() -> Any:
        return renewals.take(link, None)

    assert isinstance(take(), leases.Newer)  # not due
    now[0] += (LIFE_S - 100) * 1_000_000
    sleeper = take()
    assert isinstance(sleeper, Lease)
    assert isinstance(take(), leases.Newer)  # others go on with their token, which is good
    assert isinstance(renewals.take(link, link.secrets["access_token"]), leases.Closed)
    answer = renewals.ask(link, sleeper)

    now[0] += 36_000_000  # it sleeps with the pair, beyond its lease: another tries the old token once and is refused
    successor = take()
    assert isinstance(successor, Lease)
    assert successor.fence == sleeper.fence + 1
    renewals.settle(successor, renewals.ask(link, successor))
    assert link._links.row(link.id)["status"] == "reconnect_needed"
    assert "earlier request was lost" in str(state_of(link)["reason"])
    with pytest.raises(ReconnectNeeded):
        renewals.renew(link, link.secrets["access_token"])
    assert len(vendor.used) == 2  # nobody else tries it

    renewals.settle(sleeper, answer)  # it wakes, with the only pair that is good
    assert link._links.row(link.id)["status"] == "connected"
    link.reload()
    assert link.secrets["refresh_token"] in vendor.good
    renewals.settle(sleeper, answer)  # its commit was done, and it does not know
    assert state_of(link)["generation"] == 2


def test_what_is_passing_is_asked_again_with_the_same_token_and_not_at_once(database: Database) -> None:
    now = [START]
    vendor = Vendor("strict")
    link = connected(database, vendor, lambda: now[0])
    first = link.secrets["access_token"]
    now[0] += LIFE_S * 1_000_000
    for status in (503, 429, 500):
        vendor.fault = status
        with pytest.raises(NotSent, match="next request is in"):
            link.renew(first)
        with pytest.raises(NotSent, match="next request is in"):
            link.renew(first)  # not asked: the vendor has its rest
        now[0] += 8_000_000
    assert vendor.used == []

    link.renew(first)

    assert vendor.used == ["refresh-1"]
    assert link.secrets["refresh_token"] == "refresh-2"
    assert state_of(link)["failures"] == 0


def test_a_secret_that_is_learned_writes_no_old_token_back(database: Database) -> None:
    now = [START]
    vendor = Vendor("strict")
    link = connected(database, vendor, lambda: now[0])
    stale = Links(REGISTRY, link._links.vault, database, clock=lambda: now[0]).open(link.id)
    link.renew(link.secrets["access_token"])

    stale.learn(client_secret="n3w")

    link.reload()
    assert link.secrets["refresh_token"] == "refresh-2"
    assert link.secrets["client_secret"] == "n3w"
    assert link.expires_at == START + LIFE_S * 1_000_000


def test_a_pair_that_the_database_does_not_take_is_kept_until_it_does(database: Database) -> None:
    now = [START]
    vendor = Vendor("strict")
    link = connected(database, vendor, lambda: now[0])
    renewals = link._links.renewals
    waits: list[float] = []
    taken = renewals.take(link, link.secrets["access_token"])
    assert isinstance(taken, Lease)
    answer = renewals.ask(link, taken)
    write = database.write

    def away(**_given: Any) -> Any:
        raise sa.exc.OperationalError("BEGIN", {}, Exception("the server is gone"))

    renewals._pause = waits.append
    database.write = away  # type: ignore[method-assign]
    with pytest.raises(NotSent, match="database is away"):
        renewals.settle(taken, answer)
    database.write = write  # type: ignore[method-assign]
    assert len(waits) == 19

    renewals.store_again()

    link.reload()
    assert link.secrets["refresh_token"] == "refresh-2"


def test_a_pair_that_cannot_be_stored_keeps_no_other_from_being_stored(database: Database) -> None:
    """The vault of one connection is torn: the pairs of the others are stored, and the log names the one."""
    now = [START]
    links = [connected(database, Vendor("strict"), lambda: now[0]) for _ in range(2)]
    renewals = links[0]._links.renewals
    for link in links:
        taken = renewals.take(link, link.secrets["access_token"])
        assert isinstance(taken, Lease)
        answer = renewals.ask(link, taken)
        assert isinstance(answer, Granted)
        renewals._unstored[(link.id, taken.fence)] = (taken, answer)
    real = renewals._settle

    def settle(lease: Lease, answered: Any) -> None:
        if lease.connection_id == links[0].id:
            raise OverflowError("no column holds it")
        real(lease, answered)

    renewals._settle = settle  # type: ignore[method-assign]
    with capture_logs() as logs:
        renewals.store_again()
    assert [(each["event"], each["connection"]) for each in logs if each["log_level"] == "error"] == [
        ("tokens not stored", links[0].id)
    ]
    with pytest.raises(NotSent, match="could not be stored"):
        renewals.take(links[0], links[0].secrets["access_token"])
    links[1].reload()
    assert links[1].secrets["refresh_token"] == "refresh-2"
    renewals._settle = real  # type: ignore[method-assign]
    renewals.store_again()
    links[0].reload()
    assert links[0].secrets["refresh_token"] == "refresh-2", "it was kept"
