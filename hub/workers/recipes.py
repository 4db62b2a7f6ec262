"""Recipes: flows that are ready and do not run until somebody takes them. One is a folder of `recipes/` with the layout of
a hub's own: `flows/` with their tests, and `mappings/`. Taking one copies its files into the hub's folder, where they are the
merchant's to change."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from hub.connect.registry import shipped
from hub.mapping import load_document

_KINDS = ("flows", "mappings")


class RecipeRefused(Exception):
    """A recipe that cannot be taken: why, and in `problems` what it is about."""

    def __init__(self, message: str, problems: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.problems = list(problems)


@dataclass(frozen=True)
class Recipe:
    """A recipe that is shipped. `roles` are those that its tests give to connections."""

    name: str
    description: str
    roles: tuple[str, ...]
    folder: Path

    def files(self) -> list[PurePosixPath]:
        """Its files, by their paths in a hub's folder."""
        found = (file for kind in _KINDS for file in sorted((self.folder / kind).rglob("*")) if file.is_file())
        return [PurePosixPath(file.relative_to(self.folder).as_posix()) for file in found]


def recipes() -> list[Recipe]:
    """All recipes, by name."""
    folders = sorted(folder for folder in shipped("recipes").iterdir() if (folder / "flows").is_dir())
    return [_recipe(folder) for folder in folders]


def take(name: str, home: Path) -> list[Path]:
    """Copies the files of a recipe into a hub's folder. Returns those that were written: one that is there with the same
    content stays. Nothing is written when one is there with other content. Raises: RecipeRefused."""
    recipe = next((each for each in recipes() if each.name == name), None)
    if recipe is None:
        raise RecipeRefused(f"there is no recipe {name!r}; these there are:", [each.name for each in recipes()])
    wanted = {home / path: (recipe.folder / path).read_bytes() for path in recipe.files()}
    there = {file: file.read_bytes() for file in wanted if file.is_file()}
    differing = [str(file) for file, content in there.items() if content != wanted[file]]
    if differing:
        raise RecipeRefused("nothing was written: these files are there already, with other content", differing)
    made = [file for file in wanted if file not in there]
    for file in made:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(wanted[file])
    return made


def _recipe(folder: Path) -> Recipe:
    flow = load_document((folder / "flows" / f"{folder.name}.yaml").read_text("utf-8"), folder.name).value
    test = load_document((folder / "flows" / f"{folder.name}.test.yaml").read_text("utf-8"), folder.name).value
    return Recipe(folder.name, str(flow["description"]), tuple(test["roles"]), folder)
