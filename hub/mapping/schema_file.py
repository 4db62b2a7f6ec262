"""Schema files: what a record of a connector looks like, `connectors/<connector>/schemas/<record>.yaml`.

```yaml
schema: example.order
help: an order as the shop's API gives it
types:                                  # names for what stands more than once
  line: {sku: text?, quantity: whole}
record:
  id: text
  placed_at: instant
  status: {choices: [open, paid]}
  lines: [line]
```
"""

from __future__ import annotations

from dataclasses import dataclass

from hub.mapping.document import load_document
from hub.mapping.source import Problem, SourceError
from hub.records.notation import Path, nearest, read_type, read_types
from hub.records.schema import Kind, Type

_KEYS = ("schema", "help", "types", "record")


@dataclass(frozen=True)
class Schema:
    """What a kind of record looks like."""

    name: str  # "shopify.order"
    type: Type
    help: str = ""


class SchemaErrors(Exception):
    """All that is wrong in one schema file."""

    def __init__(self, problems: list[Problem]) -> None:
        super().__init__("\n".join(map(str, problems)))
        self.problems = problems


def load_schema(text: str, file: str) -> Schema:
    """Reads a schema file. Raises: SchemaErrors, with a place for each problem."""
    try:
        document = load_document(text, file)
    except SourceError as error:
        raise SchemaErrors([error.problem]) from None
    problems: list[Problem] = []

    def report(path: Path, rule: str, message: str, hint: str) -> None:
        place = document.key_position(path) if rule in _AT_KEY else document.position(path)
        problems.append(Problem(place.file, place.line, place.column, rule, message, hint))

    value = document.value if isinstance(document.value, dict) else {}
    for key in value:
        if key not in _KEYS:
            hint = nearest(key, _KEYS) or f"known are {', '.join(_KEYS)}"
            report((key,), "unknown-key", f"{key}: is not known here", hint)
    name = value.get("schema")
    if not isinstance(name, str) or not name:
        report(("schema",), "missing-key", "schema: is the name of the record, a text that has to be given", "")
    known = read_types(value.get("types", {}), ("types",), report)
    if not isinstance(value.get("record"), dict):
        report(("record",), "missing-key", "record: holds the fields of the record", "")
    type_ = read_type(value.get("record", "object"), ("record",), known, report)
    if problems or type_.kind is not Kind.OBJECT:
        raise SchemaErrors(sorted(problems, key=lambda each: (each.line, each.column)))
    return Schema(str(name), type_, str(value.get("help") or ""))


_AT_KEY = frozenset({"unknown-key", "duplicate-key", "name"})
