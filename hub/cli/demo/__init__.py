"""`hub demo`: the main job on a hundred orders, against sandboxes, from an empty folder to books that agree."""

from __future__ import annotations

from typing import Annotated

import typer


def command(
    orders: Annotated[int, typer.Option(min=1, max=1000, help="How many orders the shop gets.")] = 100,
    keep: Annotated[bool, typer.Option(help="Leave everything running at the end, and print where.")] = False,
    plant: Annotated[
        str | None,
        typer.Option(help="Spoil something before the comparison: cent, deleted, doubled or unit.", hidden=True),
    ] = None,
) -> None:
    """Show the main job: a hundred orders from shop to books, stock, warehouse and back, compared to the cent."""
    from hub.cli.demo.show import show

    raise typer.Exit(show(orders=orders, keep=keep, fault=plant))
