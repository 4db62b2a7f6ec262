"""Turns the tree of an expression into a tree of guarded calls. What has no method here is not in the language."""

from __future__ import annotations

import ast
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any

from hub.mapping.coverage import Kind
from hub.mapping.fault import Fault
from hub.mapping.functions import FUNCTIONS
from hub.mapping.numbers import bounded
from hub.mapping.operations import COMPARE
from hub.mapping.program import PROBE, Assembly, Source
from hub.mapping.source import SourceError
from hub.mapping.syntax import Refusal, Spans, parse
from hub.records.notation import nearest

MAX_DEPTH = 60

_BINARY = {
    ast.Add: "_add",
    ast.Sub: "_subtract",
    ast.Mult: "_multiply",
    ast.Div: "_divide",
    ast.FloorDiv: "_floor_divide",
    ast.Mod: "_modulo",
}
_SIGNS = {
    ast.Eq: "==",
    ast.NotEq: "!=",
    ast.Lt: "<",
    ast.LtE: "<=",
    ast.Gt: ">",
    ast.GtE: ">=",
    ast.In: "in",
    ast.NotIn: "not in",
}
_WORDS = {"null": None, "true": True, "false": False}
# What people try, and what to write instead.
_INSTEAD = {
    ast.Lambda: ("lambda", ""),
    ast.NamedExpr: (":=", "use let: for a value that is needed twice"),
    ast.JoinedStr: ("f-strings", "join texts with +"),
    ast.GeneratorExp: ("a loop without brackets", "write [... for x in list]"),
    ast.SetComp: ("sets", "write a list, and unique(list)"),
    ast.Set: ("sets", "write a list in [ ]"),
    ast.Tuple: ("a list without brackets", "write [a, b]"),
    ast.Starred: ("*", "flatten([a, b]) joins lists"),
    ast.Slice: ("a slice", "left(x, n) and right(x, n) give parts of a text"),
    ast.Pow: ("**", ""),
    ast.Is: ("is", "write == null"),
    ast.IsNot: ("is not", "write != null"),
    ast.Invert: ("~", "write `not`"),
    ast.BitAnd: ("&", "write `and`, and + for text"),
    ast.BitOr: ("|", "write `or`"),
}


@dataclass(frozen=True)
class Bound:
    """A name bound to a variable of the generated code, and the path it stands for when it is only that."""

    variable: str
    path: str | None = None


@dataclass(frozen=True)
class Names:
    """What the names of an expression mean."""

    free: Callable[[str], ast.expr] | None  # code that reads a name nothing binds; None: there are only bound names
    known: Collection[str] | None = None  # the names `free` may read; None: any
    bound: Mapping[str, Bound] = field(default_factory=dict)

    def with_bound(self, name: str, bound: Bound) -> Names:
        """The same and one name more."""
        return replace(self, bound={**self.bound, name: bound})


@dataclass
class Compiled:
    """An expression as a node of generated code."""

    node: ast.expr
    names: set[str]
    paths: set[str]
    path: str | None  # when the whole expression is a path


def compile_source(assembly: Assembly, source: Source, names: Names, *, decides: bool = False) -> Compiled:
    """Compiles one expression into an assembly; `decides` says that it is a condition, for coverage.

    Raises `SourceError` at the sub-expression that is wrong."""
    line = assembly.source(source)
    try:
        tree = parse(source.text)
        compiler = _Compiler(assembly, line, Spans(source.text), source.text, names)
        node = compiler.expression(tree)
    except Refusal as refusal:
        place = source.position.inside(refusal.offset, source.text)
        raise SourceError.at(place, refusal.rule, refusal.message, refusal.hint) from None
    except RecursionError:
        raise SourceError.at(source.position, "too-deep", "the expression is nested too deeply") from None
    node = assembly.probe(node, Kind.DECIDES, line, 0, len(source.text)) if decides else node
    node = assembly.probe(node, Kind.RUNS, line, 0, len(source.text))
    return Compiled(node, compiler.names_read, compiler.paths_read, compiler.path(tree))


def weight(node: ast.AST) -> int:
    """Steps that one pass over generated code costs."""
    return 1 + sum(map(_weighs, ast.walk(node))) // 4


def unprobed(node: ast.expr) -> ast.expr:
    """The code that a probe stands around; other code itself."""
    while isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id.startswith(PROBE):
        node = node.args[0]
    return node


