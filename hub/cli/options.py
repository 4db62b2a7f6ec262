"""Options that many commands share."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hub.cli.errors import CommandError

if TYPE_CHECKING:
    from hub.workers.settings import Settings

Home = Annotated[
    Path | None,
    typer.Option("--home", envvar="HUB_HOME", help="Folder of the hub.", show_default="this one, or hub-home in it"),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]
Bind = Annotated[str | None, typer.Option(envvar="HUB_BIND", help="host:port; port 0 takes a free one.")]
Limit = Annotated[int, typer.Option("--limit", min=1, max=500, help="How many at most.")]
Before = Annotated[int | None, typer.Option("--before", help="Those before this number: the next page.")]


def settings_of(home: Path | None, **values: Any) -> Settings:
    """The settings of the environment, with what the command line says instead."""
    from pydantic import ValidationError

    from hub.workers.settings import Settings

    given = {name: value for name, value in values.items() if value is not None}
    if home is not None:
        given["home"] = home
    try:
        return Settings(**given)
    except ValidationError as error:
        names = [f"HUB_{str(each['loc'][0]).upper()}" for each in error.errors()]
        texts = [each["msg"].removeprefix("Value error, ") for each in error.errors()]
        raise CommandError(
            "; ".join(f"{name}: {text}" for name, text in zip(names, texts, strict=True)), exit_code=2
        ) from None
