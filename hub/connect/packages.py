"""Folders that installed packages bring, by entry point. A package that is broken stops nothing: it is told and left out."""

from __future__ import annotations

import importlib.metadata
import importlib.util
from collections.abc import Container
from importlib.metadata import EntryPoint
from pathlib import Path

from hub.mapping.document import Problem


def found(group: str, file: str, *, taken: Container[str] = ()) -> tuple[dict[str, Path], list[Problem]]:
    """The folders that entry points of a group name, each with `file` in it, and what is wrong with the others.

    A name counts for nobody when two packages bring it: which one would be meant is for a person to say. Names `taken` are
    not for packages."""
    points: dict[str, list[EntryPoint]] = {}
    for point in importlib.metadata.entry_points(group=group):
        points.setdefault(point.name, []).append(point)
    folders: dict[str, Path] = {}
    problems: list[Problem] = []
    for name, all_of_it in sorted(points.items()):
        owners = sorted({_owner(point) for point in all_of_it})
        place = f"entry point {group} {name}"
        if name in taken:
            message = f"{' and '.join(owners)} may not bring {name!r}: the hub has it already"
            problems.append(Problem(place, 1, 1, "package-name", message, "rename it in the package, or uninstall it"))
        elif len({point.value for point in all_of_it}) > 1:
            message = f"{' and '.join(owners)} both bring {name!r}: none of the two is used"
            problems.append(Problem(place, 1, 1, "package-name", message, f"uninstall one: pip uninstall {owners[-1]}"))
        else:
            try:
                folders[name] = _folder(all_of_it[0].module, file)
            except LookupError as error:
                message = f"{owners[0]} says that {name!r} is the package {all_of_it[0].module}, which {error.args[0]}"
                problems.append(Problem(place, 1, 1, "package-broken", message, f"install {owners[0]} again"))
    return folders, problems


def _folder(module: str, file: str) -> Path:
    """The folder of a package with `file` in it. Raises: LookupError with what is wrong."""
    try:
        # a dotted name runs the code of its parents, which may raise anything
        spec = importlib.util.find_spec(module)
    except Exception as error:
        raise LookupError(f"cannot be loaded: {type(error).__name__}: {error}") from error
    if spec is None:
        raise LookupError("is not there")
    for folder in spec.submodule_search_locations or ():
        if (Path(folder) / file).is_file():
            return Path(folder)
    raise LookupError(f"has no {file}")


def _owner(point: EntryPoint) -> str:
    return point.dist.name if point.dist is not None else point.module
