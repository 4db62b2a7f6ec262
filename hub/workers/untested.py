"""Flows that no test names: their steps count as lines that never ran, so that a coverage of 100 % means all of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from hub.flows.active import flow_files
from hub.mapping import Document, SourceError, load_document
from hub.mapping.coverage import Coverage, Kind


def add_untested(coverage: Coverage, tests: Sequence[Path]) -> None:
    """Adds the steps of flows that stand beside test files and were never loaded."""
    known = {each.file for each in coverage.files()}
    folders = {file.resolve().parent for file in tests}
    for flow in flow_files(folders):
        beside = any((folder / Path(flow.file).name).is_file() for folder in folders)
        if not beside or flow.file in known:
            continue
        try:
            document = load_document(flow.text, flow.file)
        except SourceError:
            continue  # `hub lint` says what is wrong with it
        for path in _steps(document):
            coverage.probe(document.key_position(path), Kind.RUNS, "step")


def _steps(document: Document) -> Iterator[tuple[str | int, ...]]:
    """The paths of the steps of a flow, those inside other steps included."""

    def below(value: Any, path: tuple[str | int, ...]) -> Iterator[tuple[str | int, ...]]:
        if isinstance(value, list):
            for place, each in enumerate(value):
                if (
                    (path[-1] in ("steps", "else") or path[-2:-1] == ("cases",))
                    and isinstance(each, dict)
                    and len(each) == 1
                ):
                    yield (*path, place, next(iter(each)))
                yield from below(each, (*path, place))
        elif isinstance(value, dict):
            for name, each in value.items():
                yield from below(each, (*path, name))

    value = document.value
    if isinstance(value, dict):
        yield from below(value.get("steps"), ("steps",))
