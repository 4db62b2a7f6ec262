"""`hub web`: answers, one of any number of processes."""

from __future__ import annotations

from hub.cli.options import Bind, Home, settings_of


def command(
    home: Home = None,
    bind: Bind = None,
) -> None:
    """Answer webhooks, OAuth callbacks, the API and the console; `hub worker` does the work. On PostgreSQL only."""
    from hub.cli import logs, tracing
    from hub.web.server import Server
    from hub.workers.parts import WEB

    settings = settings_of(home, bind=bind)
    logs.set_up(settings)
    tracing.set_up(settings, "hub-web")
    Server(settings, parts=WEB).run()
