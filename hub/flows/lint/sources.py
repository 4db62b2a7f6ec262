"""The files that are linted, by what each of them is: flows, mappings, tests, connections."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from hub.connect.registry import Registry
from hub.flows.context import ConnectionInfo, MappingFolder
from hub.flows.lint.project import Project
from hub.flows.source import FlowFile
from hub.mapping import SourceError, load_document

_KEY = re.compile(r"^['\"]?([A-Za-z_]+)['\"]?[ ]*:", re.MULTILINE)
#: folders that hold no files of ours
_ELSEWHERE = frozenset({"node_modules", "__pycache__", "venv", "payloads", "schemas"})


@dataclass
class Sources:
    """Texts by the file that is shown."""

    flows: list[FlowFile] = field(default_factory=list)
    #: `shopify/order`: the file and its text
    mappings: dict[str, tuple[str, str]] = field(default_factory=dict)
    tests: dict[str, str] = field(default_factory=dict)
    connections: dict[str, str] = field(default_factory=dict)
    #: rules of alerts
    alerts: dict[str, str] = field(default_factory=dict)
    #: manifests of connectors, which the registry reads
    connectors: list[str] = field(default_factory=list)
    #: files that are none of these
    unknown: list[str] = field(default_factory=list)

    @property
    def files(self) -> set[str]:
        """All files that findings may be in."""
        shown = {flow.file for flow in self.flows} | {file for file, _ in self.mappings.values()}
        return shown | set(self.tests) | set(self.connections)

    def project(
        self,
        registry: Registry,
        *,
        base: Iterable[FlowFile] = (),
        homes: Iterable[Path] = (),
        bound: Iterable[ConnectionInfo] = (),
        tested: Iterable[str] = (),
        all_files: bool = False,
    ) -> Project:
        """These files with those that surround them: flows of `base` that no file here takes the place of, mappings of
        `homes` and shipped ones, and the connections that are there. Only these files are spoken of, unless `all_files`."""
        taken = {flow.name for flow in self.flows}
        flows = [flow for flow in base if flow.name not in taken] + self.flows
        by_name = {info.name: info for info in bound}
        for text in self.connections.values():
            by_name |= {info.name: info for info in connections_of(text, start=len(by_name) + 1)}
        return Project(
            flows,
            MappingFolder.standard(homes, self.mappings),
            registry,
            list(by_name.values()),
            self.tests | self.connections,
            frozenset(tested) | frozenset(self._tested()),
            None if all_files else frozenset(self.files),
        )

    def _tested(self) -> Iterator[str]:
        for file, text in self.tests.items():
            yield PurePosixPath(file).name.removesuffix(".test.yaml")
            try:
                value = load_document(text, file).value
            except SourceError:
                continue  # said when it is linted
            flows = value.get("flows") if isinstance(value, dict) else None
            yield from (flow for flow in flows if isinstance(flow, str)) if isinstance(flows, list) else ()


def sort_files(files: Mapping[str, str]) -> Sources:
    """What each file is, by its name, its folder and its first keys."""
    found = Sources()
    for file, text in files.items():
        path = PurePosixPath(file)
        kind = _kind(path, text)
        if kind == "test":
            found.tests[file] = text
        elif kind == "flow":
            found.flows.append(FlowFile(path.stem, file, text))
        elif kind == "mapping":
            found.mappings[f"{path.parent.name}/{path.stem}"] = (file, text)
        elif kind == "connections":
            found.connections[file] = text
        elif kind == "alerts":
            found.alerts[file] = text
        elif kind == "connector":
            found.connectors.append(file)
        else:
            found.unknown.append(file)
    return found


def _kind(path: PurePosixPath, text: str) -> str:
    if path.name.endswith(".test.yaml"):
        return "test"
    if path.name in ("connector.yaml", "connections.yaml", "alerts.yaml"):
        return path.stem
    keys = set(_KEY.findall(text))
    for key in ("mapping", "flow", "connections"):
        if key in keys:
            return key
    if path.parent.name == "flows" or {"on", "steps"} <= keys:
        return "flow"
    return "mapping" if path.parent.parent.name == "mappings" else ""


def read_paths(paths: Iterable[Path]) -> dict[str, str]:
    """The YAML files of files and folders, by their names as given. Raises: OSError, UnicodeDecodeError."""
    found: dict[str, str] = {}
    for path in paths:
        if not path.is_dir():
            found[path.as_posix()] = path.read_text("utf-8")
            continue
        for folder, inner, names in os.walk(path):
            inner[:] = sorted(name for name in inner if not name.startswith(".") and name not in _ELSEWHERE)
            for name in sorted(names):
                if name.endswith(".yaml"):
                    file = Path(folder, name)
                    found[file.as_posix()] = file.read_text("utf-8")
    return found


def connections_of(text: str, start: int = 1) -> list[ConnectionInfo]:
    """The connections that a `connections.yaml` tells of, with their roles. What is wrong in it is said when it is applied;
    here it is only what roles go by."""
    try:
        value = load_document(text, "connections.yaml").value
    except SourceError:
        return []
    value = value if isinstance(value, dict) else {}
    roles: dict[str, list[str]] = {}
    named = value.get("roles")
    for role, names in named.items() if isinstance(named, dict) else ():
        for name in names if isinstance(names, list) else [names]:
            roles.setdefault(str(name), []).append(role)
    given = value.get("connections")
    return [
        ConnectionInfo(
            start + number,
            name,
            str(spec.get("connector")),
            str(spec.get("mode") or "observe"),
            None,
            spec["settings"] if isinstance(spec.get("settings"), dict) else {},
            tuple(roles.get(name, ())),
        )
        for number, (name, spec) in enumerate(given.items() if isinstance(given, dict) else ())
        if isinstance(spec, dict)
    ]
