"""`hub test`: runs the tests that stand beside flows, on sandboxes and scratch databases; nothing else is reached."""

from __future__ import annotations

import gc
import multiprocessing
import os
import tempfile
import threading
from collections.abc import Collection, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from itertools import islice
from multiprocessing import util
from pathlib import Path
from typing import Any

from hub.connect.registry import Registry, shipped
from hub.flows.active import flow_files
from hub.mapping import coverage
from hub.mapping.coverage import Seen
from hub.workers.bench import Bench, CaseResult, key_of, payload_files
from hub.workers.scratch import ScratchFile, empty
from hub.workers.testfile import BrokenTest, Case, TestFile, read_test

#: benches that a process keeps: those of the flows and roles that it ran last
_BENCHES = 24
#: tests that one worker process takes at once
_PORTION = 12
#: objects that a process makes before it looks for those that are held by nothing but each other
_GARBAGE = 200_000
#: below so many tests a second process costs more than it saves
_WORTH = 24


@dataclass
class FileResult:
    """How the tests of one file went; `problems` when they could not be run."""

    file: str
    cases: list[CaseResult] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    #: what was seen of mappings and flows, where coverage is on
    seen: Seen = field(default_factory=dict)
    #: where it is
    path: Path = Path()
    #: files and folders whose change may change how the tests go
    depends: frozenset[Path] = frozenset()


def find_tests(paths: Sequence[Path]) -> list[Path]:
    """The test files of paths: files, folders with `flows/` in them, or `flows` folders. None: the shipped ones. Raises:
    FileNotFoundError."""
    found: list[Path] = []
    for path in paths or [shipped("flows")]:
        if path.is_dir():
            files = sorted({*path.glob("*.test.yaml"), *path.glob("flows/*.test.yaml")})
            if not files:
                raise FileNotFoundError(f"{path} holds no *.test.yaml")
            found += files
        elif path.is_file():
            found.append(path)
        else:
            raise FileNotFoundError(f"there is no {path}")
    return list(dict.fromkeys(found))


def run_tests(files: Sequence[Path], *, only: Sequence[str] = (), jobs: int | None = None) -> Iterator[FileResult]:
    """Runs test files; results come in their order. `only`: names of tests, or patterns with `*`, or parts of names; a file
    without such a test is left out. `jobs`: processes, by default one a CPU where there is work for them."""
    read = [_read(file) for file in files]
    chosen = [[case for case in tests.cases if _wanted(case, only)] if tests else [] for _, tests in read]
    kept = [place for place, (result, _) in enumerate(read) if chosen[place] or (result.problems and not only)]
    portions = [
        (place, chosen[place][start : start + _PORTION])
        for place in kept
        for start in range(0, len(chosen[place]), _PORTION)
    ]
    count = _jobs(jobs, sum(map(len, chosen)))
    ran = _side_by_side(read, portions, count) if count > 1 else _one_by_one(read, portions)
    for place in kept:
        result, _ = read[place]
        for part in islice(ran, len(range(0, len(chosen[place]), _PORTION))):
            result.cases += part.cases
            result.depends |= part.depends
            result.problems += [each for each in part.problems if each not in result.problems]
            if coverage.active is not None:
                coverage.active.add(part.seen)
        yield result


def run_file(file: Path) -> FileResult:
    """Runs the tests of one file, in this process."""
    [result] = run_tests([file], jobs=1)
    return result


Read = tuple[FileResult, TestFile | None]
Portion = tuple[int, list[Case]]


def _read(file: Path) -> Read:
    shown = f"{file.parent.name}/{file.name}" if file.is_absolute() else str(file)
    result = FileResult(shown, path=file)
    try:
        return result, read_test(file, shown)
    except (BrokenTest, OSError) as error:
        result.problems = str(error).splitlines()
        return result, None


def _wanted(case: Case, only: Sequence[str]) -> bool:
    name = case.name.casefold()
    return not only or any(
        fnmatchcase(name, each.casefold()) if "*" in each else each.casefold() in name for each in only
    )


