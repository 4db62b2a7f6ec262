"""`hub up`: runs a hub."""

from __future__ import annotations

import sys

from hub.cli.options import Bind, Home, settings_of


def command(
    home: Home = None,
    bind: Bind = None,
) -> None:
    """Run the hub until it is told to stop: webhooks, workers, API and console in one process."""
    from hub.cli import logs, tracing
    from hub.web.server import Server

    settings = settings_of(home, bind=bind)
    logs.set_up(settings)
    tracing.set_up(settings, "hub")
    server = Server(settings)
    print(f"The hub answers at {server.url}", flush=True)
    print(f"Sign in (once, within 15 minutes): {server.login_url()}", flush=True)
    if settings.public_url:
        print(f"From outside: {settings.public_url}", flush=True)
    server.run()
    print("The hub is down.", file=sys.stderr)
