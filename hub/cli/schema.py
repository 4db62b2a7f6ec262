"""`hub schema`: JSON Schemas of the files that people write, for editors."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hub.cli.errors import CommandError
from hub.cli.options import Home, settings_of

if TYPE_CHECKING:
    from hub.connect.registry import Registry

#: where the example's editor settings look for them
FOLDER = Path(".hub/schemas")


def command(
    kind: Annotated[
        str | None, typer.Argument(help="flow, mapping, connector, test, connections or alerts.", show_default=False)
    ] = None,
    all_kinds: Annotated[bool, typer.Option("--all", help="All of them, as files.")] = False,
    out: Annotated[
        Path | None,
        typer.Option(
            help="Write KIND.schema.json into this folder.", show_default=f"standard output; {FOLDER} for --all"
        ),
    ] = None,
    home: Home = None,
) -> None:
    """Print or write the JSON Schema (2020-12) of a kind of file, for completion and checks in an editor."""
    from hub.connect.registry import Registry
    from hub.workers.schemas import KINDS, text

    if (kind is None) != all_kinds or (kind is not None and kind not in KINDS):
        raise CommandError(f"name a kind of file ({', '.join(KINDS)}), or give --all", exit_code=2)
    registry = Registry.discover(settings_of(home).home)
    if all_kinds or out is not None:
        for file in written(out or FOLDER, KINDS if kind is None else [kind], registry):
            print(f"made {file}")
    elif kind is not None:
        print(text(kind, registry), end="")


def written(folder: Path, kinds: Iterable[str], registry: Registry) -> list[Path]:
    """Writes the schemas of kinds of files into a folder, over those that are there."""
    from hub.workers.schemas import text

    folder.mkdir(parents=True, exist_ok=True)
    made = [folder / f"{kind}.schema.json" for kind in kinds]
    for file in made:
        file.write_text(text(file.name.partition(".")[0], registry), "utf-8")
    return made
