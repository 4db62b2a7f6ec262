"""What an expression reads: its free names with their places, the functions that it calls, whether it may give null."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

from hub.mapping.expression import compile_expression
from hub.mapping.source import Position, SourceError
from hub.mapping.syntax import Refusal, Spans, parse

_WORDS = frozenset({"null", "true", "false"})
#: functions whose value may be null although none of their arguments is
_NULL_WHEN_EMPTY = {"first": 1, "last": 1, "min": 1, "max": 1}


@dataclass(frozen=True)
class Read:
    """A name that an expression reads, and the first field of it: `event.subject`."""

    name: str
    field: str | None
    node: ast.Name


@dataclass(frozen=True)
class Written:
    """A sound expression of a flow or mapping, where it stands in its file."""

    text: str
    position: Position

    @property
    def start(self) -> Position:
        """Where its first character stands."""
        return self.position.inside(0, self.text)

    @cached_property
    def tree(self) -> ast.expr:
        return parse(self.text)

    @cached_property
    def reads(self) -> tuple[Read, ...]:
        """Its free names, each time that one is read."""
        return tuple(_reads(self.tree, frozenset()))

    @cached_property
    def names(self) -> frozenset[str]:
        return frozenset(read.name for read in self.reads)

    def sound_names(self) -> frozenset[str]:
        """Its free names; none when it is no expression."""
        try:
            return self.names
        except Refusal:
            return frozenset()

    @cached_property
    def calls(self) -> frozenset[str]:
        """The functions that it calls."""
        return frozenset(
            node.func.id
            for node in ast.walk(self.tree)
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
        )

    def call_of(self, functions: frozenset[str]) -> ast.expr | None:
        """A call of one of these functions."""
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in functions:
                return node
        return None

    def at(self, node: ast.expr) -> Position:
        """Where a part of it stands."""
        return self.position.inside(Spans(self.text).of(node)[0], self.text)

    @property
    def null_part(self) -> ast.expr | None:
        """The part that can make it null whatever it reads; None when there is none."""
        return _null_part(self.tree)

    def constant(self) -> tuple[bool, object]:
        """Whether it reads nothing, and its value then."""
        if self.reads:
            return False, None
        try:
            return True, compile_expression(self.text, self.position).evaluate({})
        except SourceError:  # it fails whenever it runs: said when it does
            return False, None


def _reads(node: ast.AST, bound: frozenset[str], field: str | None = None) -> Iterator[Read]:
    if isinstance(node, ast.Name):
        if node.id not in bound and node.id not in _WORDS:
            yield Read(node.id, field, node)
    elif isinstance(node, ast.Attribute):
        yield from _reads(node.value, bound, node.attr)
    elif isinstance(node, ast.Subscript):
        key = node.slice.value if isinstance(node.slice, ast.Constant) and isinstance(node.slice.value, str) else None
        yield from _reads(node.value, bound, key)
        yield from _reads(node.slice, bound)
    elif isinstance(node, ast.Call):
        for part in (*node.args, *(word.value for word in node.keywords)):
            yield from _reads(part, bound)
    elif isinstance(node, ast.ListComp | ast.DictComp):
        for loop in node.generators:
            yield from _reads(loop.iter, bound)
            bound = bound | {loop.target.id} if isinstance(loop.target, ast.Name) else bound
            for test in loop.ifs:
                yield from _reads(test, bound)
        for part in (node.elt,) if isinstance(node, ast.ListComp) else (node.key, node.value):
            yield from _reads(part, bound)
    else:
        for child in ast.iter_child_nodes(node):
            yield from _reads(child, bound)


def _null_part(node: ast.expr) -> ast.expr | None:
    if isinstance(node, ast.Name) and node.id == "null":
        return node
    if isinstance(node, ast.IfExp):
        return _null_part(node.body) or _null_part(node.orelse)
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
        name, count = node.func.id, len(node.args) + len(node.keywords)
        if name == "lookup":
            return node if count < 3 else _null_part(node.args[2]) if len(node.args) > 2 else None
        if name == "default" and node.args:
            return _null_part(node.args[-1])
        if _NULL_WHEN_EMPTY.get(name) == count:
            return node
    return None
