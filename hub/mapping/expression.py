"""Expressions: a small, exact and safe subset of Python that maps values.

What it holds is in `docs/mappings.md`; how it is kept safe: the text is parsed by `ast`, each allowed node is rebuilt
as a call to a guarded operation (`compiler`), the result is compiled once to bytecode and runs under a budget
(`program`).
"""

from __future__ import annotations

import ast
from collections.abc import Collection, Mapping
from typing import Any

from hub.mapping.compiler import Names, compile_source
from hub.mapping.program import Assembly, EvaluationError, Program, Source
from hub.mapping.source import Position

__all__ = ["EvaluationError", "Expression", "compile_expression"]


class Expression:
    """A compiled expression; safe to share between threads."""

    def __init__(self, text: str, names: frozenset[str], paths: frozenset[str], program: Program) -> None:
        self.text = text
        self.names = names  # free top-level names it reads
        self.paths = paths  # dotted paths it reads, "lines[].sku" for a field of every item
        self._program = program

    def evaluate(self, scope: Mapping[str, Any]) -> Any:
        """Its value with these names. Raises `EvaluationError` at the failing sub-expression."""
        return self._program.run(scope)

    def __repr__(self) -> str:
        return f"Expression({self.text!r})"


def compile_expression(
    text: str,
    position: Position,
    *,
    names: Collection[str] | None = None,
    fields_of: str | None = None,
    decides: bool = False,
) -> Expression:
    """Compiles the text that stands at `position`.

    `names` are the names it may use (None: any, looked up when it runs). With `fields_of="record"` any other name is a
    field of the scope's `record`, null when it is missing. `decides`: it is a condition, for coverage. Raises `SourceError` at the sub-expression that is wrong.
    """

    def free(name: str) -> ast.expr:
        if fields_of is None or name == fields_of or name in (names or ()):
            return _call("_name", ast.Name("scope", ast.Load()), ast.Constant(name))
        return _call("_field", free(fields_of), ast.Constant(name))

    assembly = Assembly()
    known = None if fields_of is not None else names
    compiled = compile_source(assembly, Source(text, position), Names(free, known), decides=decides)
    program = assembly.build(["scope"], [ast.Return(compiled.node)])
    return Expression(text, frozenset(compiled.names), frozenset(compiled.paths), program)


def _call(name: str, *arguments: ast.expr) -> ast.expr:
    return ast.Call(ast.Name(name, ast.Load()), list(arguments), [])
