"""What is linted together: flows, mappings and other files, and the connectors that could play their roles."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

from hub.connect.manifest import Manifest, ManifestError
from hub.connect.registry import Registry
from hub.flows.context import ConnectionInfo, MappingFolder, Roles
from hub.flows.definition import FlowErrors, read_flow
from hub.flows.lint.scope import record_types
from hub.flows.lint.view import FlowView
from hub.flows.source import FlowFile, emitted, sub_flows, written_steps
from hub.flows.steps import KINDS
from hub.flows.triggers import CORE_EVENTS
from hub.mapping import Document, Problem, SourceError, load_document
from hub.mapping.schema_file import SchemaErrors
from hub.mapping.syntax import Refusal, parse
from hub.records.joins import join_all
from hub.records.schema import ANY, Type


@dataclass
class Project:
    """Files that belong together. `bound` are the connections that are there: a role that none of them plays is tried
    with every connector that can play it. `only` names the files to speak of: the others are what they are read with."""

    flows: Sequence[FlowFile]
    mappings: MappingFolder
    registry: Registry
    bound: Sequence[ConnectionInfo] = ()
    #: files beside them, tests and `connections.yaml`, by the name that is shown
    others: Mapping[str, str] = field(default_factory=dict)
    #: the flows that have a test beside them, by file name
    tested: frozenset[str] = frozenset()
    only: frozenset[str] | None = None
    #: what could not be read
    problems: list[Problem] = field(default_factory=list)
    _schemas: dict[str, Type] = field(default_factory=dict)

    def speaks_of(self, file: str) -> bool:
        """Whether what is wrong in a file is to be said."""
        return self.only is None or file in self.only

    @cached_property
    def documents(self) -> dict[str, Document]:
        """The flows that are sound YAML, by file."""
        found = {}
        for file in self.flows:
            try:
                found[file.file] = file.document
            except SourceError as error:
                self.problems.append(error.problem)
        return found

    @cached_property
    def other_documents(self) -> list[Document]:
        """The mappings and the files beside that are sound YAML."""
        found: list[Document | None] = []
        for name in self.mappings.names():
            if not self.speaks_of(self.mappings.file(name)):
                continue
            mapping = self.mappings.get(name)
            if mapping is not None:
                found.append(mapping.document)
            elif name in self.mappings.texts:
                found.append(self._document(self.mappings.texts[name], self.mappings.file(name)))
        found += [self._document(text, file) for file, text in self.others.items()]
        return [document for document in found if document is not None]

    def _document(self, text: str, file: str) -> Document | None:
        try:
            return load_document(text, file)
        except SourceError as error:
            self.problems.append(error.problem)
            return None

    @cached_property
    def views(self) -> list[FlowView]:
        """The flows that can be looked at. What their steps refuse is in `reads`."""
        events = CORE_EVENTS.union(*(emitted(file, KINDS) for file in self.flows))
        callable = sub_flows(self.flows)
        found = []
        for file in self.flows:
            if file.file not in self.documents:
                continue
            try:
                reads = [
                    read_flow(file, roles, self.mappings, KINDS, events, callable)
                    for roles in self.castings(set(_roles(file.value)))
                ]
            except FlowErrors as error:
                self.problems += error.problems
                continue
            view = FlowView(file.name, tuple(reads), self)
            found.append(replace(view, record=join_all(record_types(view))))
        return found

    def schema(self, kind: str) -> Type:
        """What a kind of record looks like, `shopify.order` or `invoice`; `any` where nobody described it."""
        if kind not in self._schemas:
            try:
                self._schemas[kind] = self.registry.schema(kind) or ANY
            except (ManifestError, SchemaErrors):
                self._schemas[kind] = ANY  # said where connectors are checked
        return self._schemas[kind]

    def emitted_names(self, event: str) -> tuple[set[str], bool]:
        """The names that an event of flows brings, and whether it may bring more: what is emitted is not written out."""
        subject, names, is_open = event.partition(".")[0], set[str](), False
        for record in self._emitted.get(event, ()):
            keys = _object_keys(record)
            if keys is None:
                names, is_open = names | {subject}, True
            else:
                names |= keys if subject in keys else {subject}
        return names or {subject}, is_open

    @cached_property
    def _emitted(self) -> dict[str, list[str]]:
        found: dict[str, list[str]] = {}
        for document in self.documents.values():
            steps = document.value.get("steps") if isinstance(document.value, dict) else None
            for name, settings in written_steps(steps, KINDS):
                if name == "emit" and isinstance(settings.get("event"), str):
                    found.setdefault(settings["event"], []).append(str(settings.get("record", "record")))
        return found

    # Roles

    @cached_property
    def manifests(self) -> dict[str, Manifest]:
        """The manifests that are sound, by connector."""
        found = {}
        for connector in self.registry:
            try:
                found[connector.name] = connector.manifest
            except ManifestError:
                continue  # said where connectors are checked
        return found

    @cached_property
    def bound_roles(self) -> frozenset[str]:
        """The roles that connections play."""
        return frozenset(role for info in self.bound for role in info.roles)

    @cached_property
    def known_roles(self) -> frozenset[str]:
        """The roles that a connection plays or a connector can play."""
        return self.bound_roles.union(*(manifest.roles for manifest in self.manifests.values()))

    def players(self, role: str) -> list[ConnectionInfo]:
        """Who plays a role: its connections, or a stand-in for each connector that can."""
        if role in self.bound_roles:
            return [info for info in self.bound if role in info.roles]
        return [info for info in self._stand_ins if role in self.manifests[info.connector].roles]

    @cached_property
    def _stand_ins(self) -> list[ConnectionInfo]:
        free = {
            name: [role for role in found.roles if role not in self.bound_roles]
            for name, found in self.manifests.items()
        }
        return [
            ConnectionInfo(-number, name, name, "observe", None, {}, tuple(roles))
            for number, (name, roles) in enumerate(free.items(), 1)
            if roles
        ]

    def manifest(self, info: ConnectionInfo) -> Manifest | None:
        return self.manifests.get(info.connector)

    @cached_property
    def roles(self) -> Roles:
        """All connections, and all stand-ins: for questions about one of them."""
        return Roles({info.id: info for info in (*self.bound, *self._stand_ins)}, self.registry)

    def castings(self, roles: Iterable[str]) -> Iterator[Roles]:
        """The roles of one flow, played by one connector each, as often as the role with the most connectors needs."""
        players = {role: self.players(role) for role in sorted(roles) if role not in self.bound_roles}
        for turn in range(max((len(each) for each in players.values()), default=1) or 1):
            chosen: dict[int, list[str]] = {}
            for role, each in players.items():
                if each:
                    chosen.setdefault(each[turn % len(each)].id, []).append(role)
            by_id = {info.id: info for info in self._stand_ins}
            stand_ins = [_playing(by_id[id_], tuple(playing)) for id_, playing in chosen.items()]
            yield Roles({info.id: info for info in (*self.bound, *stand_ins)}, self.registry)


def in_each(choices: Iterable[Iterable[Problem]]) -> list[Problem]:
    """The problems that are there whichever connector plays a role: one that nobody plays yet may still go to the
    connector that can."""
    first, *others = [
        {(each.file, each.line, each.column, each.rule): each for each in problems} for problems in choices
    ]
    return [problem for place, problem in first.items() if all(place in other for other in others)]


def _playing(info: ConnectionInfo, roles: tuple[str, ...]) -> ConnectionInfo:
    return ConnectionInfo(info.id, info.name, info.connector, info.mode, info.go_live_at, info.settings, roles)


def _roles(value: Any) -> Iterator[str]:
    """Every role that a flow names."""
    if isinstance(value, dict):
        for key, inner in value.items():
            if key in ("role", "connections") and isinstance(inner, str):
                yield inner
            else:
                yield from _roles(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _roles(inner)


def _object_keys(text: str) -> set[str] | None:
    """The keys of an expression that is an object written out; None when it is something else."""
    try:
        tree = parse(text)
    except Refusal:
        return None
    if not isinstance(tree, ast.Dict):
        return None
    keys = {key.value if isinstance(key, ast.Constant) else None for key in tree.keys}
    return {key for key in keys if isinstance(key, str)} if all(isinstance(key, str) for key in keys) else None
