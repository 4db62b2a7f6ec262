"""JSON Schema of a mapping's file, made from the keys that `hub.mapping.mapping` knows."""

from __future__ import annotations

from typing import Any

from hub.mapping.mapping import BLOCK, EACH, RESERVED, TOP

_EXPRESSION = {"type": ["string", "number", "boolean", "null"]}
_NODE = {"$ref": "#/$defs/node"}
#: what each key says; a key without a line here is in the schema all the same
_SAID = {
    "mapping": "Its name: connector and record, `shopify/order`.",
    "from": "The kind of record that it reads: `shopify.order`, `invoice`.",
    "to": "The kind of record that it makes: `order`, `smtp.message`.",
    "tables": "Tables of plain data, by their names: nothing in them is an expression.",
    "allow": "Rules of `hub lint` that may be broken here, each with the reason why.",
    "let": "Values needed more than once: names and their expressions, each of which sees those before it.",
    "map": "What is made; each leaf is an expression.",
    "each": "An expression that gives the list whose items become those of this list.",
    "as": "What an item is called; `item` without it.",
    "when": "An expression: where it does not hold, an item is left out, and a block is null.",
    "concat": "Lists that become one; null counts as empty.",
}
_VALUES: dict[str, Any] = {
    "mapping": {"type": "string", "minLength": 1},
    "from": {"type": "string", "minLength": 1},
    "to": {"type": "string", "minLength": 1},
    "tables": {"type": ["object", "null"], "additionalProperties": {"type": "object"}},
    "allow": {"type": ["object", "null"], "additionalProperties": {"type": "string", "minLength": 1}},
    "let": {"type": ["object", "null"], "additionalProperties": {"$ref": "#/$defs/expression"}},
    "map": _NODE,
    "each": {"$ref": "#/$defs/expression"},
    "as": {"type": "string"},
    "when": {"$ref": "#/$defs/expression"},
    "concat": {"type": "array", "items": {"$ref": "#/$defs/part"}},
}


def mapping_schema() -> dict[str, Any]:
    """The schema of `mappings/*/*.yaml`. What is wrong inside an expression, `hub lint` says."""
    no_reserved = {"propertyNames": {"not": {"enum": sorted(RESERVED)}}}
    objects = {"type": "object", "additionalProperties": _NODE, **no_reserved}
    top = {**_object(TOP, ("mapping", "from", "to", "map")), "type": "object"}
    top["properties"]["map"] = {**objects, "description": _SAID["map"]}
    # the first key that is there says what an object is, as when it is compiled
    forms = _first(
        ("each", _object(EACH, ("each", "map"))),
        ("concat", _object(("concat",), ("concat",))),
        ("map", _object(BLOCK, ("map",))),
        otherwise=objects,
    )
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "A mapping of the hub",
        "description": "Turns one record into another; each leaf is an expression.",
        **top,
        "$defs": {
            "expression": {**_EXPRESSION, "description": "An expression, or a number, true, false or null."},
            "node": {
                "description": "An expression, an object, a list, `each` with `map`, `concat`, or `when` with `map`.",
                "if": {"type": "object"},
                "then": forms,
                "else": {"type": ["string", "number", "boolean", "null", "array"], "items": _NODE},
            },
            "part": {
                "description": "A list: an expression, a list, or an object with `each`, `concat` or `map`.",
                "type": ["string", "array", "object"],
                "if": {"type": "object"},
                "then": {"anyOf": [{"required": [word]} for word in sorted(RESERVED)]},
                "allOf": [_NODE],
            },
        },
    }


def _object(keys: tuple[str, ...], needed: tuple[str, ...]) -> dict[str, Any]:
    properties = {
        key: {**_VALUES.get(key, {}), **({"description": _SAID[key]} if key in _SAID else {})} for key in keys
    }
    return {"properties": properties, "required": list(needed), "additionalProperties": False}


def _first(*forms: tuple[str, dict[str, Any]], otherwise: dict[str, Any]) -> dict[str, Any]:
    made = otherwise
    for key, form in reversed(forms):
        made = {"if": {"required": [key]}, "then": form, "else": made}
    return made
