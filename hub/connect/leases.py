"""The lease of a token request: one process at a time asks for the next tokens of a connection, and no pair is lost.

A refresh token is often good for one use. So the row `token_lease` is taken in a short transaction before the request,
nobody else asks until it is free or has run out, and the new pair is committed before anything uses it. A lease lasts
longer than a request can (`Pace`); each has a fence, one more than the last.

| state | meaning | leaves it |
|---|---|---|
| `idle` | the stored pair is the last one we know of | anybody takes the lease |
| `asking` | a process asks | its answer; when the lease has run out, anybody takes it: the holder died or sleeps |
| `waiting` | the last request gave no tokens and said nothing final | anybody, after the back-off |
| `refused` | the vendor refuses; a person has to connect again | new secrets; another try after a minute; a late pair |

What an answer does, by whether its lease is still the last one:

| answer | in time | too late |
|---|---|---|
| tokens | stored; `idle` | stored if no other pair was since, whoever asks now or was refused: it may be the only good one. Where a pair of the same refresh token was stored meanwhile (the vendor gave both), its refresh token is kept as a spare (`spare_refresh_tokens`). After a later pair, or a person's, it is dropped. While another request with the old refresh token is not accounted for, that token stays as a spare too |
| refused | the spare takes the place of the refused token and is tried; without one `refused` | nothing |
| none (time-out, 5xx, cut) | `waiting`: the same refresh token is asked with again | nothing |
| not sent, 429 | `waiting` | nothing |

Nobody knows what a request did whose holder died or whose answer was lost. The refresh token may be used up, or not: it
is tried once more. A vendor with grace answers with a pair. One without refuses, and that is the one case in which a
person has to connect again though nothing was wrong: the pair was in no place but a process that is gone.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection as DbConnection

from hub.connect import sealed
from hub.connect.grants import Tokens
from hub.connect.tables import TokenLease
from hub.connect.vault import Vault
from hub.db.engine import Ids

#: refresh tokens, one a line
SPARE = "spare_refresh_tokens"
LEASE = TokenLease.__table__  # type: ignore[attr-defined]
_HELD = sa.select(LEASE).where(LEASE.c.connection_id == sa.bindparam("id", type_=sa.BigInteger)).with_for_update()
_MAKE = sa.text(
    "INSERT INTO token_lease (id, merchant_id, connection_id, state, fence, generation, closed_until, unanswered, failures)"
    " VALUES (:id, :merchant_id, :connection_id, 'idle', 0, 0, 0, 0, 0) ON CONFLICT (merchant_id, connection_id) DO NOTHING"
)
_CHANGE = LEASE.update().where(LEASE.c.id == sa.bindparam("_id", type_=sa.BigInteger))
_SECOND = 1_000_000
_BACKOFF_S = (1, 2, 5, 10, 30, 60)
#: a token that was refused is not asked with again for so long, whoever wants to
_REFUSED_S = 60
#: tokens are asked for when a fifth of their life is left, at most so long before their end
_AHEAD_S = 300


class State(StrEnum):
    IDLE = "idle"
    ASKING = "asking"
    WAITING = "waiting"
    REFUSED = "refused"


@dataclass(frozen=True)
class Pace:
    """Seconds. A request lasts at most `request_s` in all; it is not begun with less than that left of its lease."""

    lease_s: float = 35
    request_s: float = 30


@dataclass(frozen=True)
class Lease:
    """The right to ask once for tokens of a connection, with the secrets as they are stored."""

    connection_id: int
    merchant_id: int
    fence: int
    generation: int
    #: UTC microseconds
    until: int
    secrets: Mapping[str, str] = field(repr=False)
    #: the process that held it until it ran out: it is gone, or sleeps
    lapsed: str | None = None


@dataclass(frozen=True)
class Closed:
    """The lease cannot be taken before `until`, UTC microseconds."""

    state: State
    until: int
    reason: str


class Newer:
    """There are other tokens than those that are to be replaced, or it is not time yet."""


@dataclass(frozen=True)
class Granted:
    tokens: Tokens


@dataclass(frozen=True)
class Refusal:
    """The vendor refuses for good."""

    reason: str


@dataclass(frozen=True)
class Silence:
    """No tokens, and nothing final. `sent`: the vendor may have used the refresh token up; `after_s`: when to ask again,
    if it said so."""

    reason: str
    sent: bool
    after_s: float | None = None


Answered = Granted | Refusal | Silence


@dataclass(frozen=True)
class Book:
    """What the rows are read and written with, at one instant (UTC microseconds)."""

    connection: DbConnection
    vault: Vault
    ids: Ids
    now: int

    def held(self, merchant_id: int, connection_id: int) -> tuple[dict[str, Any], dict[str, Any]]:
        """The lease and the connection, both held: always in this order. The first call makes the lease's row."""
        row = self.connection.execute(_HELD, {"id": connection_id}).mappings().first()
        if row is None:
            made = {"id": self.ids.next(), "merchant_id": merchant_id, "connection_id": connection_id}
            self.connection.execute(_MAKE, made)
            row = self.connection.execute(_HELD, {"id": connection_id}).mappings().one()
        about = sealed.held(self.connection, connection_id)
        if about is None:
            raise LookupError(f"no connection with id {connection_id}")
        return dict(row), dict(about)

    def secrets(self, about: Mapping[str, Any]) -> dict[str, str]:
        return sealed.opened(self.connection, self.vault, about)

    def change(self, row: Mapping[str, Any], **columns: Any) -> None:
        self.connection.execute(_CHANGE, {"_id": row["id"], **columns})

    def seal(self, about: Mapping[str, Any], secrets: Mapping[str, str], **columns: Any) -> None:
        kept = sealed.values(self.connection, self.vault, about["merchant_id"], about["id"], secrets)
        sealed.change(self.connection, about, self.now, **kept, **columns)


