"""Flows, mappings and connectors: loading them again, and linting them where they stand."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from hub.connect.manifest import ManifestError
from hub.connect.registry import BrokenConnector, Connector, Registry
from hub.flows.active import flow_files, load_flows
from hub.flows.context import MAPPING_NAMES, ConnectionInfo, MappingFolder, Roles
from hub.mapping import Problem
from hub.mapping.check import check_mapping
from hub.mapping.schema_file import SchemaErrors
from hub.records.schema import OBJECT, Type
from hub.workers.admin.setup import bound
from hub.workers.hub import Hub
from hub.workers.settings import Settings


def reload(hub: Hub) -> dict[str, Any]:
    """Reads flows, mappings, connections and roles again; a flow that does not lint is refused, its last version goes on."""
    return {"problems": [str(problem) for problem in hub.reload()]}


def lint(settings: Settings, *, merchant_id: int = 1) -> dict[str, Any]:
    """Reads every connector, mapping and flow, of the home and shipped, and says what is wrong with which place.

    Roles are those of the hub's database where there is one; a role that no connection plays is tried with every
    connector that can play it."""
    registry = Registry.discover(settings.home)
    problems: list[Problem] = list(registry.problems)
    sound = [connector for connector in registry if not _problems_of(connector, problems)]
    folder = [settings.home / "mappings"]
    mappings = MappingFolder.standard(folder)
    for name in mappings.names():
        mappings.get(name)
    problems += mappings.problems
    problems += _types(mappings, registry, sound)
    files = flow_files([settings.home / "flows"])
    for roles in _castings(registry, sound, bound(settings, registry, merchant_id)):
        loaded = load_flows(files, roles, MappingFolder.standard(folder))
        problems += loaded.problems
    found = sorted(set(problems), key=lambda each: (each.file, each.line, each.column, each.message))
    return {
        "ok": not found,
        "problems": [
            {
                "file": each.file,
                "line": each.line,
                "column": each.column,
                "rule": each.rule,
                "message": each.message,
                "hint": each.hint,
            }
            for each in found
        ],
        "checked": {"connectors": len(registry.names()), "mappings": len(mappings.names()), "flows": len(files)},
    }


def _problems_of(connector: Connector, problems: list[Problem]) -> bool:
    """Adds what is wrong with a connector. Returns whether something is."""
    try:
        connector.check()
    except (ManifestError, SchemaErrors) as error:
        problems += error.problems
        return True
    except BrokenConnector as error:
        problems.append(Problem(f"connectors/{connector.name}/connector.yaml", 1, 1, "code", str(error)))
        return True
    return False


def _types(mappings: MappingFolder, registry: Registry, sound: Iterable[Connector]) -> Iterator[Problem]:
    """What the types of records tell about the mappings between them."""
    ours = {connector.name for connector in sound}
    names = dict.fromkeys(MAPPING_NAMES, OBJECT.or_null())

    def described(kind: str) -> Type | None:
        owner = kind.partition(".")[0]
        return None if owner in registry.names() and owner not in ours else registry.schema(kind)

    for name in mappings.names():
        mapping = mappings.get(name)
        if mapping is not None:
            source, target = described(mapping.source), described(mapping.target)
            yield from check_mapping(mapping.document, source, target, names)


def _castings(registry: Registry, sound: Iterable[Connector], bound: list[ConnectionInfo]) -> Iterator[Roles]:
    """Connections for linting: as many sets as the role with the most connectors needs, one connector a role in each."""
    taken = {role for info in bound for role in info.roles}
    players: dict[str, list[str]] = {}
    for connector in sound:
        for role in connector.manifest.roles:
            if role not in taken:
                players.setdefault(role, []).append(connector.name)
    for turn in range(max((len(names) for names in players.values()), default=1)):
        by_connector: dict[str, list[str]] = {}
        for role, names in players.items():
            by_connector.setdefault(names[turn % len(names)], []).append(role)
        stand_ins = [
            ConnectionInfo(-number, name, name, "observe", None, {}, tuple(roles))
            for number, (name, roles) in enumerate(by_connector.items(), 1)
        ]
        yield Roles({info.id: info for info in (*bound, *stand_ins)}, registry)
