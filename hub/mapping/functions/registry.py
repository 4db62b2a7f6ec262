"""The table of functions that expressions may call."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from hub.mapping.fault import Fault, describe
from hub.mapping.functions.signatures import Result, Types, read_types

F = TypeVar("F", bound=Callable[..., Any])

Example = tuple[str, str]  # an expression, and an expression of the same value


@dataclass(frozen=True)
class Function:
    """One function of the expression language."""

    name: str
    group: str  # heading in the documentation
    signature: str  # as an integrator reads it: "round(value, places=0)"
    doc: str  # one paragraph
    examples: tuple[Example, ...]
    call: Callable[..., Any]
    parameters: inspect.Signature
    types: Types  # what it takes and gives


FUNCTIONS: dict[str, Function] = {}


def function(group: str, *examples: Example, types: str, result: Result | None = None) -> Callable[[F], F]:
    """Puts a function into the language. Its name may end in `_` where Python has the name already. `types` is what it
    takes and gives (`signatures.py`); `result` says it where the notation cannot."""

    def register(call: F) -> F:
        signature = inspect.signature(call)
        name = call.__name__.rstrip("_")
        shown = ", ".join(_shown(parameter) for parameter in signature.parameters.values())
        doc = " ".join((call.__doc__ or "").split())
        typed = read_types(types, list(signature.parameters), result)
        FUNCTIONS[name] = Function(name, group, f"{name}({shown})", doc, examples, call, signature, typed)
        return call

    return register


def _shown(parameter: inspect.Parameter) -> str:
    if parameter.kind is inspect.Parameter.VAR_POSITIONAL:
        return f"{parameter.name}..."
    if parameter.default is inspect.Parameter.empty:
        return parameter.name
    default = parameter.default
    if default is None:
        return f"{parameter.name}=null"
    return f'{parameter.name}="{default}"' if isinstance(default, str) else f"{parameter.name}={default}"


def need_text(value: Any, what: str) -> str:
    """The value, which has to be text."""
    if type(value) is not str:
        hint = "text(x) makes text of a number" if value is not None else 'use default(x, "")'
        raise Fault("null-value" if value is None else "type", f"{what} needs text, not {describe(value)}", hint)
    return value


def need_whole(value: Any, what: str, low: int, high: int) -> int:
    """The value, which has to be a whole number of a range."""
    if type(value) is not int or not low <= value <= high:
        raise Fault("type", f"{what} needs a whole number from {low} to {high}, not {describe(value)}")
    return value


def need_list(value: Any, what: str) -> list[Any] | tuple[Any, ...]:
    """The value, which has to be a list; null counts as empty."""
    if value is None:
        return ()
    if not isinstance(value, list | tuple):
        raise Fault("type", f"{what} needs a list, not {describe(value)}")
    return value
