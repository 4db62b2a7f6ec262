"""The graph of the flows of a hub, and of the shipped ones for the documentation."""

from __future__ import annotations

from hub.connect.manifest import ManifestError
from hub.connect.registry import Registry
from hub.flows.active import flow_files, load_flows
from hub.flows.context import ConnectionInfo, MappingFolder, Roles
from hub.flows.drawing import svg
from hub.flows.graph import Graph, graph
from hub.workers.admin.errors import AdminError
from hub.workers.admin.setup import bound
from hub.workers.settings import Settings


def drawn(settings: Settings | None = None) -> Graph:
    """The graph of all flows, of the home and shipped; without settings of the shipped ones alone. Raises: AdminError when
    one does not lint."""
    home = settings.home if settings is not None else None
    registry = Registry.discover(home)
    connections = bound(settings, registry) if settings is not None else []
    roles = Roles({info.id: info for info in connections}, registry)
    files = flow_files([home / "flows"] if home else [])
    loaded = load_flows(files, roles, MappingFolder.standard([home / "mappings"] if home else []))
    if loaded.problems:
        said = sorted({str(problem) for problem in loaded.problems})
        raise AdminError("flows that do not lint cannot be drawn: run `hub lint`", said)
    return graph(loaded.flows, _players(registry, connections))


def shipped_svg() -> str:
    """The picture of the shipped flows."""
    return svg(drawn())


def _players(registry: Registry, connections: list[ConnectionInfo]) -> dict[str, list[str]]:
    """Who plays each role, for people: its connections, else each connector that can."""
    players: dict[str, list[str]] = {}
    for info in connections:
        for role in info.roles:
            players.setdefault(role, []).append(f"{info.name} ({info.connector})")
    able: dict[str, list[str]] = {}
    for connector in registry:
        try:
            manifest = connector.manifest
        except ManifestError:
            continue  # `hub lint` says what is wrong with it
        for role in manifest.roles:
            able.setdefault(role, []).append(manifest.title)
    return {**able, **players}
