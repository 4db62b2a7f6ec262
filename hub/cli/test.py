"""`hub test`: runs the tests that stand beside flows."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from hub.cli.options import Home, settings_of


def command(
    paths: Annotated[
        list[Path] | None,
        typer.Argument(help="test files, or folders with them; default: those of the hub, else the shipped ones"),
    ] = None,
    home: Home = None,
    as_json: Annotated[bool, typer.Option("--json", help="one JSON document")] = False,
) -> None:
    """Runs YAML tests offline, on sandboxes. Ends with 1 when a test fails, 2 when a file cannot be run."""
    import structlog

    from hub.cli import logs
    from hub.connect import payload
    from hub.workers.flowtest import find_tests, run_tests

    if not structlog.is_configured():
        logs.configure("error")
    own = settings_of(home).home / "flows"
    try:
        files = find_tests(paths or ([own] if any(own.glob("*.test.yaml")) else []))
    except OSError as error:
        typer.echo(f"hub test: {error}", err=True)
        raise typer.Exit(2) from None
    results: list[dict[str, Any]] = []
    passed = failed = broken = 0
    for result in run_tests(files):
        passed += sum(case.passed for case in result.cases)
        failed += sum(not case.passed for case in result.cases)
        broken += bool(result.problems)
        cases = [
            {"name": case.name, "place": case.place, "passed": case.passed, "failures": case.failures}
            for case in result.cases
        ]
        results.append({"file": result.file, "tests": cases, "problems": result.problems})
        if not as_json:
            _show(results[-1])
    if as_json:
        typer.echo(payload.canonical({"files": results, "passed": passed, "failed": failed, "broken": broken}))
    else:
        more = f", {broken} files could not be run" if broken else ""
        typer.echo(f"{passed} passed, {failed} failed{more}")
    if broken or failed:
        raise typer.Exit(2 if broken else 1)


def _show(result: dict[str, Any]) -> None:
    typer.echo(result["file"])
    for problem in result["problems"]:
        typer.echo(f"  {problem}")
    for case in result["tests"]:
        typer.echo(f"  {'ok  ' if case['passed'] else 'FAIL'} {case['name']}")
        for failure in case["failures"]:
            typer.echo(f"       {failure['place']}: {failure['what']}")
            typer.echo(f"         expected {failure['expected']}")
            typer.echo(f"         found    {failure['found']}")
