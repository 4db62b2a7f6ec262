"""Traces of the commands that serve, where the environment asks for them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hub.cli.errors import CommandError
from hub.observe import traces

if TYPE_CHECKING:
    from hub.workers.settings import Settings


def set_up(settings: Settings, service: str) -> None:
    """Spans go out as the `OTEL_*` variables say. Raises: CommandError."""
    from hub.db.engine import parsed

    if not traces.wanted():
        return
    database = parsed(settings.url)
    try:
        traces.start(service, f"{database.host or ''}/{database.database}")
    except traces.TracesMissing as error:
        raise CommandError(str(error)) from None
