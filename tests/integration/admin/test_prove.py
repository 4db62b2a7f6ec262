"""`hub prove`: what is proven of a hub that worked, what is named as open, and checkpoints that outlive the chain's own keys."""

from __future__ import annotations

import base64
import json
import os
import re
import time
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from effect_bulk import fill
from pytest_httpserver import HTTPServer
from sqlalchemy.exc import DBAPIError
from tampering import tamper
from typer.testing import CliRunner

from hub.cli import app
from hub.cli.errors import CommandError
from hub.outbox.effects import link
from hub.outbox.plan import DELIVERY
from hub.outbox.tables import Effect
from hub.workers.admin import prove, questions
from hub.workers.admin.errors import AdminError
from hub.workers.admin.events import trigger

#: for what does not depend on the database
ON_SQLITE = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
EFFECT = Effect.__table__  # type: ignore[attr-defined]
FULL = bool(os.environ.get("HUB_TEST_FULL"))


@pytest.fixture
def worked(desk, httpserver: HTTPServer):
    """Three orders, invoiced and sent."""
    httpserver.expect_request("/invoices", method="POST").respond_with_json({"id": 1}, status=201)
    trigger(desk.hub, "items", [{"sku": "MUG-01", "title": "Mug", "quantity": 50}])
    desk.work()
    for number in (1001, 1002, 1003):
        desk.order(number)
    return desk


def _checks(found: dict[str, Any]) -> set[str]:
    return set(found["counts"])


def test_a_hub_that_worked_is_proven(worked) -> None:
    found = prove.prove(worked.hub, strict=True)

    assert found["ok"], found["faults"]
    assert found["effects"]["count"] == found["effects"]["confirmed"] == 3
    assert found["deliveries"] == {"confirmed": 3}
    assert set(found["events"]) == {"done"}
    assert (found["open"], found["faults"]) == ([], [])


def test_what_is_open_or_parked_is_named_with_its_question(worked, httpserver: HTTPServer) -> None:
    httpserver.clear()
    httpserver.expect_request("/invoices", method="POST").respond_with_json({"error": "no"}, status=422)
    worked.order(1004)
    worked.receive({"id": 1005})

    found = prove.prove(worked.hub)

    assert found["ok"], found["faults"]
    asked = {each["id"]: each["kind"] for each in questions.listed(worked.hub)["items"]}
    states = {each["what"].split()[0]: (each["state"], asked[str(each["question"])]) for each in found["open"]}
    assert states["delivery"] == ("rejected", "delivery.rejected")
    assert states["event"][0] == "parked"

    strict = prove.prove(worked.hub, strict=True)
    assert not strict["ok"]
    assert _checks(strict) == {"event.open", "delivery.open"}


@ON_SQLITE
def test_what_nobody_is_asked_about_is_a_fault(worked, httpserver: HTTPServer, owner_url: str) -> None:
    httpserver.clear()
    httpserver.expect_request("/invoices", method="POST").respond_with_json({"error": "no"}, status=422)
    worked.order(1004)
    worked.receive({"id": 1005})
    tamper(owner_url, "DELETE FROM question")

    found = prove.prove(worked.hub)

    assert _checks(found) == {"event.question", "delivery.question"}
    [delivery_id] = _ids(worked, DELIVERY.c.state == "rejected")
    assert any(f"delivery {delivery_id}" in fault["message"] for fault in found["faults"])


