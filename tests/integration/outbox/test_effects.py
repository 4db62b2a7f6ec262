"""The effect log: one row per confirmed effect, in a chain that shows what was done to it; the database itself refuses changes."""

from __future__ import annotations

import itertools
import threading
from typing import Any

import pytest
import sqlalchemy as sa
from lab_hub import Lab
from sqlalchemy.exc import DBAPIError
from tampering import unsealed

from hub.outbox.plan import DELIVERY
from hub.outbox.proof import EffectFault, prove_effects
from hub.outbox.tables import Effect

EFFECT = Effect.__table__  # type: ignore[attr-defined]


@pytest.fixture
def log(lab: Lab) -> Lab:
    """Five confirmed effects."""
    for number in range(5):
        lab.plan("invoice.create", f"F{number}", {"n": number}, ordering="one")
    lab.send()
    return lab


def _faults(lab: Lab) -> list[EffectFault]:
    with lab.database.snapshot() as connection:
        return prove_effects(connection, 1, lambda key: lab.vault.key(connection, 1, key).key).faults


def test_a_log_that_nobody_touched_is_sound(log: Lab) -> None:
    assert _faults(log) == []
    rows = log.rows(EFFECT)
    assert [row.key for row in rows] == ["F0", "F1", "F2", "F3", "F4"]
    assert all(row.prev_hash == before.hash for before, row in itertools.pairwise(rows))


TAMPERING = [
    (["DELETE FROM effect_log WHERE seq = 3"], 3, "missing"),
    (["UPDATE effect_log SET external_id = 'i99' WHERE seq = 2"], 2, "changed"),
    (["UPDATE effect_log SET confirmed_at = confirmed_at + 1 WHERE seq = 4"], 4, "changed"),
    (
        [
            "INSERT INTO effect_log SELECT merchant_id, 6, delivery_id, connection_id, operation, key, version,"
            " external_id, body_hash, confirmed_at, encoding_version, data_key_id, prev_hash, hash"
            " FROM effect_log WHERE seq = 5"
        ],
        6,
        "changed",
    ),
    (
        [
            "UPDATE effect_log SET seq = 99 WHERE seq = 2",
            "UPDATE effect_log SET seq = 2 WHERE seq = 3",
            "UPDATE effect_log SET seq = 3 WHERE seq = 99",
        ],
        2,
        "changed",
    ),
    (["DELETE FROM effect_log WHERE seq >= 4"], 4, "tail was cut"),
    (["DELETE FROM effect_head"], 5, "head"),
]


def test_what_was_done_to_the_log_is_found_with_its_place(log: Lab, owner_url: str) -> None:
    """By somebody who owns the tables and took the seals off."""
    chain_key = log.hub.active(1).chain_key[1]
    for statements, seq, says in TAMPERING:
        with unsealed(log.database, owner_url) as connection:
            for statement in statements:
                connection.execute(sa.text(statement))
            faults = prove_effects(connection, 1, lambda _: chain_key).faults
        assert any(fault.seq == seq and says in fault.message for fault in faults), (statements, faults)


def test_a_confirmed_delivery_without_its_effect_is_found(log: Lab) -> None:
    [first, *_] = log.deliveries()
    log.plan("message.send", "unsent", {})
    [unsent] = log.deliveries(key="unsent")
    log.set(DELIVERY, unsent.id, state="confirmed")
    log.set(DELIVERY, first.id, state="planned")

    assert [(fault.check, fault.seq, fault.delivery_id) for fault in _faults(log)] == [
        ("delivery.state", 1, first.id),
        ("delivery.effect", None, unsent.id),
    ]


def test_the_database_refuses_to_change_the_log(log: Lab) -> None:
    statements = ["UPDATE effect_log SET external_id = 'x'", "DELETE FROM effect_log"]
    statements += [
        "UPDATE effect_head SET seq = seq - 1",
        "UPDATE effect_head SET hash = hash",
        "DELETE FROM effect_head",
    ]
    if log.database.sqlite:
        statements += ["INSERT OR REPLACE INTO effect_log SELECT * FROM effect_log WHERE seq = 1"]
    else:
        statements += [
            "INSERT INTO effect_log SELECT * FROM effect_log WHERE seq = 1"
            " ON CONFLICT (merchant_id, seq) DO UPDATE SET key = 'x'",
            "TRUNCATE effect_log",
            "ALTER TABLE effect_log DISABLE TRIGGER ALL",
        ]
    for statement in statements:
        with pytest.raises(DBAPIError), log.database.write() as connection:
            connection.execute(sa.text(statement))
    assert _faults(log) == []


def test_a_log_that_grows_while_it_is_proven_is_sound(log: Lab) -> None:
    """The proof is of one instant: what is confirmed after it began is not in it."""

    def key(key_id: int) -> bytes:
        log.plan("invoice.create", "meanwhile", {})
        log.send()
        with log.database.read() as connection:
            return log.vault.key(connection, 1, key_id).key

    with log.database.snapshot() as connection:
        proof = prove_effects(connection, 1, key)

    assert (proof.faults, proof.effects, proof.confirmed) == ([], 5, 5)
    assert len(log.rows(EFFECT)) == 6


def test_two_first_effects_at_once_make_one_chain(lab: Lab) -> None:
    """Two processes confirm the first effects of a merchant at the same moment."""
    other = Lab(lab.database, lab.home, lab.system, lab.url)
    other.lab = lab.lab
    for number in range(40):
        lab.plan("message.send", f"M{number}", {"n": number})
    errors: list[Any] = []

    def send(which: Lab) -> None:
        for _ in range(10):
            try:
                which.send()
                return
            except DBAPIError as error:
                errors.append(error)

    threads = [threading.Thread(target=send, args=(which,)) for which in (lab, other)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    lab.send()
    assert errors == []
    assert set(lab.states().values()) == {"confirmed"}
    assert len(lab.system.messages) == 40
    assert _faults(lab) == []
    other.hub.intake.close()
