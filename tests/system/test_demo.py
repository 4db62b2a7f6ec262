"""The demo's comparison finds what is wrong and names it; the command says so by its exit code."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from hub.cli.demo.compare import compare
from hub.cli.demo.plant import FAULTS, plant
from hub.cli.demo.play import Play
from hub.cli.demo.stage import Stage

ROOT = Path(__file__).resolve().parents[2]
#: what is said of the invoice or the item by the comparison of the demo, and by `hub prove --remote`
_SAID = {
    "cent": r"{name} is [\d.]+ EUR at the hub, [\d.]+ in QuickBooks",
    "deleted": r"{name} is not in QuickBooks",
    "doubled": r"{name} is in QuickBooks 2 times",
    "unit": r"stock of {name}: the shop shows \d+, the hub has \d+ for sale",
}
_PROVEN = {
    "cent": r"books: invoice\.create {name} \(\d+\): total is [\d.]+ there and [\d.]+ here",
    "deleted": r"books: invoice\.create {name}: there is no \d+",
    "doubled": r"books: invoice\.create {name} is there 2 times: \d+, \d+",
    "unit": r"shop: stock\.set item:\d+ \(.*\): available is \d+ there and \d+ here",
}


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """A stage after a demo of ten orders."""
    with Stage(tmp_path_factory.mktemp("demo")) as stage:
        Play(stage, 10, tell=lambda _text: None).run()
        yield stage


def test_shop_hub_and_books_agree(played: Stage) -> None:
    made = compare(played)
    assert made.differences == []
    assert ("orders", "10", "10", "") in made.rows


def test_the_hub_proves_what_it_did_and_the_systems_agree(played: Stage) -> None:
    proven = played.cli("prove", "--remote")

    remote = proven["remote"]
    assert proven["ok"], (proven["faults"], remote["faults"])
    compared = {(each["connection"], each["operation"]): each for each in remote["compared"]}
    assert compared["books", "invoice.create"]["here"] == compared["books", "invoice.create"]["there"] == 10
    assert compared["warehouse", "order.create"]["there"] == compared["warehouse", "order.create"]["here"] > 5
    assert compared["shop", "fulfillment.create"]["there"] == compared["shop", "fulfillment.create"]["here"] > 5
    assert compared["shop", "stock.set"]["here"] > 20
    assert [(each["operation"], each["why"]) for each in remote["not_compared"]] == [
        ("message.send", "what was sent cannot be asked for")
    ]


@pytest.mark.parametrize("fault", FAULTS)
def test_a_planted_fault_is_named(played: Stage, fault: str) -> None:
    before = compare(played).differences

    name = plant(played, fault)

    found = [each for each in compare(played).differences if each not in before]
    said = _SAID[fault].format(name=re.escape(name))
    assert any(re.fullmatch(said, each) for each in found)
    proven = [each["message"] for each in played.cli("prove", "--remote")["remote"]["faults"]]
    said = _PROVEN[fault].format(name=name if fault != "unit" else "")
    assert any(re.fullmatch(said, each) for each in proven), proven
    if fault != "unit":
        # with the order that it is of
        assert any(re.match(r"order #10\d\d: the hub invoiced .*, QuickBooks has ", each) for each in found)


def test_the_command_fails_with_the_difference_and_leaves_nothing_behind(tmp_path: Path) -> None:
    environment = {**os.environ, "TMPDIR": str(tmp_path), "HUB_HOME": str(tmp_path / "another hub")}
    done = subprocess.run(
        [sys.executable, "-m", "hub", "demo", "--orders", "10", "--plant", "cent"],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    assert done.returncode == 1, done.stdout + done.stderr
    assert "DIFFERENT: F2" in done.stdout
    assert "Shop, hub and QuickBooks do NOT agree" in done.stdout
    assert list(tmp_path.iterdir()) == []


def test_a_fault_that_nobody_knows_is_refused() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "hub", "demo", "--plant", "fire"],
        cwd=ROOT,
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    assert done.returncode == 2
    assert "cent, deleted, doubled, unit" in done.stderr
