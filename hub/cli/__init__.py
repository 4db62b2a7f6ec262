"""The command `hub`. Each command is loaded when it is asked for, and loads what it needs when it runs."""

from __future__ import annotations

import gc
import importlib
import sys
from typing import Any

import typer
from typer.core import TyperGroup

#: commands in the order of the help; each is a module here with `command` (a function) or `app` (a group)
COMMANDS = (
    "demo init up web worker login token status connections import run poll replay inbox flows runs outbox questions orders stock "
    "ledger documents verify prove doctor keys backup restore upgrade lint test capture simulate graph new recipes schema docs"
).split()
#: commands that an installation may lack
_OPTIONAL = ("demo", "test", "capture", "simulate")
_MODULES = {"import": "import_", "token": "tokens"}


class LazyGroup(TyperGroup):
    """A group whose commands are modules of this package."""

    def list_commands(self, ctx: Any) -> list[str]:
        return [name for name in COMMANDS if name not in _OPTIONAL or self.get_command(ctx, name) is not None]

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        if cmd_name not in COMMANDS:
            return None
        module_name = f"hub.cli.{_MODULES.get(cmd_name, cmd_name)}"
        try:
            module = importlib.import_module(module_name)
        except ModuleNotFoundError as error:
            if error.name == module_name and cmd_name in _OPTIONAL:
                return None
            raise
        group = getattr(module, "app", None)
        if group is None and not hasattr(module, "command"):
            return None
        if group is None:
            group = typer.Typer(add_completion=False, rich_markup_mode=None)
            group.command(cmd_name)(module.command)
        command = typer.main.get_command(group)
        command.name = cmd_name
        return command


app = typer.Typer(
    cls=LazyGroup,
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    help="The integration hub for e-commerce: shops, books, warehouses and carriers on one ledger and one stock.",
)


@app.callback()
def _root() -> None:
    """The integration hub for e-commerce: shops, books, warehouses and carriers on one ledger and one stock."""


def main() -> None:
    """Runs the command line. Exit codes: 0 done, 1 refused or failed, 2 wrong usage."""
    # what a command loads stays: looking for cycles in it took a tenth of the time until it began
    gc.set_threshold(50_000, 20, 100)
    from hub.cli.errors import shown

    with shown():
        app()
    sys.exit(0)
