"""Whatever somebody who owns the tables does to the log, its head or its deliveries is found, at its effect or delivery.

Forty tamperings drawn from a seed; with HUB_TEST_FULL=1 two hundred."""

from __future__ import annotations

import os
import random
from collections.abc import Callable
from typing import Any

import pytest
import sqlalchemy as sa
from effect_bulk import fill
from lab_hub import Lab
from sqlalchemy import Connection
from tampering import unsealed

from hub.outbox.effects import link
from hub.outbox.plan import DELIVERY
from hub.outbox.proof import prove_effects
from hub.outbox.tables import Effect, EffectHead

EFFECT = Effect.__table__  # type: ignore[attr-defined]
HEAD = EffectHead.__table__  # type: ignore[attr-defined]
COUNT = 200 if os.environ.get("HUB_TEST_FULL") else 40
SEED = 20261124
LENGTH = 60

#: (connection, chance, chain key) -> what must be named: effects by number, deliveries by ("delivery", id)
Tampering = Callable[[Connection, random.Random, bytes], set[Any]]


def _row(connection: Connection, seq: int) -> dict[str, Any]:
    return dict(connection.execute(sa.select(EFFECT).where(EFFECT.c.seq == seq)).mappings().one())


def _set(connection: Connection, number: int, **values: Any) -> None:
    assert connection.execute(EFFECT.update().where(EFFECT.c.seq == number).values(**values)).rowcount == 1


def _deleted(connection: Connection, chance: random.Random, _key: bytes) -> set[Any]:
    seq = chance.randint(1, LENGTH)
    connection.execute(EFFECT.delete().where(EFFECT.c.seq == seq))
    return {seq}


def _duplicated(connection: Connection, chance: random.Random, _key: bytes) -> set[Any]:
    connection.execute(EFFECT.insert(), {**_row(connection, chance.randint(1, LENGTH)), "seq": LENGTH + 1})
    return {LENGTH + 1}


def _confirmed_again(connection: Connection, chance: random.Random, key: bytes) -> set[Any]:
    """With the chain key: a second effect of the same business key, rightly chained, and the head moved on."""
    row = _row(connection, chance.randint(1, LENGTH))
    row |= {"seq": LENGTH + 1, "prev_hash": _row(connection, LENGTH)["hash"]}
    row["hash"] = link(row, key)
    connection.execute(EFFECT.insert(), row)
    connection.execute(HEAD.update().values(seq=LENGTH + 1, hash=row["hash"]))
    return {LENGTH + 1}


def _edited(column: str) -> Tampering:
    def tamper(connection: Connection, chance: random.Random, _key: bytes) -> set[Any]:
        seq = chance.randint(1, LENGTH)
        value = _row(connection, seq)[column]
        if isinstance(value, bytes):
            place = chance.randrange(len(value))
            other: Any = value[:place] + bytes([value[place] ^ 1 << chance.randrange(8)]) + value[place + 1 :]
        elif isinstance(value, int):
            other = value + chance.choice((1, 1000))
        else:
            other = "x" if value is None else chance.choice((value + "x", "x" + value[1:]))
        if column == "seq":
            other = LENGTH + chance.randint(1, 9)
        _set(connection, seq, **{column: other})
        return {seq}

    return tamper


def _reordered(connection: Connection, chance: random.Random, _key: bytes) -> set[Any]:
    one, other = chance.sample(range(1, LENGTH + 1), 2)
    for before, after in ((one, 9_999), (other, one), (9_999, other)):
        _set(connection, before, seq=after)
    return {one, other}


def _tail_cut(connection: Connection, chance: random.Random, _key: bytes) -> set[Any]:
    first = LENGTH + 1 - chance.randint(1, 20)
    connection.execute(EFFECT.delete().where(EFFECT.c.seq >= first))
    return {first}


def _tail_cut_with_its_head(connection: Connection, chance: random.Random, _key: bytes) -> set[Any]:
    """The head is moved back too: what was confirmed has no effect any more."""
    first = LENGTH + 1 - chance.randint(1, 20)
    gone = connection.execute(sa.select(EFFECT.c.delivery_id).where(EFFECT.c.seq >= first)).scalars().all()
    connection.execute(EFFECT.delete().where(EFFECT.c.seq >= first))
    connection.execute(HEAD.update().values(seq=first - 1, hash=_row(connection, first - 1)["hash"]))
    return {("delivery", delivery_id) for delivery_id in gone}


def _stolen_hash(connection: Connection, chance: random.Random, _key: bytes) -> set[Any]:
    """A row goes, and another takes its number and its hash."""
    seq, other = chance.sample(range(1, LENGTH + 1), 2)
    gone = _row(connection, seq)
    connection.execute(EFFECT.delete().where(EFFECT.c.seq == seq))
    hashes = {name: gone[name] for name in ("seq", "prev_hash", "hash")}
    connection.execute(EFFECT.insert(), {**_row(connection, other), **hashes})
    return {seq}


