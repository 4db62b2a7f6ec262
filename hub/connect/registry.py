"""The connectors that are there: from the checkout or the wheel, from entry points, and from `HUB_HOME/connectors`.

Every folder is loaded as the package `hub_connectors.<name>`, so that its modules import each other relatively wherever
it stands. A folder of the home takes the place of a shipped one with the same name.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from types import ModuleType
from typing import Any

import hub
from hub.connect import packages
from hub.connect.manifest import Manifest, ManifestError, load_manifest
from hub.mapping.document import Problem
from hub.mapping.schema_file import Schema, SchemaErrors, load_schema
from hub.records.schema import Type
from hub.records.structs import canonical

ROOT_PACKAGE = "hub_connectors"
ENTRY_POINTS = "hub.connectors"
_loading = threading.RLock()


class UnknownConnector(Exception):
    """No connector of this name: says which there are."""


class BrokenConnector(Exception):
    """A connector's code cannot be loaded, or lacks what its manifest names."""


@dataclass(frozen=True)
class Connector:
    """One connector: its folder, its manifest, its code."""

    name: str
    folder: Path
    _modules: dict[str, ModuleType] = field(default_factory=dict, repr=False, compare=False)

    @cached_property
    def manifest(self) -> Manifest:
        """Raises: ManifestError."""
        file = self.folder / "connector.yaml"
        manifest = load_manifest(file, f"connectors/{self.name}/connector.yaml")
        if manifest.connector != self.name:
            problem = Problem(
                f"connectors/{self.name}/connector.yaml", 1, 1, "manifest", f"says it is {manifest.connector!r}", ""
            )
            raise ManifestError([problem])
        return manifest

    def module(self, name: str) -> ModuleType:
        """A module of the folder. Raises: BrokenConnector."""
        loaded = self._modules.get(name)
        if loaded is not None:
            return loaded
        with _loading:
            _package(self.name, self.folder)
            try:
                self._modules[name] = importlib.import_module(f"{ROOT_PACKAGE}.{self.name}.{name}")
            except ImportError as error:
                raise BrokenConnector(f"connectors/{self.name}/{name}.py cannot be loaded: {error}") from error
        return self._modules[name]

    def code(self, ref: str) -> Callable[..., Any]:
        """What `module:function` names. Raises: BrokenConnector."""
        module, _, name = ref.partition(":")
        found = getattr(self.module(module), name, None)
        if not callable(found):
            raise BrokenConnector(f"connectors/{self.name}/{module}.py has no function {name}")
        return found  # type: ignore[no-any-return]

    def text(self, path: str) -> str:
        """A text file of the folder, such as a GraphQL document."""
        return (self.folder / path).read_text("utf-8")

    def schema(self, record: str) -> Type | None:
        """What a record of the connector looks like; None where nobody described it. Raises: SchemaErrors."""
        return self._schemas[record].type if record in self._schemas else None

    @cached_property
    def _schemas(self) -> dict[str, Schema]:
        """All of `schemas/`, by record."""
        problems: list[Problem] = []
        found: dict[str, Schema] = {}
        for file in sorted((self.folder / "schemas").glob("*.yaml")):
            shown = f"connectors/{self.name}/schemas/{file.name}"
            try:
                schema = load_schema(file.read_text("utf-8"), shown)
            except SchemaErrors as error:
                problems += error.problems
                continue
            if schema.name != f"{self.name}.{file.stem}":
                hint = f"the file says it is {self.name}.{file.stem}"
                problems.append(Problem(shown, 1, 1, "schema", f"says it describes {schema.name}", hint))
            found[file.stem] = schema
        if problems:
            raise SchemaErrors(problems)
        return found

    def check(self) -> None:
        """Reads the manifest and the schemas, and loads all the code that the manifest names.

        Raises: ManifestError, SchemaErrors, BrokenConnector."""
        for ref in self.manifest.code_refs():
            self.code(ref)
        self.schema("")


class Registry:
    """Connectors by name, and what is wrong with packages that bring some."""

    def __init__(self, folders: dict[str, Path], problems: Sequence[Problem] = ()) -> None:
        self._connectors = {name: Connector(name, folder) for name, folder in sorted(folders.items())}
        self.problems = tuple(problems)

    @classmethod
    def discover(cls, *homes: Path | None) -> Registry:
        """All connectors. Those of the homes take the place of others with their name, the last one's first; a package
        may not: what it brings under a name that is shipped, or that another package brings too, is a problem, and so is
        what cannot be found."""
        own = _folders(shipped("connectors"))
        packaged, problems = packages.found(ENTRY_POINTS, "connector.yaml", taken=own)
        of_homes = {name: folder for home in homes if home for name, folder in _folders(home / "connectors").items()}
        return cls({**packaged, **own, **of_homes}, problems)

    def names(self) -> list[str]:
        return list(self._connectors)

    def get(self, name: str) -> Connector:
        """Raises: UnknownConnector."""
        try:
            return self._connectors[name]
        except KeyError:
            said = next((f"{each}; " for each in self.problems if each.file.endswith(f" {name}")), "")
            raise UnknownConnector(
                f"no connector {name!r}: {said}there are {', '.join(self._connectors) or 'none'}"
            ) from None

    def schema(self, kind: str) -> Type | None:
        """What a kind of record looks like, as mappings name it: `shopify.order` of a connector, `order` or
        `payment.received` of the hub; None where nobody described it. Raises: SchemaErrors."""
        name, _, record = kind.partition(".")
        ours = canonical(kind)
        if ours is not None or name not in self._connectors:
            return ours
        return self._connectors[name].schema(record)

    def __iter__(self) -> Any:
        return iter(self._connectors.values())


def _folders(root: Path) -> dict[str, Path]:
    """The connectors of a folder."""
    return {file.parent.name: file.parent for file in root.glob("*/connector.yaml")}


def shipped(kind: str) -> Path:
    """The folder of shipped `connectors`, `flows` or `mappings`: in the wheel, else in the checkout."""
    package = Path(hub.__file__).parent
    inside = package / "shipped" / kind
    return inside if inside.is_dir() else package.parent / kind


def _package(name: str, folder: Path) -> None:
    """Makes `hub_connectors.<name>` stand for a folder; a package of that name from elsewhere is forgotten."""
    if ROOT_PACKAGE not in sys.modules:
        root = ModuleType(ROOT_PACKAGE)
        root.__path__ = [str(shipped("connectors"))]
        sys.modules[ROOT_PACKAGE] = root
    full = f"{ROOT_PACKAGE}.{name}"
    loaded = sys.modules.get(full)
    if loaded is not None:
        if [str(folder)] == [str(Path(path)) for path in loaded.__path__]:
            return
        for module in [key for key in sys.modules if key == full or key.startswith(full + ".")]:
            del sys.modules[module]
    start = folder / "__init__.py"
    if start.is_file():
        spec = importlib.util.spec_from_file_location(full, start, submodule_search_locations=[str(folder)])
        assert spec is not None
        assert spec.loader is not None
        package = importlib.util.module_from_spec(spec)
        sys.modules[full] = package
        try:
            spec.loader.exec_module(package)
        except BaseException:
            del sys.modules[full]
            raise
    else:
        package = ModuleType(full)
        package.__path__ = [str(folder)]
        package.__package__ = full
        sys.modules[full] = package
    setattr(sys.modules[ROOT_PACKAGE], name, package)
