"""The reference of steps in `docs/flows.md`, made from the steps themselves."""

from __future__ import annotations

import inspect
import sys
import types
from typing import Any, Literal, Union, get_args, get_origin

from pydantic.fields import FieldInfo

from hub.flows.compiling import StepKind
from hub.flows.steps import KINDS
from hub.flows.triggers import CORE_EVENTS

_WORDS = {str: "text", int: "whole number", bool: "true or false", list: "list", dict: "object", type(None): "null"}


def steps_markdown() -> str:
    """Each step: what it does, its settings with their defaults."""
    return "\n".join(_step(KINDS[name]) for name in KINDS)


def events_markdown() -> str:
    """The core events, in a list."""
    return ", ".join(f"`{name}`" for name in sorted(CORE_EVENTS)) + "\n"


def _step(kind: StepKind) -> str:
    module = sys.modules[kind.config.__module__]
    what = inspect.cleandoc(module.__doc__ or "").partition(": ")[2]
    lines = [f"### `{kind.name}`", "", what[:1].upper() + what[1:], "", _one_line(kind.config.__doc__ or "")]
    if kind.short is not None:
        lines[-1] += f" Written in short, `- {kind.name}: value`, the value is `{kind.short.rstrip('_')}`."
    fields = kind.config.model_fields
    if fields:
        lines += ["", "| setting | is | default |", "| --- | --- | --- |"]
        lines += [_setting(field.alias or name, field) for name, field in fields.items()]
    return "\n".join([*lines, ""])


def _setting(name: str, field: FieldInfo) -> str:
    default = "needed" if field.is_required() else "none" if field.default is None else f"`{_plain(field.default)}`"
    return f"| `{name.rstrip('_')}` | {_kind(field.annotation)} | {default} |"


def _kind(annotation: Any) -> str:
    origin = get_origin(annotation)
    if origin is Literal:
        return " or ".join(f"`{value}`" for value in get_args(annotation))
    if origin in (Union, types.UnionType):
        return " or ".join(_kind(each) for each in get_args(annotation) if each is not type(None))
    return _WORDS.get(origin or annotation, "any value")


def _plain(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _one_line(text: str) -> str:
    return " ".join(inspect.cleandoc(text).split())
