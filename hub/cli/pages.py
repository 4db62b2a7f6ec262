"""One page of a list that the hub keeps, shown to people or to programs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hub.cli.output import print_json, print_next, print_table
from hub.cli.reach import reached


def show_page(what: str, columns: Sequence[str], *, home: Path | None, json: bool, **asked: Any) -> None:
    """Asks the hub for `what` (an operation with `items` and `next`) and prints its `columns`."""
    with reached(home) as hub:
        result = hub.call(what, **asked)
    if json:
        print_json(result)
        return
    print_table(result["items"], columns)
    print_next(result)
