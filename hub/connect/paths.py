"""Dotted paths into payloads (`Fault.Error[0].code`) and texts with places to fill (`/orders/{body.id}`)."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import quote

_STEP = re.compile(r"([^.\[\]]+)|\[(-?\d+)\]")
_PLACE = re.compile(r"\{([A-Za-z_][A-Za-z0-9_.\[\]-]*)(?:\|([a-z_]+))?\}")

#: What may stand after `|` in a place.
FILTERS: dict[str, Callable[[str], str]] = {
    # text inside single quotes of a query language that escapes with a backslash
    "quoted": lambda text: text.replace("\\", "\\\\").replace("'", "\\'"),
}


class FillError(ValueError):
    """A text has a place for which there is no value."""


def pick(value: Any, path: str) -> Any:
    """The value at a path, or None when there is none."""
    for name, index in _STEP.findall(path):
        if name:
            value = value.get(name) if isinstance(value, Mapping) else None
        else:
            place = int(index)
            value = value[place] if isinstance(value, list) and -len(value) <= place < len(value) else None
        if value is None:
            return None
    return value


def places(template: str) -> list[str]:
    """The paths of all places of a text."""
    return [match.group(1) for match in _PLACE.finditer(template)]


def fill(template: str, scope: Mapping[str, Any], *, in_path: bool = False) -> str:
    """The text with every place filled; `in_path` percent-encodes each value as one segment of a URL.

    Raises: FillError when a value is missing or is not a text or number."""

    def put(match: re.Match[str]) -> str:
        value = pick(scope, match.group(1))
        if value is None or isinstance(value, (Mapping, list, bool)):
            raise FillError(f"{match.group(0)} in {template!r} has no value")
        text = str(value)
        if match.group(2):
            text = FILTERS[match.group(2)](text)
        return quote(text, safe="") if in_path else text

    return _PLACE.sub(put, template)


def fill_settings(template: str, settings: Mapping[str, Any]) -> str:
    """Fills only the places of `settings.`; an absent setting gives an empty text."""
    if "{" not in template:
        return template

    def put(match: re.Match[str]) -> str:
        root, _, name = match.group(1).partition(".")
        if root != "settings":
            return match.group(0)
        value = settings.get(name)
        return "" if value is None else str(value)

    return _PLACE.sub(put, template)
