"""Recipes: flows that are ready and do not run until somebody takes them. One is a folder of `flows/recipes/` with the layout of
a hub's own: `flows/` with their tests, and `mappings/`. Taking one copies its files into the hub's folder, where they are the
merchant's to change."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from hub.connect.registry import shipped
from hub.mapping import load_document
from hub.workers.scaffold import Files, ScaffoldRefused

_KINDS = ("flows", "mappings")


@dataclass(frozen=True)
class Recipe:
    """A recipe that is shipped. `roles` are those that connections play in its tests."""

    name: str
    description: str
    roles: tuple[str, ...]
    folder: Path

    def files(self) -> Files:
        """Its files, for a hub's folder."""
        found = (file for kind in _KINDS for file in sorted((self.folder / kind).rglob("*")) if file.is_file())
        return {file.relative_to(self.folder).as_posix(): file.read_bytes() for file in found}


def recipes() -> list[Recipe]:
    """All recipes, by name."""
    folders = sorted(folder for folder in (shipped("flows") / "recipes").iterdir() if (folder / "flows").is_dir())
    return [_recipe(folder) for folder in folders]


def recipe(name: str) -> Recipe:
    """The recipe of a name. Raises: ScaffoldRefused."""
    known = {each.name: each for each in recipes()}
    if name not in known:
        raise ScaffoldRefused(f"there is no recipe {name!r}; these there are:", list(known))
    return known[name]


def _recipe(folder: Path) -> Recipe:
    flow = load_document((folder / "flows" / f"{folder.name}.yaml").read_text("utf-8"), folder.name).value
    test = load_document((folder / "flows" / f"{folder.name}.test.yaml").read_text("utf-8"), folder.name).value
    return Recipe(folder.name, str(flow["description"]), tuple(test["roles"]), folder)
