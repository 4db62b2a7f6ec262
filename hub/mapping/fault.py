"""What a guarded operation raises; the program that runs it adds the place."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from hub.records.money import Money

_SHOWN = 40


class Fault(Exception):
    """An operation that cannot be done.

    With `operand` (0 left, 1 right), `{operand}` in the message and the hint stands for the source text of that operand
    and the error points at it instead of at the whole operation.
    """

    def __init__(self, rule: str, message: str, hint: str = "", operand: int | None = None) -> None:
        super().__init__(rule, message, hint)
        self.rule = rule
        self.message = message
        self.hint = hint
        self.operand = operand


def shorten(text: str) -> str:
    """Text that is short enough for a message."""
    return text if len(text) <= _SHOWN else text[:_SHOWN] + "..."


def describe(value: Any) -> str:
    """A value in the words of the language, e.g. `text 'abc'`."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return f"text {shorten(value)!r}"
    if isinstance(value, Decimal):
        return f"number {shorten(str(value))}"
    if isinstance(value, int):
        # str() of an integer of thousands of digits is refused by Python.
        return f"number {value}" if value.bit_length() < 256 else "a very large number"
    if isinstance(value, Money):
        return f"money {value.amount} minor units of {shorten(value.currency)}"
    if isinstance(value, dict):
        return "an object"
    if isinstance(value, (list, tuple)):
        return "a list"
    return f"a value of type {type(value).__name__}"