@ON_SQLITE
def test_the_command_says_where_a_fault_is_and_ends_with_1(worked, owner_url: str) -> None:
    tamper(owner_url, "UPDATE effect_log SET external_id = 'x' WHERE seq = 2")
    [_, delivery_id, _] = sorted(_ids(worked, DELIVERY.c.state == "confirmed"))
    command = CliRunner().invoke
    environment = {"HUB_DATABASE_URL": owner_url}

    told = command(app, ["prove", "--home", str(worked.home)], env=environment)
    as_json = command(app, ["prove", "--home", str(worked.home), "--json"], env=environment)

    assert (told.exit_code, as_json.exit_code) == (1, 1)
    lines = told.stdout.splitlines()
    assert any(re.fullmatch(r"effects +WRONG +1 fault", line) for line in lines), told.stdout
    assert any(re.fullmatch(rf"effect\.changed +2 +{delivery_id} +effect 2 was changed", line) for line in lines)
    assert "NOT proven: 2 faults." in lines
    assert [(each["seq"], each["delivery"]) for each in json.loads(as_json.stdout)["faults"]] == [
        (2, str(delivery_id))
    ] * 2


def _ids(desk, condition: Any) -> list[int]:
    with desk.hub.database.read() as connection:
        return list(connection.execute(sa.select(DELIVERY.c.id).where(condition)).scalars())


# -- checkpoints --------------------------------------------------------------------------------------------------------


def _kept(desk) -> dict[str, str]:
    return {"name": "kept.json", "text": prove.checkpoint(desk.hub)["file"]}


@ON_SQLITE
def test_anybody_can_check_a_checkpoint_without_a_secret(worked) -> None:
    file = json.loads(_kept(worked)["text"])

    key = Ed25519PublicKey.from_public_bytes(base64.b64decode(file["public_key"]))
    said = json.dumps(file["statement"], sort_keys=True, separators=(",", ":")).encode()
    key.verify(base64.b64decode(file["signature"]), said)

    assert file["statement"]["effects"] == 3
    assert file["statement"]["entries"] > 3


def test_a_log_that_was_only_added_to_begins_with_its_checkpoints(worked, httpserver: HTTPServer) -> None:
    kept = [_kept(worked)]
    worked.order(1004)
    kept.append(_kept(worked))
    worked.order(1005)

    assert prove.prove(worked.hub, checkpoints=kept)["ok"]


@ON_SQLITE
def test_a_changed_file_and_that_of_another_hub_are_refused(worked, owner_url: str) -> None:
    kept = _kept(worked)
    changed = {**kept, "text": kept["text"].replace('"effects": 3', '"effects": 2')}
    with pytest.raises(AdminError, match=r"kept\.json: its signature does not fit"):
        prove.prove(worked.hub, checkpoints=[changed])
    with pytest.raises(AdminError, match="no checkpoint"):
        prove.prove(worked.hub, checkpoints=[{"name": "x", "text": "{}"}])

    tamper(owner_url, "UPDATE setting SET value = 'another' WHERE key = 'hub.id'")
    assert _checks(prove.prove(worked.hub, checkpoints=[kept])) == {"checkpoint.hub"}


@ON_SQLITE
def test_a_checkpoint_takes_the_place_of_no_other(worked, owner_url: str, tmp_path: Path) -> None:
    for out, said in ((tmp_path / "no" / "such.json", "No such file"), (tmp_path, "File exists")):
        found = CliRunner().invoke(
            app,
            ["prove", "checkpoint", "--out", str(out), "--home", str(worked.home)],
            env={"HUB_DATABASE_URL": owner_url},
        )
        assert isinstance(found.exception, CommandError)
        assert said in str(found.exception)


@ON_SQLITE
def test_nothing_is_signed_that_is_not_proven(worked, owner_url: str) -> None:
    tamper(owner_url, "UPDATE effect_log SET external_id = 'x' WHERE seq = 2")
    with pytest.raises(AdminError, match="nothing is signed"):
        prove.checkpoint(worked.hub)


def test_a_log_that_was_rewritten_with_its_own_key_is_found_by_checkpoints(worked, owner_url: str) -> None:
    """Whoever has the key makes a chain, a head and deliveries that fit each other. What was signed before does not fit."""
    first = _kept(worked)
    worked.order(1004)
    second = _kept(worked)
    _rewrite(worked, owner_url, 4)

    assert prove.prove(worked.hub)["ok"]
    found = prove.prove(worked.hub, checkpoints=[first, second])

    [fault] = found["faults"]
    assert (fault["check"], fault["seq"]) == ("checkpoint.effect", 4)
    assert "what was changed is effect 4 or a later one up to 4" in fault["message"]


