"""What an import linter cannot see: connectors live outside the package."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
MODULES = sorted((ROOT / "connectors").rglob("*.py"))


def imported(path: Path) -> Iterator[str]:
    """Absolute names that a module imports, and relative ones with a leading dot."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield "." * node.level + (node.module or "")
            if node.level and not node.module:
                yield from ("." + alias.name for alias in node.names)


@pytest.mark.parametrize(
    "path",
    [path for path in MODULES if not path.name.startswith("sandbox")],
    ids=lambda path: str(path.relative_to(ROOT)),
)
def test_a_connector_imports_only_the_kit_and_the_records(path: Path) -> None:
    ours = {name for name in imported(path) if name == "hub" or name.startswith("hub.")}

    assert {name for name in ours if not name.startswith(("hub.connect", "hub.records"))} == set()


@pytest.mark.parametrize(
    "path", [path for path in MODULES if path.name.startswith("sandbox")], ids=lambda path: str(path.relative_to(ROOT))
)
def test_a_sandbox_knows_neither_the_hub_nor_its_connector(path: Path) -> None:
    names = set(imported(path))

    assert {name for name in names if name == "hub" or name.startswith("hub.")} == set()
    relative = {name.lstrip(".") for name in names if name.startswith(".") and name != "."}
    assert {name for name in relative if not name.startswith("sandbox")} == set()


def test_there_are_connectors_to_look_at() -> None:
    assert len(MODULES) > 20
