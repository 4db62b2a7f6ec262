"""The examples of docs/versions.md, run in the order in which a reader meets them."""

from __future__ import annotations

import subprocess
from pathlib import Path

from doc_pages import run_page, shell_for


def test_the_examples_of_the_page_on_versions_work(tmp_path: Path) -> None:
    shell = shell_for(tmp_path)
    subprocess.run(["hub", "init"], env=shell, check=True, capture_output=True)
    assert run_page("versions.md", tmp_path, shell) == 8
