"""`hub test --watch`: runs again what depends on a file that was changed: a test, its payloads, a flow, a mapping, a connector."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from hub.connect.registry import shipped
from hub.workers.flowtest import FileResult, find_tests, run_tests

KINDS = ("flows", "mappings", "connectors")
#: a process of their own sees connectors' code as it is now
_APART = 2


def watch(
    paths: Sequence[Path], *, only: Sequence[str] = (), changes: Iterator[Iterable[Path]] | None = None
) -> Iterator[list[FileResult]]:
    """Runs the tests of paths, then again and again those that a change concerns. `changes`: sets of changed files, by
    default those of the disk, for ever. Raises: FileNotFoundError when there is no test at first."""
    known = {result.path: result for result in run_tests(find_tests(paths), only=only, jobs=_APART)}
    yield list(known.values())
    for changed in changes or _changes(paths):
        files = _there(paths)
        again = [file for file in files if file not in known or affected(known[file], changed)]
        known = {file: result for file, result in known.items() if file in files}
        if again:
            results = list(run_tests(again, only=only, jobs=_APART))
            known |= {result.path: result for result in results}
            yield results


def affected(result: FileResult, changed: Iterable[Path]) -> bool:
    """Whether a change concerns a test file. One that could not be run may be waiting for any file."""
    own = result.path.resolve()
    return any(
        path == own or result.problems or not result.depends.isdisjoint((path, *path.parents))
        for path in (each.resolve() for each in changed)
    )


def _there(paths: Sequence[Path]) -> list[Path]:
    try:
        return find_tests(paths)
    except FileNotFoundError:  # for a moment, or for good: both are seen at the next change
        return []


def _changes(paths: Sequence[Path]) -> Iterator[Iterable[Path]]:
    from watchfiles import watch as watched

    for changes in watched(*_folders(paths), raise_interrupt=True):
        yield [Path(path) for _, path in changes]


def _folders(paths: Sequence[Path]) -> list[Path]:
    """The folders in which something that tests depend on can change."""
    folders = {shipped(kind) for kind in KINDS}
    for file in find_tests(paths):
        folder = file.resolve().parent
        folders.add(folder)
        folders |= {folder.parent / kind for kind in KINDS}
    return sorted(folder for folder in folders if folder.is_dir())
