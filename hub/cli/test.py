"""`hub test`: runs the tests that stand beside flows."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hub.cli.options import Home, settings_of

if TYPE_CHECKING:
    from hub.mapping.coverage import Coverage
    from hub.workers.flowtest import FileResult

Paths = Annotated[
    list[Path] | None,
    typer.Argument(help="test files, or folders with them; default: those of the hub, else the shipped ones"),
]
Only = Annotated[
    list[str] | None, typer.Option("--only", "-k", help="tests whose name holds this, or is like it with *; repeatable")
]


def command(
    paths: Paths = None,
    only: Only = None,
    jobs: Annotated[int | None, typer.Option("--jobs", "-j", min=1, help="processes; default: one a CPU")] = None,
    watch: Annotated[bool, typer.Option("--watch", help="run again what depends on a file that changes")] = False,
    update: Annotated[bool, typer.Option("--update", help="write what was found into the tests that fail")] = False,
    junit: Annotated[Path | None, typer.Option("--junit", help="also write JUnit XML to this file")] = None,
    coverage: Annotated[bool, typer.Option("--coverage", help="show lines and branches that no test ran")] = False,
    coverage_json: Annotated[Path | None, typer.Option("--coverage-json", help="write them to this file")] = None,
    fail_under: Annotated[
        float | None, typer.Option("--fail-under", min=0, max=100, help="percent that have to be covered")
    ] = None,
    home: Home = None,
    as_json: Annotated[bool, typer.Option("--json", help="one JSON document")] = False,
) -> None:
    """Runs YAML tests offline, on sandboxes. Ends with 1 when a test fails or too little is covered, 2 when a file cannot be
    run."""
    import structlog

    from hub.cli import logs
    from hub.mapping.coverage import Coverage, covering
    from hub.workers.flowtest import find_tests, run_tests

    if not structlog.is_configured():
        logs.configure("error")
    own = settings_of(home).home / "flows"
    wanted = paths or ([own] if any(own.glob("*.test.yaml")) else [])
    covered = Coverage() if coverage or coverage_json or fail_under is not None else None
    if watch:
        if update or junit or covered or as_json:
            raise typer.BadParameter("--watch stands alone, but for --only")
        _watch(wanted, only or ())
        return
    try:
        files = find_tests(wanted)
    except OSError as error:
        typer.echo(f"hub test: {error}", err=True)
        raise typer.Exit(2) from None
    results: list[FileResult] = []
    with covering(covered) if covered else nullcontext():
        for result in run_tests(files, only=only or (), jobs=jobs):
            results.append(result)
            if not as_json:
                _show(result)
    if not results:
        typer.echo(f"hub test: no test is called {' or '.join(only or ())}", err=True)
        raise typer.Exit(2)
    if junit:
        from hub.workers.junit import write_junit

        write_junit(results, junit)
    enough = covered is None or _coverage(covered, files, results, coverage and not as_json, coverage_json, fail_under)
    if as_json:
        _print_json(results, covered)
    else:
        typer.echo(_summary(results))
    if update and not as_json:
        _update(results)
    if any(result.problems for result in results):
        raise typer.Exit(2)
    if not enough or (not update and any(not case.passed for result in results for case in result.cases)):
        raise typer.Exit(1)


def _summary(results: Sequence[FileResult]) -> str:
    cases = [case for result in results for case in result.cases]
    broken = sum(bool(result.problems) for result in results)
    passed = sum(case.passed for case in cases)
    more = f", {broken} files could not be run" if broken else ""
    return f"{passed} passed, {len(cases) - passed} failed{more}"


def _show(result: FileResult) -> None:
    typer.echo(result.file)
    for problem in result.problems:
        typer.echo(f"  {problem}")
    for case in result.cases:
        typer.echo(f"  {'ok  ' if case.passed else 'FAIL'} {case.name}")
        for failure in case.failures:
            typer.echo(f"       {failure['place']}: {failure['what']}")
            typer.echo(f"         expected {failure['expected']}")
            typer.echo(f"         found    {failure['found']}")


def _print_json(results: Sequence[FileResult], covered: Coverage | None) -> None:
    from hub.connect import payload

    files = []
    for result in results:
        cases = [
            {"name": case.name, "place": case.place, "passed": case.passed, "failures": case.failures}
            for case in result.cases
        ]
        files.append({"file": result.file, "tests": cases, "problems": result.problems})
    cases_all = [case for result in results for case in result.cases]
    document: dict[str, Any] = {
        "files": files,
        "passed": sum(case.passed for case in cases_all),
        "failed": sum(not case.passed for case in cases_all),
        "broken": sum(bool(result.problems) for result in results),
    }
    typer.echo(payload.canonical(document))


def _coverage(
    covered: Coverage,
    files: Sequence[Path],
    results: Sequence[FileResult],
    shown: bool,
    file: Path | None,
    fail_under: float | None,
) -> bool:
    """Shows and writes what was covered. Returns whether it is enough."""
    from hub.connect import payload
    from hub.mapping.coverage import percent
    from hub.workers.untested import add_untested

    add_untested(covered, files)
    found = covered.files()
    total = percent(found)
    if shown:
        for each in found:
            lines, branches = each.lines, each.branches
            typer.echo(f"{each.file}: lines {lines[0]}/{lines[1]}, branches {branches[0]}/{branches[1]}")
            if each.missing_lines:
                typer.echo(f"  never ran: {', '.join(map(str, each.missing_lines))}")
            for branch in each.missing_branches:
                typer.echo(f"  {branch['line']}: {branch['missed']}: {branch['text']}")
        typer.echo(f"covered: {total:.1f} %")
    if file is not None:
        document = {
            "percent": f"{total:.1f}",
            "files": [
                {
                    "file": each.file,
                    "lines": {"covered": each.lines[0], "all": each.lines[1], "missing": each.missing_lines},
                    "branches": {
                        "covered": each.branches[0],
                        "all": each.branches[1],
                        "missing": each.missing_branches,
                    },
                }
                for each in found
            ],
        }
        file.write_text(payload.canonical(document) + "\n", "utf-8")
    if fail_under is not None and total < fail_under:
        typer.echo(f"hub test: {total:.1f} % are covered, {fail_under:g} are asked for", err=True)
        return False
    return True


def _update(results: Sequence[FileResult]) -> None:
    """Writes what was found, shows what changed, and ends with 1 where a test still fails."""
    import difflib

    from hub.workers.testupdate import update

    refused = False
    for result in results:
        made = update(result.path, result)
        before, after = made.before.splitlines(), made.after.splitlines()
        for line in difflib.unified_diff(before, after, result.file, result.file, lineterm=""):
            typer.echo(line)
        for reason in made.refused:
            refused = True
            typer.echo(f"not updated: {reason}")
    if refused:
        raise typer.Exit(2 if any(result.problems for result in results) else 1)


def _watch(paths: Sequence[Path], only: Sequence[str]) -> None:
    from hub.workers.testwatch import watch

    try:
        for results in watch(paths, only=only):
            for result in results:
                _show(result)
            typer.echo(f"{_summary(results)}; waiting for changes, Ctrl-C ends")
    except KeyboardInterrupt:
        return
    except OSError as error:
        typer.echo(f"hub test: {error}", err=True)
        raise typer.Exit(2) from None
