"""The graph of flows: what starts them, what they do in the core, announce and send. Made from compiled flows; one that is
called is a part of its callers."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from hub.flows.definition import Flow
from hub.flows.run import Block, Step
from hub.flows.steps import KINDS
from hub.flows.triggers import On

_NAMES = {kind.config.__module__: name for name, kind in KINDS.items()}


class Column(StrEnum):
    """Where a node stands, from left to right."""

    START = "starts"
    STARTED = "flows"
    CORE = "core"
    EVENT = "events"
    ANSWER = "flows that answer"
    OPERATION = "systems"


@dataclass(frozen=True, order=True)
class Node:
    """One box. `lines` stand below its name; `about` explains it."""

    column: Column
    name: str
    lines: tuple[str, ...] = ()
    about: str = ""


#: a node's column and name: no two nodes have both
Key = tuple[Column, str]


@dataclass(frozen=True)
class Graph:
    """Nodes in a fixed order, and edges between them, both without repeats."""

    nodes: tuple[Node, ...]
    edges: tuple[tuple[Node, Node], ...]


def graph(flows: Sequence[Flow], players: Mapping[str, Sequence[str]]) -> Graph:
    """The graph of flows; `players` says who plays each role, for people."""
    builder = _Builder(players)
    for flow in sorted(flows, key=lambda each: each.name):
        builder.add(flow)
    return builder.graph()


def steps_of(steps: Iterable[Step]) -> Iterator[tuple[str, Step]]:
    """Steps with their names, those inside other steps and of called flows included, in order."""
    for step in steps:
        yield _NAMES[type(step).__module__], step
        if isinstance(step, Block):
            yield from steps_of(step.parts())


def _setting(step: Step, name: str) -> str:
    """A setting of a step, wherever it keeps it; empty without one."""
    value = getattr(step, name, None) or getattr(getattr(step, "config", None), name, None)
    return value if isinstance(value, str) else ""


class _Builder:
    def __init__(self, players: Mapping[str, Sequence[str]]) -> None:
        self._players = players
        self._nodes: dict[Key, Node] = {}
        self._edges: dict[tuple[Key, Key], None] = {}

    def add(self, flow: Flow) -> None:
        """A flow with what starts it and what it reaches."""
        on, steps = flow.on, list(steps_of(flow.steps))
        column = Column.STARTED if on.event is None else Column.ANSWER
        about = flow.document.value.get("description", "")
        place = self._node(column, flow.name, _lines(steps), about if isinstance(about, str) else "")
        self._edge(self._start(on), place)
        for name, step in steps:
            self._reach(place, name, step)

    def _start(self, on: On) -> Key:
        if on.event is not None:
            return self._node(Column.EVENT, on.event)
        if on.role is not None:
            return self._node(Column.START, on.name, self._who(on.role))
        word = "manual" if on.manual is not None else "schedule"
        return self._node(Column.START, f"{word} {on.name}")

    def _reach(self, place: Key, name: str, step: Step) -> None:
        if name == "deliver":
            role = _setting(step, "role")
            self._edge(place, self._node(Column.OPERATION, f"{role}: {_setting(step, 'operation')}", self._who(role)))
        elif name == "emit":
            self._edge(place, self._node(Column.EVENT, _setting(step, "event")))
        elif name == "fetch":
            role, what = _setting(step, "role"), _setting(step, "record") or _setting(step, "operation")
            self._edge(self._node(Column.START, f"{role}.{what}", self._who(role)), place)
        elif "." in name and step.needs_plan:
            # what the core announces of it, it decides itself
            self._edge(place, self._core())

    def _core(self) -> Key:
        return self._node(Column.CORE, "core", ("orders, stock, books",))

    def _who(self, role: str) -> tuple[str, ...]:
        return (", ".join(self._players.get(role, ())) or "nobody yet",)

    def _node(self, column: Column, name: str, lines: tuple[str, ...] = (), about: str = "") -> Key:
        self._nodes.setdefault((column, name), Node(column, name, lines, about))
        return column, name

    def _edge(self, source: Key, target: Key) -> None:
        self._edges[source, target] = None

    def graph(self) -> Graph:
        announced = {target for _, target in self._edges if target[0] is Column.EVENT}
        for key in [key for key in self._nodes if key[0] is Column.EVENT and key not in announced]:
            self._edge(self._core(), key)
        order = list(Column)
        nodes = sorted(self._nodes.values(), key=lambda node: (order.index(node.column), node.name))
        edges = sorted(self._edges, key=lambda edge: [(order.index(column), name) for column, name in edge])
        return Graph(tuple(nodes), tuple((self._nodes[source], self._nodes[target]) for source, target in edges))


def _lines(steps: Iterable[tuple[str, Any]]) -> tuple[str, ...]:
    """What a flow does in between, each said once: its mappings, and what it does in the core."""
    said: dict[str, None] = {}
    for name, step in steps:
        if name == "map":
            said[f"map {_setting(step, 'name')}"] = None
        elif "." in name:
            said[name] = None
    return tuple(said)