def take(
    book: Book, merchant_id: int, connection_id: int, *, used: str | None, owner: str, pace: Pace
) -> Lease | Closed | Newer:
    """Takes the lease. `used` is the access token that is to be replaced; None: what is due. Call `ids.ensure(2)` before
    the transaction, as for all that follows."""
    row, about = book.held(merchant_id, connection_id)
    secrets = book.secrets(about)
    if used is None:
        if row["due_at"] is None or row["due_at"] > book.now:
            return Newer()
    elif secrets.get("access_token", "") != used:
        return Newer()
    if row["closed_until"] > book.now:
        asking = row["state"] == State.ASKING
        said = f"process {row['owner']} asks for it and has no answer yet" if asking else row["reason"] or ""
        return Closed(State(row["state"]), row["closed_until"], said)
    until = book.now + int(pace.lease_s * _SECOND)
    fence = row["fence"] + 1
    book.change(
        row, state=State.ASKING, fence=fence, owner=owner, closed_until=until, due_at=until,
        unanswered=row["unanswered"] + 1,
    )  # fmt: skip
    lapsed = row["owner"] if row["state"] == State.ASKING else None
    return Lease(connection_id, merchant_id, fence, row["generation"], until, secrets, lapsed)


def settle(book: Book, lease: Lease, answered: Answered) -> str:
    """Writes what an answer does; says which it was, for the log. Doing it again changes nothing."""
    row, about = book.held(lease.merchant_id, lease.connection_id)
    in_time = row["state"] == State.ASKING and row["fence"] == lease.fence
    match answered:
        case Granted() if in_time:
            return _store(book, row, about, lease.generation, answered.tokens)
        case Granted():
            return _store_late(book, row, about, lease, answered.tokens)
        case Refusal() if in_time:
            return _refuse(book, row, about, answered)
        case Silence() if in_time:
            return _wait(book, row, answered)
    return "too late"


def replace(book: Book, merchant_id: int, connection_id: int, tokens: Tokens) -> None:
    """Stores tokens that a person brought: whoever asks now is too late."""
    row, about = book.held(merchant_id, connection_id)
    _store(book, row, about, None, tokens)


def shut(book: Book, merchant_id: int, connection_id: int, used: str, reason: str) -> bool:
    """A person has to connect again: the system refuses an access token that is fresh. Not if another is stored now."""
    row, about = book.held(merchant_id, connection_id)
    if book.secrets(about).get("access_token", "") != used:
        return False
    _close(book, row, about, reason)
    return True


def reopen(book: Book, merchant_id: int, connection_id: int) -> None:
    """Secrets were set by a person: what was refused may be asked for again at once."""
    row, _ = book.held(merchant_id, connection_id)
    if row["state"] in (State.REFUSED, State.WAITING):
        book.change(row, state=State.IDLE, closed_until=0, failures=0, reason=None)


