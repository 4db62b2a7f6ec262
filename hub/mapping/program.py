"""Generated code: built from Python syntax trees, run under a budget, its errors traced back to the YAML file.

Every expression of a program is one "line" of its code and an offset into the text is the "column", so that the
positions which CPython keeps for each instruction lead back to the failing sub-expression at no cost while running.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import CodeType, TracebackType
from typing import Any

from hub.mapping import coverage, numbers, operations
from hub.mapping.budget import Budget, charge_result, current
from hub.mapping.fault import Fault
from hub.mapping.functions import FUNCTIONS
from hub.mapping.source import Position, SourceError
from hub.mapping.syntax import Refusal, Spans, parse
from hub.records.money import MoneyError

_FILE = "<hub expression>"
#: how the names of probes begin
PROBE = "_probe_"

# What generated code may call. Names of a user's own are never used in it, so none of these can be shadowed.
GUARDS: dict[str, Callable[..., Any]] = {
    "_name": operations.name,
    "_field": operations.field,
    "_path": operations.path,
    "_index": operations.index,
    "_items": operations.items,
    "_key": operations.object_key,
    "_chain": operations.chain,
    "_add": numbers.add,
    "_subtract": numbers.subtract,
    "_multiply": numbers.multiply,
    "_divide": numbers.divide,
    "_floor_divide": numbers.floor_divide,
    "_modulo": numbers.modulo,
    "_negate": numbers.negate,
    "_positive": numbers.positive,
    "_equal": operations.equal,
    "_unequal": operations.unequal,
    "_less": operations.less,
    "_less_or_equal": operations.less_or_equal,
    "_greater": operations.greater,
    "_greater_or_equal": operations.greater_or_equal,
    "_within": operations.within,
    "_not_within": operations.not_within,
}
GLOBALS: dict[str, Any] = GUARDS | {f"_call_{name}": entry.call for name, entry in FUNCTIONS.items()}


class EvaluationError(SourceError):
    """An expression could not be evaluated with the values it was given.

    `expression` is the text of the failing sub-expression; `field` names the target field, for a mapping.
    """

    expression: str = ""
    field: str = ""


@dataclass(frozen=True)
class Source:
    """One expression of a program."""

    text: str
    position: Position
    field: str = ""


class Program:
    """Code of one function over one or more expressions."""

    def __init__(self, sources: list[Source], run: Callable[..., Any]) -> None:
        self.sources = sources
        self._run = run

    def run(self, *inputs: Any) -> Any:
        """Runs the code under a budget of its own. Raises `EvaluationError`."""
        token = current.set(Budget(inputs))
        try:
            result = self._run(*inputs)
            kind = type(result)
            if kind is dict or kind is list or kind is tuple:
                charge_result(result)
        except (Fault, MoneyError, ArithmeticError, ValueError, TypeError, LookupError, AttributeError) as error:
            raise self._located(error) from None
        except (RecursionError, MemoryError):
            raise self._located(Fault("limit", "values are nested too deeply")) from None
        finally:
            current.reset(token)
        return result

    def _located(self, error: Exception) -> EvaluationError:
        fault = error if isinstance(error, Fault) else None
        if fault is None:
            rule = "money" if isinstance(error, MoneyError) else "value"
            said = "a number that cannot be calculated with" if isinstance(error, ArithmeticError) else str(error)
            fault = Fault(rule, said[:200])
        line, start, end = _place(error.__traceback__)
        source = self.sources[min(max(line, 1), len(self.sources)) - 1]
        if start is None or end is None:
            start, end = 0, len(source.text)
        if fault.operand is not None:
            start, end = _operand(source.text, start, end, fault.operand)
        shown = " ".join(source.text[start:end].split())
        located = EvaluationError.at(
            source.position.inside(start, source.text),
            fault.rule,
            fault.message.replace("{operand}", shown),
            fault.hint.replace("{operand}", shown),
        )
        located.expression, located.field = shown, source.field
        return located


def _place(traceback: TracebackType | None) -> tuple[int, int | None, int | None]:
    """Line, first and last column of the instruction of ours that was running."""
    place: tuple[int, int | None, int | None] = (1, None, None)
    while traceback is not None:
        code: CodeType = traceback.tb_frame.f_code
        if code.co_filename == _FILE:
            spans = list(code.co_positions())[traceback.tb_lasti // 2]
            place = (spans[0] or 1, spans[2], spans[3])
        traceback = traceback.tb_next
    return place


def _operand(text: str, start: int, end: int, number: int) -> tuple[int, int]:
    """Where an operand of the operation at a span stands. Read again from the text: this happens on errors only."""
    try:
        tree, spans = parse(text), Spans(text)
    except Refusal:  # pragma: no cover - it was parsed before
        return start, end
    for node in ast.walk(tree):
        if isinstance(node, ast.BinOp | ast.Compare | ast.UnaryOp) and spans.of(node) == (start, end):
            if isinstance(node, ast.BinOp):
                return spans.of((node.left, node.right)[number])
            if isinstance(node, ast.UnaryOp):
                return spans.of(node.operand)
            if len(node.ops) == 1:
                return spans.of((node.left, node.comparators[0])[number])
    return start, end


class Assembly:
    """Collects the expressions and constants of a program, then compiles its function."""

    def __init__(self) -> None:
        self.sources: list[Source] = []
        self._constants: dict[str, Any] = {}
        self._count = 0

    def source(self, source: Source) -> int:
        """Takes an expression in; gives its line."""
        self.sources.append(source)
        return len(self.sources)

    def fresh(self) -> str:
        """A variable that nothing else uses."""
        self._count += 1
        return f"v{self._count}"

    def constant(self, value: Any) -> ast.expr:
        """A value as a node; Python has no literal for a decimal."""
        if value is None or isinstance(value, str | bool | int):
            return ast.Constant(value)
        name = f"_constant_{len(self._constants)}"
        self._constants[name] = value
        return ast.Name(name, ast.Load())

    def probe(self, node: ast.expr, kind: coverage.Kind, line: int, start: int, end: int) -> ast.expr:
        """The node as it is; while coverage is on, with a probe around it that sees its value pass."""
        if coverage.active is None:
            return node
        source = self.sources[line - 1]
        note = coverage.active.probe(source.position.inside(start, source.text), kind, source.text[start:end])
        name = f"{PROBE}{len(self._constants)}"
        self._constants[name] = note
        return ast.copy_location(ast.Call(ast.Name(name, ast.Load()), [node], []), node)

    def build(self, parameters: list[str], body: list[ast.stmt]) -> Program:
        """Compiles a function of these statements."""
        arguments = ast.arguments([], [ast.arg(name) for name in parameters], None, [], [], None, [])
        function = ast.FunctionDef("run", arguments, body, [], lineno=1, col_offset=0)
        module = ast.fix_missing_locations(ast.Module([function], []))
        code = compile(module, _FILE, "exec", dont_inherit=True)
        namespace: Mapping[str, Any] = {"__builtins__": {}, **GLOBALS, **self._constants}
        # The tree was built node by node from a whitelist (compiler.py); nothing of a user's text is Python here.
        exec(code, namespace)  # type: ignore[arg-type]  # noqa: S102
        return Program(self.sources, namespace["run"])
