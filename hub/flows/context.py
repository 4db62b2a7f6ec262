"""What a merchant's flows run with: connections, roles, mappings, posting rules."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection

from hub.connect.links import with_defaults
from hub.connect.manifest import Operation
from hub.connect.paths import fill_settings
from hub.connect.registry import Connector, Registry, shipped
from hub.connect.tables import Connection as ConnectionTable
from hub.connect.tables import RoleBinding
from hub.mapping import Mapping as RecordMapping
from hub.mapping import MappingErrors, Problem, coverage, load_mapping

_CONNECTION = ConnectionTable.__table__  # type: ignore[attr-defined]
_ROLE = RoleBinding.__table__  # type: ignore[attr-defined]
#: names that every mapping may use beside the fields of its record
MAPPING_NAMES = ("settings", "connection", "event")


@dataclass(frozen=True)
class ConnectionInfo:
    """A connection without its secrets."""

    id: int
    name: str
    connector: str
    mode: str
    go_live_at: int | None
    settings: Mapping[str, Any]
    roles: tuple[str, ...] = ()

    def scope(self) -> dict[str, Any]:
        """What expressions see of it."""
        return {"id": self.id, "name": self.name, "connector": self.connector}


@dataclass(frozen=True)
class Roles:
    """Connections by id and by role, and the connectors they are of."""

    connections: Mapping[int, ConnectionInfo]
    registry: Registry

    def of(self, role: str) -> list[ConnectionInfo]:
        return [info for info in self.connections.values() if role in info.roles]

    def connector(self, info: ConnectionInfo) -> Connector:
        return self.registry.get(info.connector)

    def operation(self, info: ConnectionInfo, name: str) -> Operation | None:
        return self.connector(info).manifest.operations.get(name)

    def ladder(self, info: ConnectionInfo, operation: Operation) -> str:
        """How a connection makes an operation safe: a key whose place its settings leave empty gives `none`."""
        if operation.ladder == "native_key" and operation.key is not None:
            settings = with_defaults(self.connector(info).manifest, info.settings)
            if not fill_settings(operation.key.name, settings):
                return "none"
        return operation.ladder

    def named(self, name: str) -> ConnectionInfo | None:
        return next((info for info in self.connections.values() if info.name == name), None)


def load_roles(connection: Connection, merchant_id: int, registry: Registry) -> Roles:
    """Reads a merchant's connections and roles."""
    bound: dict[int, list[str]] = {}
    for row in connection.execute(
        sa.select(_ROLE.c.connection_id, _ROLE.c.role).where(_ROLE.c.merchant_id == merchant_id).order_by(_ROLE.c.role)
    ):
        bound.setdefault(row.connection_id, []).append(row.role)
    rows = connection.execute(
        sa.select(_CONNECTION).where(_CONNECTION.c.merchant_id == merchant_id).order_by(_CONNECTION.c.id)
    )
    return Roles(
        {
            row.id: ConnectionInfo(
                row.id,
                row.name,
                row.connector,
                row.mode,
                row.go_live_at,
                json.loads(row.settings),
                tuple(bound.get(row.id, ())),
            )
            for row in rows
        },
        registry,
    )


@dataclass
class MappingFolder:
    """Mappings by `connector/name`, from the home and from what is shipped; the home's take the place of shipped ones.
    `given` are texts that take the place of both, with the file that is shown for each."""

    folders: list[Path]
    given: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    _loaded: dict[str, RecordMapping | None] = field(default_factory=dict)
    texts: dict[str, str] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)

    @classmethod
    def standard(cls, homes: Iterable[Path] = (), given: Mapping[str, tuple[str, str]] | None = None) -> MappingFolder:
        return cls([*homes, shipped("mappings")], given or {})

    @classmethod
    def frozen(cls, texts: Mapping[str, str]) -> MappingFolder:
        """Mappings of an earlier version, from their texts."""
        folder = cls([])
        for name, text in texts.items():
            folder.texts[name] = text
            folder._loaded[name] = _compiled(text, f"mappings/{name}.yaml")
        return folder

    def get(self, name: str) -> RecordMapping | None:
        """The mapping of a name, or None when there is none or it does not lint (see `problems`)."""
        if name not in self._loaded:
            self._loaded[name] = self._load(name)
        return self._loaded[name]

    def file(self, name: str) -> str:
        """The file of a mapping, as it is shown."""
        return self.given[name][0] if name in self.given else f"mappings/{name}.yaml"

    def _load(self, name: str) -> RecordMapping | None:
        text = self._text(name)
        if text is None:
            return None
        self.texts[name] = text
        try:
            return _compiled(text, self.file(name))
        except MappingErrors as error:
            self.problems.extend(error.problems)
            return None

    def _text(self, name: str) -> str | None:
        if name in self.given:
            return self.given[name][1]
        files = (folder / f"{name}.yaml" for folder in self.folders)
        return next((file.read_text("utf-8") for file in files if file.is_file()), None)

    def names(self) -> list[str]:
        """All mappings there are."""
        found = {
            f"{file.parent.name}/{file.stem}"
            for folder in self.folders
            if folder.is_dir()
            for file in folder.glob("*/*.yaml")
        }
        return sorted(found | set(self.given))


def _compiled(text: str, file: str) -> RecordMapping:
    """A mapping, compiled once a process: it is the same for whoever has the same text. Raises: MappingErrors."""
    # while coverage is on each is compiled anew, with its probes
    return _compile(text, file) if coverage.active is None else _compile.__wrapped__(text, file)


@lru_cache(maxsize=256)
def _compile(text: str, file: str) -> RecordMapping:
    return load_mapping(text, file, extra_names=MAPPING_NAMES)