def _signed_again(connection: Connection, chance: random.Random, key: bytes) -> set[Any]:
    """With the chain key: the row is right in itself, and the next one does not follow it."""
    seq = chance.randint(1, LENGTH - 1)
    row = {**_row(connection, seq), "external_id": "forged"}
    _set(connection, seq, external_id="forged", hash=link(row, key))
    return {seq + 1}


def _head(**values: Any) -> Tampering:
    def tamper(connection: Connection, chance: random.Random, _key: bytes) -> set[Any]:
        given = {name: value(chance) for name, value in values.items()}
        connection.execute(HEAD.update().values(**given) if given else HEAD.delete())
        seq = given.get("seq", LENGTH)
        return {min(seq, LENGTH) + (seq != LENGTH)}

    return tamper


def _delivery(**values: Any) -> Tampering:
    """A delivery is changed, or taken away."""

    def tamper(connection: Connection, chance: random.Random, _key: bytes) -> set[Any]:
        seq = chance.randint(1, LENGTH)
        delivery_id = _row(connection, seq)["delivery_id"]
        given = {name: value(chance) for name, value in values.items()}
        where = DELIVERY.c.id == delivery_id
        done = connection.execute(
            DELIVERY.update().where(where).values(**given) if given else DELIVERY.delete().where(where)
        )
        assert done.rowcount == 1
        return {seq, ("delivery", delivery_id)}

    return tamper


def _never_sent(connection: Connection, chance: random.Random, _key: bytes) -> set[Any]:
    """A delivery that nobody confirmed is said to be."""
    some = _row(connection, chance.randint(1, LENGTH))["delivery_id"]
    row = dict(connection.execute(sa.select(DELIVERY).where(DELIVERY.c.id == some)).mappings().one())
    connection.execute(DELIVERY.insert(), {**row, "id": 123, "key": "never sent"})
    return {("delivery", 123)}


def _text(chance: random.Random) -> str:
    return f"forged-{chance.randrange(1000)}"


TAMPERINGS: dict[str, Tampering] = {
    "deleted": _deleted,
    "duplicated": _duplicated,
    "confirmed again": _confirmed_again,
    **{f"edited {column.name}": _edited(column.name) for column in EFFECT.c},
    "reordered": _reordered,
    "tail cut": _tail_cut,
    "tail cut with its head": _tail_cut_with_its_head,
    "stolen hash": _stolen_hash,
    "signed again": _signed_again,
    "head hash": _head(hash=lambda chance: chance.randbytes(32)),
    "head further": _head(seq=lambda chance: LENGTH + chance.randint(1, 9)),
    "head back": _head(seq=lambda chance: LENGTH - chance.randint(1, 9)),
    "head deleted": _head(),
    "delivery state": _delivery(
        state=lambda chance: chance.choice(
            ("planned", "waiting", "retry", "rejected", "uncertain", "superseded", "observed")
        )
    ),
    "delivery key": _delivery(key=_text),
    "delivery operation": _delivery(operation=_text),
    "delivery external id": _delivery(external_id=_text),
    "delivery connection": _delivery(connection_id=lambda chance: chance.randint(100, 999)),
    "delivery version": _delivery(version=lambda chance: chance.randint(100, 999)),
    "delivery merchant": _delivery(merchant_id=lambda chance: chance.randint(2, 9)),
    "delivery body": _delivery(frozen_body=lambda chance: chance.randbytes(20)),
    "delivery deleted": _delivery(),
    "never sent": _never_sent,
}


@pytest.fixture
def sealed(lab: Lab) -> tuple[Lab, bytes]:
    """A log of sixty effects, and its chain key."""
    with lab.database.write() as connection:
        key = lab.vault.data_key(connection, 1, "chain")
    fill(lab.database, LENGTH, (key.id, key.key), connection_id=lab.lab)
    return lab, key.key


def test_every_kind_is_tried() -> None:
    assert len(TAMPERINGS) <= COUNT


def test_random_tamperings_are_located(sealed: tuple[Lab, bytes], owner_url: str) -> None:
    lab, key = sealed
    kinds = list(TAMPERINGS)
    keys = lambda key_id: key if key_id == key_id_ else b""  # noqa: E731
    with lab.database.snapshot() as connection:
        key_id_ = lab.vault.all_keys(connection, 1, "chain")[0].id
        assert prove_effects(connection, 1, keys).faults == []
    for number in range(COUNT):
        kind, chance = kinds[number % len(kinds)], random.Random(SEED + number)
        with unsealed(lab.database, owner_url) as connection:
            expected = TAMPERINGS[kind](connection, chance, key)
            faults = prove_effects(connection, 1, keys).faults
        named = {fault.seq for fault in faults} | {("delivery", fault.delivery_id) for fault in faults}
        assert expected <= named, f"{kind}, seed {SEED + number}: {expected - named} is not named in {faults}"
    with lab.database.snapshot() as connection:
        assert prove_effects(connection, 1, keys).faults == []
