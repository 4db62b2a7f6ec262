"""Values as YAML on one line, as people write them in tests."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

from hub.mapping import SourceError, load_document


def rendered(value: Any) -> str:
    """A value as YAML on one line, good inside brackets and outside."""
    if isinstance(value, dict):
        return (
            "{"
            + ", ".join(
                f"{rendered(str(name)) if not str(name).isdigit() else name}: {rendered(each)}"
                for name, each in value.items()
            )
            + "}"
        )
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(map(rendered, value)) + "]"
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, Decimal)):
        return str(value)
    text = str(value)
    try:
        plain = "\n" not in text and load_document(f"[{text}]\n", "").value == [text] and "#" not in text
    except SourceError:
        plain = False
    return text if plain else json.dumps(text, ensure_ascii=False)
