"""One attempt of one write, made safe by its ladder.

`native_key` sends with the vendor's idempotency key; `find_first` looks up by natural key before it creates again;
`compare_and_set` names the value it expects; `none` is sent once. After an attempt that may have arrived the first three
are tried again, `none` is uncertain and never sent again.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from hashlib import sha256
from typing import Any

from hub.connect import payload
from hub.connect.client import Answer, reading
from hub.connect.errors import (
    Ambiguous,
    Cut,
    Health,
    NoQuota,
    NotSent,
    ReconnectNeeded,
    Refused,
    StaleState,
    Throttled,
    Unreadable,
)
from hub.connect.judge import judge
from hub.connect.limits.turns import current
from hub.connect.links import Link
from hub.connect.manifest import Find, Ladder, Operation
from hub.connect.paths import FillError, fill, fill_settings, pick

# `health` of each: what it shows of the system as a whole


@dataclass(frozen=True)
class Confirmed:
    """It is done. `external_id`: the record's id there, when there is one."""

    external_id: str | None
    answer: dict[str, Any] = field(default_factory=dict)
    health: Health | None = "up"


@dataclass(frozen=True)
class Retry:
    """Not done as far as we know: try again, after so many seconds if the system said so. `sent`: this attempt may have
    arrived, so the next one is no longer a first attempt."""

    after_s: float | None
    reason: str
    sent: bool = False
    health: Health | None = None


@dataclass(frozen=True)
class Deferred:
    """Not tried: the system's quota is used up for so many seconds. Nothing that counts was sent."""

    after_s: float
    reason: str
    health: Health | None = None


@dataclass(frozen=True)
class Rejected:
    """Refused for good; nothing was done."""

    reason: str
    detail: Any = None
    health: Health | None = "up"


@dataclass(frozen=True)
class Uncertain:
    """Nobody can tell whether it was done: a person has to look."""

    reason: str
    health: Health | None = None


@dataclass(frozen=True)
class Stale:
    """The value there is another than we expected; `found` when it could be read."""

    found: int | None
    reason: str
    health: Health | None = "up"


@dataclass(frozen=True)
class NeedsReconnect:
    """The credentials no longer work; nothing was done."""

    reason: str
    health: Health | None = "up"


Outcome = Confirmed | Retry | Deferred | Rejected | Uncertain | Stale | NeedsReconnect


@dataclass(frozen=True)
class Call:
    """What a connector's code gets: the body, our key, and the key in the form the vendor takes (`wire_key`)."""

    operation: str
    spec: Operation
    frozen: bytes
    key: str
    first_attempt: bool

    @cached_property
    def body(self) -> Any:
        return payload.decode(self.frozen)

    @cached_property
    def wire_key(self) -> str:
        return wire_key(self.operation, self.spec, self.key)


def ladder_of(link: Link, name: str) -> Ladder:
    """The ladder as this connection has it: a key whose place is left empty by the settings gives `none`."""
    spec = link.operation(name)
    if spec.ladder == "native_key" and spec.key and not fill_settings(spec.key.name, link.settings):
        return "none"
    return spec.ladder


def execute(
    link: Link, operation: str, body: Any, key: str, *, first_attempt: bool, age_s: float | None = None
) -> Outcome:
    """One attempt. `body` is data or its frozen JSON text; `key` is the hub's key of the delivery.

    `first_attempt` is false as soon as an earlier attempt may have arrived: it ended in `Retry(sent=True)` or was found
    unfinished after a crash. `age_s`: seconds since the first attempt, for keys that the vendor forgets.
    What may have been sent and has the ladder `none` is not sent: it is for a person, who may say that the next attempt is a
    first one. An error of a connector's code is raised as it is: like a crash.
    """
    spec = link.operation(operation)
    if not link.connected:
        return NeedsReconnect(f"{link.name} is not connected yet")
    frozen = body.encode() if isinstance(body, str) else body if isinstance(body, bytes) else payload.encode(body)
    call = Call(operation, spec, frozen, key, first_attempt)
    ladder = ladder_of(link, operation)
    if spec.read:
        return _attempt(link, call, "none")
    if ladder == "none" and not first_attempt:
        return Uncertain("it may have been sent already, and nothing here shows whether it was")
    forgotten = (
        ladder == "native_key" and not first_attempt and spec.key is not None and spec.key.remembers is not None
        and age_s is not None and age_s >= spec.key.remembers
    )  # fmt: skip
    if forgotten and spec.find is None:
        return Uncertain("an earlier attempt may have arrived, and the system no longer remembers its key")
    # a key that is remembered would do; a look also tells apart what took the key before, see `_ours`
    if spec.find and (spec.find.always or not first_attempt):
        looked = _look(link, call)
        if looked is not None:
            return looked
    return _attempt(link, call, ladder)


