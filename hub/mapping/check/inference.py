"""Infers what an expression gives, and collects what is wrong in it on the way.

What it says is sound: a value that evaluation gives is of the type that was inferred. Where nothing is known that is `any`,
and nothing is complained about.
"""

from __future__ import annotations

import ast
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from hub.mapping.check import calls, conditions, operators
from hub.mapping.check.kinds import Finding, unfit, unknown_field
from hub.mapping.check.scope import Scope, path_of
from hub.mapping.functions import FUNCTIONS
from hub.mapping.syntax import Spans
from hub.records.joins import join, join_all
from hub.records.notation import nearest
from hub.records.schema import ANY, BOOL, NULL, NUMBER, TEXT, WHOLE, Kind, Type, list_of

#: the number of minor units of money
MINOR = replace(WHOLE, form="minor")
#: literal texts up to this length are remembered as what a text can be
_MAX_CHOICE = 100

Found = tuple[int, str, str, str]  # offset into the text, rule, message, hint


class Inference:
    """One walk over one expression."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.spans = Spans(text)
        self.found: dict[Found, None] = {}

    def of(self, node: ast.expr, scope: Scope) -> Type:
        """The type of an expression in a scope."""
        rule = _RULES.get(type(node))
        return ANY if rule is None else rule(self, node, scope)

    def against(self, node: ast.expr, scope: Scope, wanted: Type, what: str) -> Type:
        """The type of an expression that goes where another type is wanted; each branch of it has to fit."""
        if isinstance(node, ast.IfExp):
            self.condition(node.test, scope)
            then = self.against(node.body, self.known(node.test, scope, True), wanted.or_null(), what)
            return join(then, self.against(node.orelse, self.known(node.test, scope, False), wanted.or_null(), what))
        type_ = self.of(node, scope)
        finding = unfit(type_, wanted, what)
        if finding is not None:
            self.report(node, finding)
        return type_

    def condition(self, node: ast.expr, scope: Scope) -> Type:
        """The type of a condition, which should depend on something."""
        if conditions.is_constant(node):
            self.report(
                node, ("constant-condition", f"{self.shown(node)} is always the same", "test what it should depend on")
            )
        type_ = self.of(node, scope)
        if (
            isinstance(node, ast.BoolOp)
            and conditions.is_constant(node.values[-1])
            and not conditions.is_constant(node)
        ):
            hint = "each part of `or` is a condition of its own: x == 'a' or x == 'b', or x in ['a', 'b']"
            self.report(
                node.values[-1], ("constant-condition", f"{self.shown(node.values[-1])} is always the same", hint)
            )
        return type_

    def known(self, node: ast.expr, scope: Scope, holds: bool) -> Scope:
        """The scope where a condition holds, or does not."""
        return conditions.known(node, scope, holds, Inference(self.text).of)

    def report(self, node: ast.expr, finding: Finding, offset: int | None = None) -> None:
        self.found[(self.spans.of(node)[0] if offset is None else offset, *finding)] = None

    def shown(self, node: ast.expr) -> str:
        """The text of a sub-expression, for messages."""
        start, end = self.spans.of(node)
        return " ".join(self.text[start:end].split())[:60]

    # Names and paths

    def name(self, node: ast.Name, scope: Scope) -> Type:
        if node.id == "null":
            return NULL
        if node.id in ("true", "false"):
            return BOOL
        found = scope.type_of(node.id)
        if found is None:
            hint = nearest(node.id, list(scope.seen()))
            if not hint and node.id in FUNCTIONS:
                hint = f"a function is called: {FUNCTIONS[node.id].signature}"
            self.report(node, ("unknown-field", f"the record has no field {node.id}", hint))
            return ANY
        return found

    def attribute(self, node: ast.Attribute, scope: Scope) -> Type:
        if scope.facts and (path := path_of(node)) is not None and path in scope.facts:
            return scope.facts[path]
        base = self.of(node.value, scope)
        return self.field(base, node.attr, node, self.spans.of(node)[1] - len(node.attr))

    def field(self, base: Type, key: str, node: ast.Attribute | ast.Subscript, offset: int) -> Type:
        """A field of a value; null when it is missing, or when the value is null."""
        if base.kind is Kind.OBJECT:
            found = base.get(key)
            if found is None:
                self.report(node, unknown_field(key, base, self.shown(node.value)), offset)
                return ANY
            if base.currency and not found.currency:
                found = replace(found, currency=base.currency)
            return found.or_null() if base.nullable else found
        if base.kind is Kind.MONEY:
            made = {"amount": MINOR, "currency": replace(TEXT, currency=base.currency)}.get(key)
            if made is None:
                hint = "it has .amount (minor units) and .currency"
                self.report(node, ("unknown-field", f"money has no field {key}", hint), offset)
                return ANY
            return made.or_null() if base.nullable else made
        if base.kind is Kind.NULL:
            return NULL
        if base.kind not in (Kind.ANY, Kind.REFERENCE):
            hint = f"take an item with [0], or loop: [x.{key} for x in ...]" if base.kind is Kind.LIST else ""
            self.report(
                node, ("type-mismatch", f"{self.shown(node.value)} is {base}, which has no field {key}", hint), offset
            )
        return ANY

    def subscript(self, node: ast.Subscript, scope: Scope) -> Type:
        if scope.facts and (path := path_of(node)) is not None and path in scope.facts:
            return scope.facts[path]
        base, key = self.of(node.value, scope), self.of(node.slice, scope)
        if isinstance(node.slice, ast.Constant) and isinstance(node.slice.value, str):
            return self.field(base, node.slice.value, node, self.spans.of(node.slice)[0])
        if base.kind is Kind.LIST:
            if key.kind not in (Kind.WHOLE, Kind.NUMBER, Kind.ANY, Kind.NULL):
                self.report(
                    node.slice, ("type-mismatch", f"a list is indexed by a whole number, and this is {key}", "")
                )
            return (base.item or NULL).or_null()
        if base.kind is Kind.OBJECT:
            if key.kind not in (Kind.TEXT, Kind.ANY, Kind.NULL):
                self.report(node.slice, ("type-mismatch", f"a field is named by text, and this is {key}", ""))
            if not base.fields and base.rest is not None:
                return base.rest.or_null()
        elif base.kind not in (Kind.ANY, Kind.NULL, Kind.MONEY, Kind.REFERENCE):
            self.report(node, ("type-mismatch", f"{self.shown(node.value)} is {base}, which has no items", ""))
        return ANY

    # Literals and operators

    def literal(self, node: ast.Constant, scope: Scope) -> Type:
        value: Any = node.value
        if isinstance(value, str):
            return replace(TEXT, choices=(value,)) if len(value) <= _MAX_CHOICE else TEXT
        if value is None or isinstance(value, bool):
            return NULL if value is None else BOOL
        return WHOLE if isinstance(value, int) else NUMBER

    def binary(self, node: ast.BinOp, scope: Scope) -> Type:
        left, right = self.of(node.left, scope), self.of(node.right, scope)
        type_, finding = operators.binary(node, left, right)
        if finding is not None:
            self.report(node, finding)
        return type_

    def unary(self, node: ast.UnaryOp, scope: Scope) -> Type:
        if isinstance(node.op, ast.Not):
            # of `not not x` the inner `not` looks at x
            (self.of if isinstance(node.operand, ast.UnaryOp) else self.condition)(node.operand, scope)
            return BOOL
        type_ = self.of(node.operand, scope)
        if type_.kind not in (Kind.WHOLE, Kind.NUMBER, Kind.MONEY, Kind.ANY):
            self.report(
                node, ("type-mismatch", f"a sign stands before a number, and {self.shown(node.operand)} is {type_}", "")
            )
            return ANY
        return replace(type_.not_null(), choices=())

    def boolean(self, node: ast.BoolOp, scope: Scope) -> Type:
        conjunction = isinstance(node.op, ast.And)
        types: list[Type] = []
        for number, value in enumerate(node.values):
            last = number == len(node.values) - 1
            types.append(self.of(value, scope) if last else self.condition(value, scope))
            if not last:
                scope = self.known(value, scope, conjunction)
                if not conjunction:
                    types[-1] = types[-1].not_null()  # `a or b` is `a` only when it holds
        return join_all(types)

    def compare(self, node: ast.Compare, scope: Scope) -> Type:
        values = [node.left, *node.comparators]
        types = [self.of(value, scope) for value in values]
        for number, operator in enumerate(node.ops):
            left, right = values[number], values[number + 1]
            finding = operators.compare(operator, (left, types[number]), (right, types[number + 1]), self.shown)
            if finding is not None:
                self.report(finding[0] if finding[0] is not None else node, finding[1])
        return BOOL

    def conditional(self, node: ast.IfExp, scope: Scope) -> Type:
        self.condition(node.test, scope)
        then = self.of(node.body, self.known(node.test, scope, True))
        return join(then, self.of(node.orelse, self.known(node.test, scope, False)))

    # Calls, lists, objects, loops

    def call(self, node: ast.Call, scope: Scope) -> Type:
        entry = FUNCTIONS.get(node.func.id) if isinstance(node.func, ast.Name) else None
        if entry is None:
            return ANY
        given = calls.arguments(entry, node)
        if given is None:
            return ANY
        types = {name: [self.of(value, scope) for value in values] for name, values in given.items()}
        for place, finding in calls.findings(entry, given, types, self.shown):
            self.report(node if place is None else place, finding)
        return entry.types.gives(types)

    def list_literal(self, node: ast.List, scope: Scope) -> Type:
        return Type(Kind.LIST, item=join_all([self.of(item, scope) for item in node.elts]) if node.elts else None)

    def object_literal(self, node: ast.Dict, scope: Scope) -> Type:
        fields: dict[str, Type] = {}
        rest: Type | None = None
        for key, value in zip(node.keys, node.values, strict=True):
            type_ = self.of(value, scope)
            if isinstance(key, ast.Constant) and isinstance(key.value, str):
                fields[key.value] = type_
            elif key is not None:
                self.key(key, scope)
                rest = ANY  # it may be the name of any field
        return Type(Kind.OBJECT, fields={} if rest else fields, rest=rest)

    def key(self, node: ast.expr, scope: Scope) -> None:
        type_ = self.of(node, scope)
        if type_.kind not in (Kind.TEXT, Kind.ANY):
            self.report(
                node, ("type-mismatch", f"a key is text, and {self.shown(node)} is {type_}", "text(x) makes text of it")
            )

    def list_loop(self, node: ast.ListComp, scope: Scope) -> Type:
        return list_of(self.of(node.elt, self.loops(node.generators, scope)))

    def object_loop(self, node: ast.DictComp, scope: Scope) -> Type:
        scope = self.loops(node.generators, scope)
        self.key(node.key, scope)
        return Type(Kind.OBJECT, rest=self.of(node.value, scope))

    def loops(self, generators: list[ast.comprehension], scope: Scope) -> Scope:
        for loop in generators:
            item = self.item(loop.iter, scope)
            if isinstance(loop.target, ast.Name):
                scope = scope.with_name(loop.target.id, item)
            for test in loop.ifs:
                self.condition(test, scope)
                scope = self.known(test, scope, True)
        return scope

    def item(self, node: ast.expr, scope: Scope) -> Type:
        """What a loop over an expression goes through."""
        type_ = self.of(node, scope)
        if type_.kind is Kind.LIST:
            return type_.item or ANY
        if type_.kind not in (Kind.ANY, Kind.NULL):
            hint = "keys(x) lists the keys of an object" if type_.kind is Kind.OBJECT else ""
            self.report(node, ("type-mismatch", f"a loop needs a list, and {self.shown(node)} is {type_}", hint))
        return ANY


_RULES: dict[type[ast.expr], Callable[[Inference, Any, Scope], Type]] = {
    ast.Constant: Inference.literal,
    ast.Name: Inference.name,
    ast.Attribute: Inference.attribute,
    ast.Subscript: Inference.subscript,
    ast.BinOp: Inference.binary,
    ast.UnaryOp: Inference.unary,
    ast.BoolOp: Inference.boolean,
    ast.Compare: Inference.compare,
    ast.IfExp: Inference.conditional,
    ast.Call: Inference.call,
    ast.List: Inference.list_literal,
    ast.Dict: Inference.object_literal,
    ast.ListComp: Inference.list_loop,
    ast.DictComp: Inference.object_loop,
}