def _jobs(asked: int | None, tests: int) -> int:
    """Processes to run tests in. A process that has threads is not forked: what they hold would stay held in the copy."""
    if "fork" not in multiprocessing.get_all_start_methods() or threading.active_count() > 1:
        return 1
    if asked is not None:
        return asked
    return min(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 1, 1 + tests // _WORTH)


def _one_by_one(read: Sequence[Read], portions: Sequence[Portion]) -> Iterator[FileResult]:
    benches = Benches()
    try:
        for place, cases in portions:
            yield benches.run(read[place], cases)
    finally:
        benches.close()


_shared: tuple[Sequence[Read], Benches] | None = None


def _side_by_side(read: Sequence[Read], portions: Sequence[Portion], jobs: int) -> Iterator[FileResult]:
    """In forked processes, which have the files read and the code loaded when they begin. Tests that share a bench are
    begun one after the other; results come in the order of the files."""
    global _shared
    benches = Benches()
    for place in {place for place, _ in portions}:
        benches.load(read[place])
    _shared = (read, benches)
    order: dict[Any, list[int]] = {}
    for number, (place, _) in enumerate(portions):
        tests = read[place][1]
        order.setdefault(key_of(tests) if tests else None, []).append(number)
    with ProcessPoolExecutor(jobs, multiprocessing.get_context("fork"), _begin) as pool:
        futures: dict[int, Future[FileResult]] = {
            number: pool.submit(_portion, portions[number]) for numbers in order.values() for number in numbers
        }
        for number in range(len(portions)):
            yield futures.pop(number).result()


def _begin() -> None:
    assert _shared is not None
    util.Finalize(None, _shared[1].close, exitpriority=10)
    gc.freeze()  # what the parent loaded stays: looking through it again and again took a twentieth of the time
    gc.set_threshold(_GARBAGE)


def _portion(portion: Portion) -> FileResult:
    assert _shared is not None
    read, benches = _shared
    return benches.run(read[portion[0]], portion[1])


class Benches:
    """The benches of a process, those used last kept. They take turns with one database."""

    def __init__(self) -> None:
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self._file: ScratchFile | None = None
        self._benches: dict[object, Bench] = {}
        self._registries: dict[Path, Registry] = {}
        self._names: dict[Path, frozenset[str]] = {}

    def load(self, read: Read) -> None:
        """Loads the code that the tests of a file run on, so that processes forked from this one have it."""
        tests = read[1]
        if tests is None:
            return
        empty()
        registry = self._registry(tests)
        if not _unknown(tests, registry, self._flow_names(tests)):
            for role in tests.roles.values():
                registry.get(role.connector).module("sandbox")

    @property
    def file(self) -> ScratchFile:
        if self._file is None:
            self._folder = tempfile.TemporaryDirectory(prefix="hub-test-")
            self._file = ScratchFile(Path(self._folder.name))
        return self._file

    def run(self, read: Read, cases: Sequence[Case]) -> FileResult:
        """Runs tests of one file."""
        result, tests = FileResult(read[0].file), read[1]
        assert tests is not None
        registry = self._registry(tests)
        result.problems = _unknown(tests, registry, self._flow_names(tests))
        if not result.problems:
            bench = self._bench(tests, registry)
            result.problems = bench.problems
            result.depends = bench.depends | payload_files(tests)
            if not result.problems:
                bench.take(tests)
                result.cases = [bench.run(case) for case in cases]
        if coverage.active is not None:
            result.seen = coverage.active.snapshot()
        return result

    def of(self, tests: TestFile) -> Bench:
        """The bench of a file that can be run, ready for its tests."""
        bench = self._bench(tests, self._registry(tests))
        bench.take(tests)
        return bench

    def _registry(self, tests: TestFile) -> Registry:
        found = self._registries.get(tests.home)
        if found is None:
            found = self._registries[tests.home] = Registry.discover(tests.home)
        return found

    def _flow_names(self, tests: TestFile) -> frozenset[str]:
        found = self._names.get(tests.home)
        if found is None:
            files = flow_files([tests.home / "flows"])
            found = self._names[tests.home] = frozenset(each.name for each in files)
        return found

    def _bench(self, tests: TestFile, registry: Registry) -> Bench:
        key = key_of(tests)
        bench = self._benches.pop(key, None)
        while len(self._benches) >= _BENCHES:
            self._benches.pop(next(iter(self._benches))).close()
        self._benches[key] = bench or Bench(tests, registry, self.file)
        return self._benches[key]

    def close(self) -> None:
        for bench in self._benches.values():
            bench.close()
        self._benches.clear()
        if self._file is not None:
            self._file.close()
        if self._folder is not None:
            self._folder.cleanup()


def _unknown(tests: TestFile, registry: Registry, files: Collection[str]) -> list[str]:
    problems = [
        f"{tests.place(('flows', place))}: there is no flow {name!r}"
        for place, name in enumerate(tests.flows)
        if name not in files
    ]
    for name, role in tests.roles.items():
        if role.connector not in registry.names():
            problems.append(f"{tests.place(('roles', name))}: there is no connector {role.connector!r}")
        elif not (registry.get(role.connector).folder / "sandbox.py").is_file():
            problems.append(f"{tests.place(('roles', name))}: {role.connector} has no sandbox")
    return problems
