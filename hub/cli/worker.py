"""`hub worker`: works, one of any number of processes."""

from __future__ import annotations

from contextlib import ExitStack
from typing import Annotated

import typer

from hub.cli.options import Home, settings_of


def command(
    home: Home = None,
    threads: Annotated[
        int | None,
        typer.Option(envvar="HUB_THREADS", help="How many deliveries it sends at once.", show_default="24"),
    ] = None,
) -> None:
    """Work events, send deliveries, poll and keep schedules, beside others that do. On PostgreSQL only."""
    from hub.cli import logs, tracing
    from hub.web.access import Keys
    from hub.web.watching import Watch
    from hub.workers.process import WorkerProcess

    settings = settings_of(home, threads=threads)
    logs.set_up(settings)
    tracing.set_up(settings, "hub-worker")
    process = WorkerProcess(settings)
    with ExitStack() as stack:
        if settings.metrics_bind:
            keys = Keys(process.hub.vault.roots)
            stack.enter_context(Watch(process.hub, settings.metrics_bind, keys))
        process.run()
