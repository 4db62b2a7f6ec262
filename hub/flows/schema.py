"""JSON Schema of a flow's file, made from the steps: a step that is added is in it."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Mapping
from typing import Any

from pydantic.json_schema import models_json_schema

from hub.connect.json_schema import DIALECT, Documented, Schema
from hub.flows.compiling import StepKind
from hub.flows.source import KEYS, KEYS_OF_CALLED, NEEDED, ORDERS
from hub.flows.steps import KINDS
from hub.flows.triggers import CORE_EVENTS, FORMS

_STEPS = {"$ref": "#/$defs/steps"}


def flow_schema() -> Schema:
    """The schema of `flows/*.yaml`. What needs roles, mappings or the meaning of an expression, `hub lint` says."""
    found, made = models_json_schema(
        [(kind.config, "validation") for kind in KINDS.values()], by_alias=True, schema_generator=Documented
    )
    definitions = made.get("$defs", {})
    refs = {kind.name: found[(kind.config, "validation")]["$ref"].rpartition("/")[2] for kind in KINDS.values()}
    steps = {kind.name: _step(kind, definitions.pop(refs[kind.name])) for kind in KINDS.values()}
    # a key that is added without a line here is described, and its value is left to `hub lint`
    values: dict[str, Any] = {
        **{key: {"type": "string"} for key in ("description", "when", "returns")},
        "flow": {"type": "string", "pattern": r"^-*[^\W_](-|[^\W_])*$"},
        "on": {"anyOf": [_trigger(each) for each in FORMS]},
        "order": {"enum": list(ORDERS)},
        "steps": _STEPS,
    }
    return {
        "$schema": DIALECT,
        "title": "A flow of the hub",
        "description": "What happens when something happens: a trigger and steps.",
        "type": "object",
        "properties": {
            key: {**values.get(key, {}), "description": text} for key, text in {**KEYS, **KEYS_OF_CALLED}.items()
        },
        # a sub-flow has other keys than one that something starts
        "if": {"properties": {"on": {"type": "object", "required": ["call"]}}},
        "then": {"properties": dict.fromkeys(KEYS.keys() - KEYS_OF_CALLED.keys(), False)},
        "else": {"properties": dict.fromkeys(KEYS_OF_CALLED.keys() - KEYS.keys(), False)},
        "required": list(NEEDED),
        "additionalProperties": False,
        "$defs": {
            **definitions,
            "steps": {"type": "array", "minItems": 1, "items": {"$ref": "#/$defs/step"}},
            "step": {
                "type": "object",
                "properties": steps,
                "additionalProperties": False,
                "minProperties": 1,
                "maxProperties": 1,
            },
        },
    }


def _trigger(form: Mapping[str, str]) -> Schema:
    values: dict[str, Schema] = {
        # offered by an editor; others are those that flows emit
        "event": {"anyOf": [{"enum": sorted(CORE_EVENTS)}, {"type": "string"}]},
        "call": {"type": "array", "items": {"type": "string"}},
    }
    properties = {key: {**values.get(key, {"type": "string"}), "description": text} for key, text in form.items()}
    return {"type": "object", "properties": properties, "required": list(form), "additionalProperties": False}


def _step(kind: StepKind, settings: Schema) -> Schema:
    """The settings of a step, and what may stand for them in short."""
    module = sys.modules[kind.config.__module__]
    what = inspect.cleandoc(module.__doc__ or "").partition(": ")[2]
    said = settings.pop("description", "")
    properties = settings["properties"]
    for name in kind.parts:
        properties[name] = _steps_in(properties[name])
    if settings.get("additionalProperties") is True:
        # settings of any name are expressions
        settings["additionalProperties"] = {"type": "string", "description": "An expression."}
    forms = [settings]
    if kind.short is not None and set(settings.get("required", ())) <= {kind.short}:
        # in the file it may be anything but an object, which is the long form
        forms.append({"not": {"type": "object"}, **properties[kind.short]})
    elif kind.short is None and not settings.get("required"):
        forms.append({"type": "null"})
    return {"description": f"{what[:1].upper()}{what[1:]} {said}".strip(), "anyOf": forms}


def _steps_in(value: Any) -> Any:
    """The schema of a setting that holds steps: its lists, wherever they stand in it, are lists of steps."""
    if isinstance(value, list):
        return [_steps_in(each) for each in value]
    if not isinstance(value, dict):
        return value
    if value.get("type") == "array":
        return {**{key: each for key, each in value.items() if key not in ("type", "items")}, **_STEPS}
    return {key: _steps_in(each) for key, each in value.items()}
