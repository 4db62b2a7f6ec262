"""How much work one evaluation may do: steps that grow with its input, and caps on what it may build."""

from __future__ import annotations

from contextvars import ContextVar
from typing import Any

from hub.mapping.fault import Fault

BASE_STEPS = 20_000
STEPS_PER_INPUT_VALUE = 10
MAX_INPUT_VALUES = 1_000_000
MAX_TEXT = 1_000_000
MAX_ITEMS = 100_000
MAX_RESULT_DEPTH = 100
# Characters handled for the price of one step; copying and searching text is fast, but not free.
CHARACTERS_PER_STEP = 256


class Budget:
    """Steps left to one evaluation. What the input adds is counted only when the base is used up, which is rare."""

    __slots__ = ("extended", "inputs", "left")

    def __init__(self, inputs: tuple[Any, ...] = ()) -> None:
        self.left = BASE_STEPS
        self.inputs = inputs
        self.extended = False

    def spend(self, steps: int) -> None:
        """Takes steps; raises `Fault` when there are not enough."""
        self.left -= steps
        if self.left < 0 and not self.extended:
            self.extended = True
            self.left += STEPS_PER_INPUT_VALUE * count_values(self.inputs)
        if self.left < 0:
            raise Fault("budget", "too much work for the size of the input", "loop over fewer items, or not in a loop")


current: ContextVar[Budget] = ContextVar("work_budget")


def charge(steps: int) -> None:
    """Takes steps from the budget of the evaluation that runs here."""
    budget = current.get()
    budget.left -= steps
    if budget.left < 0:
        budget.spend(0)


def charge_text(length: int) -> None:
    """Takes the steps of handling a text, and refuses one that is too long."""
    if length > MAX_TEXT:
        raise Fault("limit", f"a text of over {MAX_TEXT:,} characters")
    if length >= CHARACTERS_PER_STEP:
        charge(length // CHARACTERS_PER_STEP)


def charge_items(length: int, steps: int = 1) -> None:
    """Takes the steps of handling a list, and refuses one that is too long."""
    if length > MAX_ITEMS:
        raise Fault("limit", f"a list of over {MAX_ITEMS:,} items")
    charge(length * steps)


def count_values(inputs: tuple[Any, ...]) -> int:
    """Number of values in the inputs, up to a limit."""
    count, stack = 0, list(inputs)
    while stack and count < MAX_INPUT_VALUES:
        value = stack.pop()
        if isinstance(value, dict):
            count += len(value)
            stack.extend(value.values())
        elif isinstance(value, (list, tuple)):
            count += len(value)
            stack.extend(value)
        elif isinstance(value, str):
            count += len(value) // CHARACTERS_PER_STEP
    return count


def charge_result(result: Any) -> None:
    """Refuses a result that would be huge once written out, such as a list of lists that share their items."""
    level, depth = [result], 0
    while level:
        depth += 1
        if depth > MAX_RESULT_DEPTH:
            raise Fault("limit", f"a result of over {MAX_RESULT_DEPTH} levels")
        below: list[Any] = []
        entries = 0
        for value in level:
            entries += len(value)
            for item in value.values() if type(value) is dict else value:
                kind = type(item)
                if kind is dict or kind is list or kind is tuple:
                    below.append(item)
                elif kind is str and len(item) >= CHARACTERS_PER_STEP:
                    entries += len(item) // CHARACTERS_PER_STEP
        charge(entries)
        level = below