def test_a_log_that_was_cut_is_found_by_a_checkpoint(worked, owner_url: str) -> None:
    kept = _kept(worked)
    with worked.hub.database.read() as connection:
        gone, head = (connection.execute(sa.select(EFFECT).where(EFFECT.c.seq == seq)).one() for seq in (3, 2))
    tamper(
        owner_url,
        "DELETE FROM effect_log WHERE seq = 3",
        f"DELETE FROM delivery WHERE id = {gone.delivery_id}",
        f"UPDATE effect_head SET seq = 2, hash = {_hex(worked, bytes(head.hash))}",
    )

    assert prove.prove(worked.hub)["ok"]
    [fault] = prove.prove(worked.hub, checkpoints=[kept])["faults"]
    assert "effect 3 is not there any more" in fault["message"]


def _rewrite(desk, owner_url: str, seq: int) -> None:
    hub = desk.hub
    with hub.database.read() as connection:
        key = hub.vault.data_key(connection, 1, "chain").key
        row = dict(connection.execute(sa.select(EFFECT).where(EFFECT.c.seq == seq)).mappings().one())
    row["external_id"] = "rewritten"
    made = _hex(desk, link(row, key))
    tamper(
        owner_url,
        f"UPDATE effect_log SET external_id = 'rewritten', hash = {made} WHERE seq = {seq}",
        f"UPDATE effect_head SET hash = {made}",
        f"UPDATE delivery SET external_id = 'rewritten' WHERE id = {row['delivery_id']}",
    )


def _hex(desk, value: bytes) -> str:
    return f"X'{value.hex()}'" if desk.hub.database.sqlite else f"'\\x{value.hex()}'::bytea"


def test_a_chain_key_that_is_rotated_is_retired_and_never_deleted(worked) -> None:
    hub, kept = worked.hub, _kept(worked)
    hub.database.ids.ensure(2)
    with hub.database.write() as connection:
        hub.vault.retire(connection, 1, "chain")
        hub.vault.retire(connection, 1, "signing")
    worked.order(1004)

    with hub.database.read() as connection:
        assert len(set(connection.execute(sa.select(EFFECT.c.data_key_id)).scalars())) == 2
    assert prove.prove(hub, checkpoints=[kept, _kept(worked)])["ok"]
    for statement in (
        "DELETE FROM data_key WHERE purpose = 'chain'",
        "UPDATE data_key SET purpose = 'vault' WHERE purpose = 'signing'",
        "DELETE FROM effect_head",
        "UPDATE effect_head SET seq = seq - 1",
    ):
        with pytest.raises(DBAPIError), hub.database.write() as connection:
            connection.execute(sa.text(statement))


# -- length -------------------------------------------------------------------------------------------------------------


def test_a_long_log_is_proven_in_seconds(desk) -> None:
    """All of it on SQLite, a fifth on PostgreSQL, whose rows take longer to write than to prove; with HUB_TEST_FULL=1 all."""
    count = 100_000 if FULL or desk.hub.database.sqlite else 20_000
    with desk.hub.database.write() as connection:
        key = desk.hub.vault.data_key(connection, 1, "chain")
    fill(desk.hub.database, count, (key.id, key.key))

    began = time.process_time()
    found = prove.prove(desk.hub)
    seconds = time.process_time() - began

    assert found["ok"], found["faults"]
    assert found["effects"]["count"] == found["effects"]["confirmed"] == count
    # a million in a minute, with room for a slower machine
    assert seconds < count * 60e-6, f"{seconds:.1f} s of CPU for {count} effects"
