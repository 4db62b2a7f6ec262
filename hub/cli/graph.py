"""`hub graph`: a picture of what starts what."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from hub.cli.errors import CommandError
from hub.cli.options import Home, settings_of


class Format(StrEnum):
    SVG = "svg"
    MERMAID = "mermaid"


def command(
    form: Annotated[Format, typer.Option("--format", help="A picture, or text that many pages draw.")] = Format.SVG,
    out: Annotated[Path | None, typer.Option(help="Write it to this file.", show_default="standard output")] = None,
    home: Home = None,
) -> None:
    """Draw flows: what starts them, what they announce, and what they send to which systems."""
    from hub.flows import drawing
    from hub.workers.admin.graph import drawn

    graph = drawn(settings_of(home))
    text = drawing.svg(graph) if form is Format.SVG else drawing.mermaid(graph)
    if out is None:
        print(text, end="")
        return
    try:
        out.write_text(text, "utf-8")
    except OSError as error:
        raise CommandError(f"{out} cannot be written: {error.strerror}") from None
    print(f"made {out}")
