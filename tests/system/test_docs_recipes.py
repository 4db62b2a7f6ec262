"""The recipes and their pages: every flow has a page that shows it as it is, and what a page types works."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
from doc_pages import commands
from typer.testing import CliRunner

from hub.cli import app
from hub.flows.active import flow_files
from hub.workers.admin.lint import lint
from hub.workers.flowtest import run_file
from hub.workers.recipes import Recipe, recipe, recipes
from hub.workers.scaffold import ScaffoldRefused, write
from hub.workers.settings import Settings

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "docs" / "recipes"
PAGES = sorted(file for file in FOLDER.glob("*.md") if file.name != "README.md")
TEXTS = {file.stem: file.read_text("utf-8") for file in PAGES}
_BLOCK = re.compile(r"^```(\w+)(?: file=(\S+))?\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def shown(language: str, text: str) -> list[str]:
    return [block for kind, _, block in _BLOCK.findall(text) if kind == language]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_what_a_page_types_does_what_it_shows(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("HUB_HOME", raising=False)
    for kind, file, text in _BLOCK.findall(TEXTS[page.stem]):
        if file:
            (tmp_path / file).write_text(text, "utf-8")
        elif kind == "console":
            for command, expected in commands(text):
                found = CliRunner().invoke(app, shlex.split(command)[1:])
                assert found.exit_code == 0, f"{command}: {found.output}"
                missing = [line for line in expected if line.strip() not in found.output]
                assert missing == [], f"{command}: {found.output}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_a_page_shows_flows_and_mappings_as_they_are_and_its_links_lead_somewhere(page: Path) -> None:
    known = {
        file.read_text("utf-8")
        for pattern in (
            "flows/*.yaml",
            "mappings/*/*.yaml",
            "flows/recipes/*/flows/*.yaml",
            "flows/recipes/*/mappings/*/*.yaml",
        )
        for file in ROOT.glob(pattern)
    }

    assert shown("yaml", TEXTS[page.stem]), "a page shows its flow"
    assert [block for block in shown("yaml", TEXTS[page.stem]) if block not in known] == []
    for link in re.findall(r"\]\(([^)#]+)\)", TEXTS[page.stem]):
        assert (FOLDER / link).resolve().exists(), link
    for part in ("**To set**", "Take it"):
        assert part in TEXTS[page.stem]


def test_every_flow_has_its_page_and_every_page_is_listed() -> None:
    text = "\n".join(TEXTS.values())
    names = {flow.name for flow in flow_files()} | {each.name for each in recipes()}
    listed = set(re.findall(r"\]\(([a-z-]+)\.md\)", (FOLDER / "README.md").read_text("utf-8")))

    assert {name for name in names if not re.search(rf"\b{name}\b", text)} == set()
    assert listed == set(TEXTS)


@pytest.mark.parametrize("each", recipes(), ids=lambda each: each.name)
def test_a_recipe_that_is_taken_lints_for_every_connector(each: Recipe, tmp_path: Path) -> None:
    made = write(tmp_path, each.files())

    assert tmp_path / "flows" / f"{each.name}.yaml" in made
    assert lint(Settings(home=tmp_path))["problems"] == []


def test_a_recipe_runs_only_once_it_is_taken() -> None:
    assert {each.name for each in recipes()} & {flow.name for flow in flow_files()} == set()
    assert len(recipes()) >= 5


def test_a_recipe_that_is_not_there_says_which_there_are() -> None:
    with pytest.raises(ScaffoldRefused) as refused:
        recipe("low-stock")

    assert refused.value.problems == [each.name for each in recipes()]


LOOP = """flows: [shop-orders, orders-to-files, shipments-from-files, shipments-to-shop]
roles: {shop: shopify, files: files}
clock: 2026-11-24T18:00:00+01:00
stock: {MUG-01: {quantity: 12, price: 14.90, vat: 0.2}}
tests:
  - name: out as a file, back as a file
    given:
      - {sandbox: shop, post: orders, body: {lines: [{sku: MUG-01, quantity: 2}], number: 1401}}
      - {sandbox: shop, post: orders, body: {lines: [{sku: MUG-01, quantity: 3}], number: 1402}}
      - {poll: shop}
      - {sandbox: files, post: reply, body: {to: out/orders_*.csv, name: in/shipments_1.csv, copy: {order_ref: shipment_id}, add: {carrier: Colissimo}}}
      - {poll: files}
    expect:
      orders: [{name: "#1401", state: closed}, {name: "#1402", state: closed}]
      moves: [{sku: MUG-01, quantity: 2, destination: customer}, {sku: MUG-01, quantity: 3, destination: customer}]
      deliveries:
        - {operation: file.write, state: confirmed}
        - {operation: file.write, state: confirmed}
        - {operation: fulfillment.create, state: confirmed, body: {carrier: Colissimo, lines: [{quantity: 2}]}}
        - {operation: fulfillment.create, state: confirmed, body: {carrier: Colissimo, lines: [{quantity: 3}]}}
      questions: []
"""


def test_orders_go_out_as_files_and_what_was_sent_comes_back_as_one(tmp_path: Path) -> None:
    for name in ("orders-to-files", "shipments-from-files"):
        write(tmp_path, recipe(name).files())
    file = tmp_path / "flows" / "warehouse.test.yaml"
    file.write_text(LOOP, "utf-8")

    result = run_file(file)

    assert result.problems == []
    assert [case.failures for case in result.cases] == [[]]
