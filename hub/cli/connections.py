"""`hub connections`: connections and roles."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from hub.cli.errors import CommandError
from hub.cli.options import Home, Json
from hub.cli.output import print_json, print_table
from hub.cli.reach import reached

app = typer.Typer(
    no_args_is_help=True, rich_markup_mode=None, help="Connections: list, apply, credentials, modes, webhooks, stock."
)
Name = Annotated[str, typer.Argument(help="Name or id of the connection.")]


@app.command("list")
def list_(home: Home = None, json: Json = False) -> None:
    """List connections, their roles and their state."""
    with reached(home) as hub:
        result = hub.call("connections")
    if json:
        print_json(result)
        return
    columns = ["id", "name", "connector", "roles", "mode", "status", "go_live_at", "secrets"]
    print_table(result["items"], columns, empty="None: write connections.yaml and run `hub connections apply`.")
    for item in result["items"]:
        if item["mode_when_released"]:
            print(f"{item['name']}: it came out of a backup and waits for `hub outbox release`", file=sys.stderr)
        if item["down"]:
            down = item["down"]
            print(
                f"{item['name']}: down since {down['since']} ({down['reason']}); its deliveries and reads wait, "
                f"the hub asks it again at {down['next_probe']}",
                file=sys.stderr,
            )
        if item["problem"]:
            print(f"{item['name']}: {item['problem']}", file=sys.stderr)


@app.command()
def apply(
    file: Annotated[Path, typer.Argument(help="The file; - reads standard input.")] = Path("connections.yaml"),
    home: Home = None,
    json: Json = False,
) -> None:
    """Make connections and roles what a file says. It holds no secrets; run again it changes nothing."""
    text = sys.stdin.read() if str(file) == "-" else _text(file)
    with reached(home, writes=True) as hub:
        result = hub.call("apply", text=text, file=str(file))
    if json:
        print_json(result)
        return
    for what in ("added", "changed", "unchanged"):
        if result[what]:
            print(f"{what}: {', '.join(result[what])}")
    for role, names in (result["roles"] or {}).items():
        print(f"role {role}: {', '.join(names) or 'nobody'}")
    for problem in result["flow_problems"]:
        print(f"flow refused: {problem}", file=sys.stderr)


@app.command()
def secrets(
    name: Name,
    keys: Annotated[list[str], typer.Argument(help="Names of the secrets, such as client_secret.")],
    home: Home = None,
    json: Json = False,
) -> None:
    """Set secrets: asked for on a terminal, else read from standard input, one line for each."""
    values = {key: _secret(key) for key in keys}
    with reached(home, writes=True) as hub:
        result = hub.call("secrets", name=name, secrets=values)
    if json:
        print_json(result)
    else:
        print(f"{result['connection']} has {', '.join(result['secrets'])}")


@app.command()
def mode(
    name: Name,
    mode: Annotated[str, typer.Argument(help="observe, paused or live.")],
    go_live_at: Annotated[
        str | None, typer.Option(help="Orders placed before are never posted: 2026-11-24T00:00:00+01:00.")
    ] = None,
    home: Home = None,
    json: Json = False,
) -> None:
    """Observe (nothing is sent), pause (deliveries wait) or go live."""
    if mode not in ("observe", "paused", "live"):
        raise CommandError(f"{mode!r} is not a mode: observe, paused or live", exit_code=2)
    with reached(home, writes=True) as hub:
        result = hub.call("mode", name=name, mode=mode, go_live_at=go_live_at)
    if json:
        print_json(result)
    else:
        since = f", posting orders placed since {result['go_live_at']}" if result["go_live_at"] else ""
        waits = (
            "; it came out of a backup and gets the mode asked for by `hub outbox release`" if result["waits"] else ""
        )
        print(f"{result['connection']} is {result['mode']}{since}{waits}")


@app.command()
def setup(
    name: Name,
    callback_url: Annotated[str | None, typer.Option(help="Where webhooks go to; else the hub's public URL.")] = None,
    home: Home = None,
    json: Json = False,
) -> None:
    """Create or repair the webhook subscriptions at the system."""
    with reached(home, writes=True) as hub:
        result = hub.call("setup", name=name, callback_url=callback_url)
    _say(result, json, f"{result['connection']}: webhooks go to {result['callback_url']}")


@app.command()
def check(name: Name, home: Home = None, json: Json = False) -> None:
    """Ask the system whether the connection works."""
    with reached(home, writes=True) as hub:
        result = hub.call("check", name=name)
    _say(result, json, f"{result['connection']} works" if result["checked"] else f"{result['connection']} has no check")


@app.command("adopt-stock")
def adopt_stock(name: Name, home: Home = None, json: Json = False) -> None:
    """Take a shop's own quantities as the starting point; from then on ours are shown there."""
    with reached(home, writes=True) as hub:
        result = hub.call("adopt-stock", name=name)
    if json:
        print_json(result)
        return
    print_table(result["items"], ["sku", "available"], empty="The shop has none of our items.")
    if result["not_in_shop"]:
        print(f"not in the shop: {', '.join(result['not_in_shop'])}")


def _say(result: dict[str, Any], json: bool, text: str) -> None:
    if json:
        print_json(result)
    else:
        print(text)


def _text(file: Path) -> str:
    try:
        return file.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise CommandError(f"{file} cannot be read: {error}") from None


def _secret(key: str) -> str:
    if sys.stdin.isatty():
        import getpass

        return getpass.getpass(f"{key}: ")
    line = sys.stdin.readline()
    if not line:
        raise CommandError(f"standard input has no line for {key}")
    return line.rstrip("\r\n")