def margin_us(lifetime_us: int | None) -> int:
    """How long before its end a token counts as ended: the way of a request, and clocks that differ."""
    return 5 * _SECOND if lifetime_us is None else max(0, min(10 * _SECOND, lifetime_us // 20))


def _store(
    book: Book, row: Mapping[str, Any], about: Mapping[str, Any], parent: int | None, tokens: Tokens, late: int = 0
) -> str:
    secrets = {name: value for name, value in book.secrets(about).items() if name != SPARE}
    secrets["access_token"] = tokens.access
    old = secrets.get("refresh_token")
    if old and tokens.refresh and parent is not None and (late or row["unanswered"] > 1):
        # somebody else may yet ask with it, be given another pair in place of this one, and die
        secrets[SPARE] = old
    if tokens.refresh:
        secrets["refresh_token"] = tokens.refresh
    generation = row["generation"] + 1
    book.seal(about, secrets, status="connected", expires_at=tokens.expires_at)
    book.change(
        row, state=State.IDLE, fence=row["fence"] + (1 if parent is None else late), generation=generation, parent=parent,
        closed_until=0, due_at=_due(book.now, tokens.expires_at, row["connection_id"], generation), unanswered=0,
        failures=0, reason=None, owner=None, renewed_at=book.now,
    )  # fmt: skip
    return "adopted" if late else "stored"


def _store_late(
    book: Book, row: Mapping[str, Any], about: Mapping[str, Any], lease: Lease, tokens: Tokens
) -> str:  # fmt: skip
    secrets = book.secrets(about)
    if secrets.get("access_token") == tokens.access:
        return "stored"  # the commit was done, and its confirmation lost
    sibling = row["parent"] == lease.generation
    if row["generation"] == lease.generation or (sibling and row["state"] == State.REFUSED):
        return _store(book, row, about, lease.generation, tokens, late=1)
    if sibling and tokens.refresh and tokens.refresh != secrets.get("refresh_token"):
        spares = [*secrets.get(SPARE, "").split(), tokens.refresh]
        book.seal(about, {**secrets, SPARE: "\n".join(dict.fromkeys(spares))})
        return "spare"
    return "dropped"


def _refuse(book: Book, row: Mapping[str, Any], about: Mapping[str, Any], refusal: Refusal) -> str:
    secrets = book.secrets(about)
    if SPARE in secrets:
        secrets["refresh_token"], *others = secrets.pop(SPARE).split()
        if others:
            secrets[SPARE] = "\n".join(others)
        book.seal(about, secrets)
        book.change(row, state=State.WAITING, closed_until=book.now, due_at=book.now, reason=refusal.reason, owner=None)
        return "spare next"
    lost = row["unanswered"] > 1
    before = " The answer to an earlier request was lost, and with it the tokens that it gave." if lost else ""
    _close(book, row, about, refusal.reason + before)
    return "refused"


def _close(book: Book, row: Mapping[str, Any], about: Mapping[str, Any], reason: str) -> None:
    until = book.now + _REFUSED_S * _SECOND
    book.change(row, state=State.REFUSED, closed_until=until, due_at=None, reason=reason, owner=None)
    sealed.change(book.connection, about, book.now, status="reconnect_needed")


def _wait(book: Book, row: Mapping[str, Any], silence: Silence) -> str:
    failures = row["failures"] + 1
    share = 0.75 + _fraction(row["connection_id"], failures) / 2
    wait_s = _BACKOFF_S[min(failures, len(_BACKOFF_S)) - 1] * share if silence.after_s is None else silence.after_s
    until = book.now + int(wait_s * _SECOND)
    book.change(
        row, state=State.WAITING, closed_until=until, due_at=until, failures=failures, reason=silence.reason,
        unanswered=row["unanswered"] - (0 if silence.sent else 1), owner=None,
    )  # fmt: skip
    return "waiting"


def _due(now: int, expires_at: int | None, connection_id: int, generation: int) -> int | None:
    """When the hub asks by itself: spread, so that connections made together are not renewed together."""
    if expires_at is None:
        return None
    ahead = min(max(0, expires_at - now) // 5, _AHEAD_S * _SECOND)
    return expires_at - int(ahead * (0.5 + _fraction(connection_id, generation) / 2))


def _fraction(*numbers: int) -> float:
    """From 0 to 1, the same in all processes and in each run of a test."""
    digest = hashlib.blake2b(repr(numbers).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") / 2**64