def look(link: Link, operation: str, body: Any) -> dict[str, Any] | None:
    """What an operation that reads answers now; None when there is no such thing. Raises: ConnectError; LookupError when
    there is no such operation."""
    if not link.connected:
        raise ReconnectNeeded(f"{link.name} is not connected yet")
    spec = link.operation(operation)
    if not spec.read:
        raise Refused(f"{link.connector.name}: {operation} writes: it is no read")
    call = Call(operation, spec, payload.encode(body), "", first_attempt=True)
    try:
        return reading(lambda: _send(link, call)).answer
    except FillError as error:
        raise Refused(str(error)) from None
    except Refused as error:
        if error.missing:
            return None
        raise


def wire_key(operation: str, spec: Operation, key: str) -> str:
    """Our key in the form and length that the vendor takes: the same for the same operation and key, and, unless it is
    sent as it is, another for another operation."""
    if spec.key is None:
        return key
    longest = spec.key.max_length
    made = sha256(f"{operation}\x1f{key}".encode())
    if spec.key.form == "uuid":
        return str(uuid.UUID(bytes=made.digest()[:16], version=5))
    if spec.key.form == "hash" or (longest is not None and len(key) > longest):
        return made.hexdigest()[: longest or 64]
    return key


def _look(link: Link, call: Call, *, refused: Refused | None = None) -> Outcome | None:
    """Confirmed when the record is there, None when it is not, else what went wrong with looking."""
    assert call.spec.find is not None
    try:
        found = reading(lambda: _find(link, call, call.spec.find))  # type: ignore[arg-type]
    except ReconnectNeeded as error:
        return NeedsReconnect(str(error))
    except NoQuota as error:
        return Deferred(error.after_s, str(error))
    except (Refused, FillError) as error:
        health = error.health if isinstance(error, Refused) else None
        return Rejected(f"looking for the record failed: {error}", getattr(error, "detail", None), health)
    except (NotSent, Cut, Throttled, Ambiguous, Unreadable) as error:
        after = error.after_s if isinstance(error, Throttled) else None
        return Retry(after, f"looking for the record failed: {error}", health=error.health)
    if found is not None:
        return found
    return Rejected(refused.reason, refused.detail) if refused else None


def _attempt(link: Link, call: Call, ladder: Ladder) -> Outcome:
    try:
        return _ours(link, call, _send(link, call))
    except NotSent as error:
        return Retry(None, str(error), health=error.health)
    except NoQuota as error:
        return _put_off(error, call.spec, ladder)
    except Throttled as error:
        return Retry(error.after_s, str(error), health=error.health)
    except ReconnectNeeded as error:
        return NeedsReconnect(str(error))
    except StaleState as error:
        return Stale(error.found, str(error))
    except FillError as error:
        return Rejected(str(error), health=None)
    except Refused as error:
        if error.duplicate and call.spec.find:
            looked = _look(link, call, refused=error)
            assert looked is not None
            if isinstance(looked, (Retry, Deferred)):
                return Retry(looked.after_s, looked.reason, sent=True, health=looked.health)
            return looked
        return Rejected(error.reason, error.detail)
    except (Cut, Ambiguous, Unreadable) as error:
        if call.spec.read:
            return Retry(None, str(error), health=error.health)
        if ladder == "none":
            return Uncertain(str(error), error.health)
        settle = call.spec.find.settle if call.spec.find and ladder == "find_first" else 0
        return Retry(float(settle) or None, str(error), sent=True, health=error.health)


