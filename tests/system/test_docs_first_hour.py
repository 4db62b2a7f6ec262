"""docs/first-hour.md, word for word: what a newcomer types, and what he sees."""

from __future__ import annotations

from pathlib import Path

from doc_pages import run_page, shell_for


def test_the_first_hour_goes_as_the_page_says(tmp_path: Path) -> None:
    shell = shell_for(tmp_path)
    del shell["HUB_HOME"]  # the hub is the folder that the reader stands in

    assert run_page("first-hour.md", tmp_path, shell) > 15
