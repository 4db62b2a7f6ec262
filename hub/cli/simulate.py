"""`hub simulate`: what came in, or would come in, through flows: nothing is booked, sent or connected to."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hub.cli.errors import CommandError
from hub.cli.options import settings_of

if TYPE_CHECKING:
    from hub.workers.effect_diff import EffectDiff
    from hub.workers.simulate import Simulation

#: how `hub simulate` ends when two versions differ
_DIFFERENT = 3


def command(
    files: Annotated[
        list[Path] | None,
        typer.Argument(
            help="Shopify webhook bodies, GraphQL orders, whole or in parts, or the CSV export of orders",
            show_default=False,
        ),
    ] = None,
    flows: Annotated[
        Path | None,
        typer.Option(help="folder with flows/, mappings/, connectors/; default: the hub's, else the shipped ones"),
    ] = None,
    record: Annotated[
        str | None, typer.Option(help="what the files are, shopify.order, or a manual trigger; default: recognised")
    ] = None,
    catalogue: Annotated[Path | None, typer.Option(help="XLSX or CSV with sku, title, quantity")] = None,
    columns: Annotated[
        Path | None, typer.Option(help="what the columns of CSV files mean; default: the Shopify admin's export")
    ] = None,
    home: Annotated[Path | None, typer.Option(help="a hub whose items, stock and flows are taken")] = None,
    clock: Annotated[
        str | None, typer.Option(help="the instant it happens, with offset; default: the newest of the files")
    ] = None,
    from_inbox: Annotated[
        bool, typer.Option("--from-inbox", help="the events that the hub of --home recorded")
    ] = False,
    since: Annotated[str | None, typer.Option(help="with --from-inbox: from this day or instant on")] = None,
    until: Annotated[str | None, typer.Option(help="with --from-inbox: before this day or instant")] = None,
    skip_erased: Annotated[bool, typer.Option(help="with --from-inbox: go on without events that were erased")] = False,
    diff: Annotated[bool, typer.Option("--diff", help="what --flows would do differently from what runs now")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="one JSON document")] = False,
) -> None:
    """Runs files or recorded events through flows in a scratch hub without a network, and shows what would be booked and
    sent; with --from-inbox and --flows, or --diff, what two versions of flows do differently. Ends with 3 if they differ."""
    import structlog

    from hub.cli import logs
    from hub.workers.catalogue import CatalogueError
    from hub.workers.order_columns import ColumnsError
    from hub.workers.payloads import UnknownRecord
    from hub.workers.recorded import HomeError
    from hub.workers.rerun import FlowsRefused
    from hub.workers.simulate import NoFlows

    if not structlog.is_configured():
        logs.configure("warning")
    if from_inbox == bool(files):
        raise CommandError("hub simulate takes files, or --from-inbox", exit_code=2)
    if diff and flows is None:
        raise CommandError("--diff compares what runs now with --flows", exit_code=2)
    if from_inbox and (record or catalogue or clock or columns):
        raise CommandError("--record, --catalogue, --columns and --clock are for files", exit_code=2)
    try:
        if from_inbox:
            made: Simulation | EffectDiff = _recorded(home, flows, since, until, skip_erased)
        else:
            made = _files(files or [], home, flows, diff, record, clock, catalogue, columns)
    except FlowsRefused as refused:
        typer.echo(str(refused), err=True)
        raise typer.Exit(2) from None
    except (OSError, ValueError, NoFlows, UnknownRecord, ColumnsError, CatalogueError, HomeError) as error:
        typer.echo(f"hub simulate: {error}", err=True)
        raise typer.Exit(2) from None
    _show(made, as_json)


def _files(
    files: list[Path],
    home: Path | None,
    flows: Path | None,
    diff: bool,
    record: str | None,
    clock: str | None,
    catalogue: Path | None,
    columns: Path | None,
) -> Simulation | EffectDiff:
    """Files, through one version of flows or two."""
    from hub.db.types import instant_us
    from hub.workers import effect_diff
    from hub.workers.simulate import Files, simulation_of, version_of, world_of

    if clock is not None:
        instant_us(clock)
    world = world_of(settings_of(home).url if home is not None else None, catalogue)
    now = version_of(None, settings_of(home).home)
    given = Files(files, record, clock, columns)
    if not diff:
        return simulation_of(given, version_of(flows) if flows is not None else now, world)
    assert flows is not None
    return effect_diff.of_files(given, now, version_of(flows), world)


def _recorded(
    home: Path | None, flows: Path | None, since: str | None, until: str | None, skip_erased: bool
) -> Simulation | EffectDiff:
    """Recorded events, through what runs now and what would."""
    from hub.workers import effect_diff
    from hub.workers.simulate import version_of

    settings = settings_of(home)
    now = version_of(None, settings.home)
    then = version_of(flows) if flows is not None else None
    return effect_diff.of_inbox(settings.url, now, then, since=since, until=until, skip_erased=skip_erased)


def _show(made: Simulation | EffectDiff, as_json: bool) -> None:
    from hub.cli import difference_text, simulation_text
    from hub.connect import payload
    from hub.workers.effect_diff import EffectDiff

    if as_json:
        typer.echo(payload.canonical(made.as_json()))
    else:
        for line in difference_text.text(made) if isinstance(made, EffectDiff) else simulation_text.text(made):
            typer.echo(line)
    if isinstance(made, EffectDiff) and made.differences:
        raise typer.Exit(_DIFFERENT)
