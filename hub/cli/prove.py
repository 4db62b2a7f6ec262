"""`hub prove`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from hub.cli.errors import CommandError
from hub.cli.options import Home, Json
from hub.cli.output import print_json
from hub.cli.proof_text import print_proof, print_remote
from hub.cli.reach import reached

app = typer.Typer(
    add_completion=False, rich_markup_mode=None, help="Prove that nothing was lost and nothing was done twice."
)


@app.callback(invoke_without_command=True)
def prove(
    context: typer.Context,
    strict: Annotated[bool, typer.Option("--strict", help="Take what is open or parked for a fault.")] = False,
    checkpoint: Annotated[
        list[Path] | None,
        typer.Option("--checkpoint", help="A checkpoint that the logs must begin with; several may be given."),
    ] = None,
    remote: Annotated[bool, typer.Option("--remote", help="Compare with what the connected systems list.")] = False,
    connection: Annotated[str | None, typer.Option(help="With --remote: this connection only.")] = None,
    since: Annotated[str | None, typer.Option(help="With --remote: effects from this date on.")] = None,
    home: Home = None,
    json: Json = False,
) -> None:
    """Prove from the rows: each effect confirmed once, the log whole, each event at its end or named, numbers without gap,
    books and stock right. Exit code 1 with each fault and its place."""
    if context.invoked_subcommand is not None:
        return
    if not remote and (connection or since):
        raise CommandError("--connection and --since go with --remote", exit_code=2)
    files = [{"name": str(file), "text": _text(file)} for file in checkpoint or []]
    with reached(home) as hub:
        result = hub.call("prove", strict=strict, checkpoints=files)
        if remote:
            result["remote"] = hub.call("prove-remote", connection=connection, since=since)
    ok = result["ok"] and (not remote or result["remote"]["ok"])
    if json:
        print_json({**result, "ok": ok})
    else:
        print_proof(result, len(files))
        if remote:
            print_remote(result["remote"])
    if not ok:
        raise typer.Exit(1)


@app.command()
def checkpoint(
    out: Annotated[Path | None, typer.Option(help="File to write.", show_default="standard output")] = None,
    home: Home = None,
) -> None:
    """Sign where the logs stand. Kept outside the hub, it shows later that they were only added to."""
    with reached(home, writes=True) as hub:
        made = hub.call("prove-checkpoint")
    if out is None:
        print(made["file"], end="")
        return
    try:
        with out.open("x", encoding="utf-8") as file:  # an older one is evidence
            file.write(made["file"])
    except OSError as error:
        raise CommandError(f"{out} cannot be written: {error.strerror}") from None
    said = made["statement"]
    print(f"{out}: {said['effects']} effects and {said['entries']} entries, signed by {made['public_key']}")


@app.command()
def signature(
    file: Annotated[Path, typer.Argument(help="A checkpoint.")],
    key: Annotated[str | None, typer.Option(help="The public key that it must be signed with.")] = None,
    json: Json = False,
) -> None:
    """Check a checkpoint's signature and show what it says. Needs no hub."""
    from hub.outbox.checkpoint import CheckpointError, opened

    try:
        found = opened(_text(file))
    except CheckpointError as error:
        raise CommandError(f"{file}: {error}") from None
    if key is not None and key != found.public_key:
        raise CommandError(f"{file}: it is signed by {found.public_key}, which is another key")
    said: dict[str, Any] = {name: getattr(found.statement, name) for name in found.statement.__struct_fields__}
    if json:
        print_json({"public_key": found.public_key, **said})
        return
    print(f"hub {said['hub']}, merchant {said['merchant']}, {said['at']}")
    print(f"{said['effects']} effects, the last {said['effects_hash']}")
    print(f"{said['entries']} entries, the last {said['entries_hash']}")
    print(f"signed by {found.public_key}")


def _text(file: Path) -> str:
    try:
        return file.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise CommandError(f"{file} cannot be read: {error}") from None