def _weighs(part: ast.AST) -> bool:
    if isinstance(part, ast.Call):
        return not (isinstance(part.func, ast.Name) and part.func.id.startswith(PROBE))
    return isinstance(part, ast.Compare | ast.Dict | ast.List)


class _Compiler:
    def __init__(self, assembly: Assembly, line: int, spans: Spans, text: str, names: Names) -> None:
        self.assembly = assembly
        self.line = line
        self.spans = spans
        self.text = text
        self.names = names
        self.depth = 0
        self.names_read: set[str] = set()
        self.paths_read: set[str] = set()
        self.rules: dict[type[ast.expr], Callable[[Any], ast.expr]] = {
            ast.Constant: self.literal,
            ast.Name: self.name,
            ast.Attribute: self.attribute,
            ast.Subscript: self.subscript,
            ast.BinOp: self.binary,
            ast.UnaryOp: self.unary,
            ast.BoolOp: self.boolean,
            ast.Compare: self.compare,
            ast.IfExp: self.conditional,
            ast.Call: self.call,
            ast.List: self.list_literal,
            ast.Dict: self.object_literal,
            ast.ListComp: self.list_loop,
            ast.DictComp: self.object_loop,
        }

    def expression(self, node: ast.expr) -> ast.expr:
        rule = self.rules.get(type(node))
        if rule is None:
            raise self.refuse(node, node)
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise self.error(node, "too-deep", f"over {MAX_DEPTH} levels deep", "use let: for its parts")
        made = rule(node)
        self.depth -= 1
        return self.placed(made, node)

    def placed(self, made: ast.expr, node: ast.expr) -> ast.expr:
        """Marks generated code with the span of the expression it stands for."""
        made.lineno = made.end_lineno = self.line
        made.col_offset, made.end_col_offset = self.spans.of(node)
        return made

    def guard(self, name: str, *arguments: ast.expr) -> ast.Call:
        return ast.Call(ast.Name(name, ast.Load()), list(arguments), [])

    def error(self, node: ast.expr, rule: str, message: str, hint: str = "") -> Refusal:
        return Refusal(self.spans.of(node)[0], rule, message, hint)

    def refuse(self, node: ast.expr, what: ast.AST) -> Refusal:
        name, hint = _INSTEAD.get(type(what), ("", ""))
        start, end = self.spans.of(node)
        shown = name or self.text[start:end][:40]
        return self.error(node, "not-allowed", f"{shown} is not in the language", hint)

    # Names and paths

    def path(self, node: ast.expr) -> str | None:
        """The dotted path an expression reads, with [] for any item; None when it is more than a path."""
        if isinstance(node, ast.Name):
            bound = self.names.bound.get(node.id)
            return bound.path if bound else None if node.id in _WORDS else node.id
        if isinstance(node, ast.Attribute):
            return self._below(node.value, node.attr)
        if isinstance(node, ast.Subscript) and isinstance(node.slice, ast.Constant):
            key = node.slice.value
            if isinstance(key, str):
                return self._below(node.value, key)
            base = self.path(node.value)
            return f"{base}[]" if base else None
        return None

    def _below(self, node: ast.expr, key: str) -> str | None:
        base = self.path(node)
        return None if base is None else f"{base}.{key}" if base else key

    def read(self, node: ast.expr) -> None:
        path = self.path(node)
        if path:
            self.paths_read.add(path)

    def name(self, node: ast.Name) -> ast.expr:
        if node.id in _WORDS:
            return ast.Constant(_WORDS[node.id])
        self.read(node)
        return self.base_name(node)

    def base_name(self, node: ast.Name) -> ast.expr:
        name = node.id
        if bound := self.names.bound.get(name):
            return ast.Name(bound.variable, ast.Load())
        known = self.names.known
        if name.startswith("__") or self.names.free is None or (known is not None and name not in known):
            seen = [*self.names.bound, *(known or ())]
            hint = nearest(name, seen)
            if not hint and name in FUNCTIONS:
                hint = f"a function is called: {FUNCTIONS[name].signature}"
            raise self.error(node, "unknown-name", f"{name} is not known here", hint)
        self.names_read.add(name)
        return self.names.free(name)

    def attribute(self, node: ast.Attribute) -> ast.expr:
        self.read(node)
        keys: list[str] = []
        base: ast.expr = node
        while isinstance(base, ast.Attribute):
            if base.attr.startswith("__"):
                hint = f'a field of this name is read as x["{base.attr}"]'
                raise self.error(base, "not-allowed", f"names with __ are not in the language: {base.attr}", hint)
            keys.insert(0, base.attr)
            base = base.value
        return self.guard("_field" if len(keys) == 1 else "_path", self.base(base), *map(ast.Constant, keys))

    def base(self, node: ast.expr) -> ast.expr:
        """What a path starts from: read as part of the path, not as a path of its own."""
        if isinstance(node, ast.Name) and node.id not in _WORDS:
            return self.placed(self.base_name(node), node)
        if isinstance(node, ast.Subscript) and self.path(node):
            return self.placed(self.subscript_of(node), node)
        return self.expression(node)

    def subscript(self, node: ast.Subscript) -> ast.expr:
        self.read(node)
        return self.subscript_of(node)

    def subscript_of(self, node: ast.Subscript) -> ast.expr:
        if isinstance(node.slice, ast.Slice | ast.Tuple):
            raise self.refuse(node.slice, node.slice)
        base = self.base(node.value) if self.path(node.value) else self.expression(node.value)
        return self.guard("_index", base, self.expression(node.slice))

    # Literals and operators

    def literal(self, node: ast.Constant) -> ast.expr:
        value: Any = node.value
        start, end = self.spans.of(node)
        if isinstance(value, float):
            try:
                value = Decimal(self.text[start:end])
            except ArithmeticError:
                raise self.error(node, "too-large", "a number too large to be used") from None
        elif isinstance(value, str):
            try:
                value.encode()
            except UnicodeError:
                raise self.error(node, "syntax", "the text holds half a character") from None
        elif value is not None and not isinstance(value, int):
            raise self.refuse(node, node)
        try:
            bounded(value)
        except Fault as fault:
            raise self.error(node, "too-large", fault.message) from None
        return self.assembly.constant(value)

    def binary(self, node: ast.BinOp) -> ast.expr:
        guard = _BINARY.get(type(node.op))
        if guard is None:
            raise self.refuse(node, node.op)
        return self.guard(guard, self.expression(node.left), self.expression(node.right))

    def unary(self, node: ast.UnaryOp) -> ast.expr:
        operand = self.expression(node.operand)
        if isinstance(node.op, ast.Not):
            return ast.UnaryOp(ast.Not(), operand)
        if isinstance(node.op, ast.USub):
            return self.guard("_negate", operand)
        if isinstance(node.op, ast.UAdd):
            return self.guard("_positive", operand)
        raise self.refuse(node, node.op)

    def boolean(self, node: ast.BoolOp) -> ast.expr:
        *first, last = node.values
        return ast.BoolOp(node.op, [*map(self.condition, first), self.expression(last)])

    def condition(self, node: ast.expr) -> ast.expr:
        """An expression whose truth decides what is computed next."""
        return self.assembly.probe(self.expression(node), Kind.DECIDES, self.line, *self.spans.of(node))

    def compare(self, node: ast.Compare) -> ast.expr:
        for operator in node.ops:
            if type(operator) not in _SIGNS:
                raise self.refuse(node, operator)
        signs = [_SIGNS[type(operator)] for operator in node.ops]
        left, *right = [self.expression(value) for value in (node.left, *node.comparators)]
        if len(signs) > 1:
            made = [ast.Constant(sign) for sign in signs]
            return self.guard("_chain", ast.Tuple(list[ast.expr](made), ast.Load()), left, *right)
        if signs[0] in ("==", "!=") and (fast := self._plain_compare(node.ops[0], left, right[0])):
            return fast
        return self.guard("_" + COMPARE[signs[0]].__name__, left, right[0])

    def _plain_compare(self, operator: ast.cmpop, left: ast.expr, right: ast.expr) -> ast.expr | None:
        """Python's own comparison, where it means the same: with null and with a literal text."""
        for one, other in ((left, right), (right, left)):
            if isinstance(other, ast.Constant):
                continue  # Python warns about `1 is None`
            if isinstance(one, ast.Constant) and one.value is None:
                return ast.Compare(other, [ast.Is() if isinstance(operator, ast.Eq) else ast.IsNot()], [one])
            if isinstance(one, ast.Constant) and isinstance(one.value, str):
                return ast.Compare(other, [operator], [one])
        return None

    def conditional(self, node: ast.IfExp) -> ast.expr:
        return ast.IfExp(self.condition(node.test), self.expression(node.body), self.expression(node.orelse))

    # Calls, lists, objects, loops

    def call(self, node: ast.Call) -> ast.expr:
        target = node.func
        if isinstance(target, ast.Attribute):
            known = target.attr in FUNCTIONS
            hint = f"write {target.attr}(x)" if known else "only the named functions are called"
            raise self.error(node, "not-allowed", "a field cannot be called", hint)
        if not isinstance(target, ast.Name):
            raise self.error(node, "not-allowed", "only the named functions are called")
        entry = FUNCTIONS.get(target.id)
        if entry is None:
            raise self.error(
                target, "unknown-function", f"there is no function {target.id}", nearest(target.id, FUNCTIONS)
            )
        for argument in node.args:
            if isinstance(argument, ast.Starred):
                raise self.refuse(argument, argument)
        keywords = [(word.arg, word.value) for word in node.keywords]
        if any(name is None for name, _ in keywords):
            raise self.error(node, "not-allowed", "** is not in the language")
        try:
            entry.parameters.bind(*node.args, **{name or "": value for name, value in keywords})
        except TypeError as error:
            raise self.error(node, "arguments", f"{target.id}: {error}", f"it is {entry.signature}") from None
        made = self.guard(f"_call_{target.id}", *map(self.expression, node.args))
        made.keywords = [ast.keyword(name, self.expression(value)) for name, value in keywords]
        return made

    def list_literal(self, node: ast.List) -> ast.expr:
        return ast.List([self.expression(item) for item in node.elts], ast.Load())

    def object_literal(self, node: ast.Dict) -> ast.expr:
        keys: list[ast.expr | None] = []
        for key in node.keys:
            if key is None:
                raise self.error(node, "not-allowed", "** is not in the language")
            keys.append(self.object_key(key))
        return ast.Dict(keys, [self.expression(value) for value in node.values])

    def object_key(self, node: ast.expr) -> ast.expr:
        made = self.expression(node)
        if isinstance(made, ast.Constant) and isinstance(made.value, str):
            return made
        return self.placed(self.guard("_key", made), node)

    def list_loop(self, node: ast.ListComp) -> ast.expr:
        outer, loops = self.names, self.loops(node.generators)
        element = self.expression(node.elt)
        self.names = outer
        made = ast.ListComp(element, loops)
        self.price(loops, element)
        return made

    def object_loop(self, node: ast.DictComp) -> ast.expr:
        outer, loops = self.names, self.loops(node.generators)
        key, value = self.object_key(node.key), self.expression(node.value)
        self.names = outer
        self.price(loops, key, value)
        return ast.DictComp(key, value, loops)

    def loops(self, generators: list[ast.comprehension]) -> list[ast.comprehension]:
        made: list[ast.comprehension] = []
        for loop in generators:
            if not isinstance(loop.target, ast.Name):
                raise self.error(
                    loop.target, "not-allowed", "a loop has one name", "keys(x) lists the keys of an object"
                )
            if loop.is_async:
                raise self.error(loop.target, "not-allowed", "async is not in the language")
            name = loop.target.id
            if name in _WORDS or name.startswith("__"):
                raise self.error(loop.target, "not-allowed", f"{name} cannot name an item")
            path = self.path(loop.iter)
            source = self.placed(self.guard("_items", self.expression(loop.iter), ast.Constant(1)), loop.iter)
            variable = self.assembly.fresh()
            self.names = self.names.with_bound(name, Bound(variable, f"{path}[]" if path else None))
            target = self.placed(ast.Name(variable, ast.Store()), loop.target)
            passed = source
            if not isinstance(loop.iter, ast.List):  # a list that is written out is never empty
                passed = self.assembly.probe(source, Kind.LOOPS, self.line, *self.spans.of(loop.iter))
            made.append(ast.comprehension(target, passed, [self.condition(test) for test in loop.ifs], 0))
        return made

    def price(self, loops: list[ast.comprehension], *body: ast.expr) -> None:
        """Sets what one pass of each loop costs."""
        cost = sum(map(weight, body)) + sum(weight(test) for loop in loops for test in loop.ifs)
        for loop in loops:
            items = unprobed(loop.iter)
            assert isinstance(items, ast.Call)
            items.args[1] = ast.Constant(cost)
