"""Lints flows, mappings, connections and connectors where they stand: in the hub's folder and shipped, or at given paths."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from hub.connect.manifest import ManifestError
from hub.connect.registry import BrokenConnector, Connector, Registry, shipped
from hub.flows.active import flow_files
from hub.flows.lint import Finding, as_rows
from hub.flows.lint import lint as lint_project
from hub.flows.lint.sources import Sources, read_paths, sort_files
from hub.flows.source import FlowFile
from hub.mapping import Problem
from hub.mapping.schema_file import SchemaErrors
from hub.workers.admin.errors import AdminError
from hub.workers.admin.setup import bound
from hub.workers.alerts import rules
from hub.workers.settings import Settings


def lint(
    settings: Settings, paths: Sequence[Path] = (), *, strict: bool = False, merchant_id: int = 1
) -> dict[str, Any]:
    """Reads files and says what is wrong with them, with places. Without `paths` they are all of the hub's folder and all
    shipped ones; with them those at these paths, read with the others.

    Roles are those of the hub's database, where there is one, and of `connections.yaml`; a role that no connection plays is
    tried with every connector that can play it. Raises: AdminError."""
    sources = _read(paths) if paths else _standing(settings.home)
    roots = {_root(Path(file)) for file in sources.connectors}
    registry = Registry.discover(settings.home, *sorted(roots))
    found = [] if paths else list(registry.problems)
    found += [each for connector in _checked(registry, sources, bool(paths)) for each in _problems_of(connector)]
    homes = [*_roots(paths), settings.home]
    base = flow_files([settings.home / "flows"]) if paths else []
    project = sources.project(
        registry,
        base=base,
        homes=[home / "mappings" for home in homes],
        bound=bound(settings, registry, merchant_id),
        tested=_tested(sources.flows) if paths else (),
        all_files=not paths,
    )
    found += lint_project(project, strict=strict)
    found += [each for file, text in sources.alerts.items() for each in _of_alerts(file, text)]
    found = sorted(set(found), key=lambda each: (each.file, each.line, each.column, each.rule))
    checked = {
        "connectors": len(_checked(registry, sources, bool(paths))),
        "mappings": len(sources.mappings) if paths else len(project.mappings.names()),
        "flows": len(sources.flows),
        "tests": len(sources.tests),
    }
    return {"ok": not found, "problems": as_rows(found), "checked": checked}


def _read(paths: Sequence[Path]) -> Sources:
    for path in paths:
        if not path.exists():
            raise AdminError(f"{path} is not there")
    try:
        sources = sort_files(read_paths(paths))
    except (OSError, UnicodeDecodeError) as error:
        raise AdminError(f"a file cannot be read: {error}") from None
    given = {path.as_posix() for path in paths}
    for file in sources.unknown:
        if file in given:
            raise AdminError(
                f"{file} is no flow, mapping, test, connections.yaml or alerts.yaml", ["its first keys say what it is"]
            )
    return sources


def _standing(home: Path) -> Sources:
    """All files of a hub: those that run, their tests, and its `connections.yaml` if there is one."""
    sources = Sources(flows=flow_files([home / "flows"]))
    for folder in (shipped("flows"), home / "flows"):
        for file in sorted(folder.glob("*.test.yaml")) if folder.is_dir() else ():
            sources.tests[f"flows/{file.name}"] = file.read_text("utf-8")
    connections = home / "connections.yaml"
    if connections.is_file():
        sources.connections["connections.yaml"] = connections.read_text("utf-8")
    own = home / rules.FILE
    if own.is_file():
        sources.alerts[rules.FILE] = own.read_text("utf-8")
    return sources


def _of_alerts(file: str, text: str) -> list[Finding]:
    found = rules.read(text, file)
    return [*found.problems, *found.advice]


def _tested(flows: Iterable[FlowFile]) -> list[str]:
    """The flows given by their file that have a test beside it, given or not."""
    return [flow.name for flow in flows if Path(flow.file).with_suffix("").with_suffix(".test.yaml").is_file()]


def _roots(paths: Iterable[Path]) -> list[Path]:
    """The folders whose `mappings` belong to what is at these paths."""
    found = []
    for path in paths:
        start = path if path.is_dir() else path.parent
        found += [each for each in (start, start.parent, start.parent.parent) if (each / "mappings").is_dir()][:1]
    return found


def _root(manifest: Path) -> Path:
    """The folder whose `connectors` a manifest stands in."""
    return manifest.absolute().parent.parent.parent


def _checked(registry: Registry, sources: Sources, given: bool) -> list[Connector]:
    folders = {Path(file).absolute().parent for file in sources.connectors}
    return [connector for connector in registry if not given or connector.folder.absolute() in folders]


def _problems_of(connector: Connector) -> list[Finding]:
    try:
        connector.check()
    except (ManifestError, SchemaErrors) as error:
        return error.problems
    except BrokenConnector as error:
        return [Problem(f"connectors/{connector.name}/connector.yaml", 1, 1, "code", str(error))]
    return []