def _ours(link: Link, call: Call, done: Confirmed) -> Outcome:
    """Whether what a repeated key was answered with is what we sent. A hub out of a backup may give a number, and the key
    made of it, to another document than the hub before."""
    find, path = call.spec.find, call.spec.answer.id
    if call.first_attempt or find is None or path is None or not f".{path}".endswith(f".{find.id}"):
        return done
    place = path[: -len(find.id)].rstrip(".")
    record = pick(done.answer, place) if place else done.answer
    scope = _scope(link, call)
    for name, text in find.where.items():
        there = pick(record, name)
        if there is not None and str(there) != fill(text, scope):
            return Rejected(
                f"its key was taken before by another record there ({done.external_id}), which has another {name}: nothing "
                "was sent",
                {name: there},
            )
    return done


def _put_off(error: NoQuota, spec: Operation, ladder: Ladder) -> Outcome:
    """There is no quota for a request of an attempt. If one before it may have changed something, it was an attempt."""
    if spec.read or not current().wrote:
        return Deferred(error.after_s, str(error))
    if ladder == "none":
        return Uncertain(f"a part of it was sent, then {error}")
    return Retry(error.after_s, str(error), sent=True)


def _send(link: Link, call: Call) -> Confirmed:
    spec = call.spec
    if spec.code:
        return link.connector.code(spec.code)(link, call)  # type: ignore[no-any-return]
    assert spec.request is not None
    request, scope = spec.request, _scope(link, call)
    query = {name: fill(text, scope) for name, text in request.query.items()}
    headers = {name: fill(text, scope) for name, text in request.headers.items()}
    if spec.key and (name := fill_settings(spec.key.name, link.settings)):
        if spec.key.at == "query":
            query[name] = call.wire_key
        elif spec.key.at == "header":
            headers[name] = call.wire_key
    answer = link.client.request(
        request.method,
        fill(request.path, scope, in_path=True),
        query=query,
        headers=headers,
        content=call.frozen if request.json_body else None,
    )
    judge(answer, link.connector.manifest.errors, spec.errors)
    return confirmed(answer, spec.answer.id)


def confirmed(answer: Answer, id_path: str | None) -> Confirmed:
    """What a success says. Raises: Unreadable when it is no JSON or has no id where one is declared."""
    data = answer.data if answer.body.strip() else {}
    external = pick(data, id_path) if id_path else None
    if id_path and external is None:
        raise Unreadable(f"the answer has no {id_path}")
    return Confirmed(None if external is None else str(external), data if isinstance(data, dict) else {"items": data})


def _find(link: Link, call: Call, find: Find) -> Confirmed | None:
    if find.code:
        return link.connector.code(find.code)(link, call)  # type: ignore[no-any-return]
    scope = _scope(link, call)
    answer = link.client.request(
        "GET",
        fill(find.path, scope, in_path=True),
        query={name: fill(text, scope) for name, text in find.query.items()},
    )
    if answer.status == 404:
        return None
    judge(answer, link.connector.manifest.errors, call.spec.errors)
    items = pick(answer.data, find.items) if find.items else answer.data
    for item in items if isinstance(items, list) else [items]:
        same = all(str(pick(item, path)) == fill(text, scope) for path, text in find.where.items())
        holds = all(fill(text, scope) in str(pick(item, path)) for path, text in find.contains.items())
        external = pick(item, find.id)
        if same and holds and external is not None:
            return Confirmed(str(external), dict(item))
    return None


def _scope(link: Link, call: Call) -> Mapping[str, Any]:
    return {"settings": link.settings, "body": call.body, "key": call.key, "wire_key": call.wire_key}
