"""The examples of docs/operations.md, run in the order in which a reader meets them."""

from __future__ import annotations

from pathlib import Path

from doc_pages import run_page, shell_for


def test_the_examples_of_the_operators_page_work(tmp_path: Path) -> None:
    assert run_page("operations.md", tmp_path, shell_for(tmp_path)) > 10
