"""What a condition tells of the values it tests, and conditions that tell nothing."""

from __future__ import annotations

import ast
from collections.abc import Callable

from hub.mapping.check.scope import WORDS, Scope, path_of
from hub.records.schema import Type

TypeOf = Callable[[ast.expr, Scope], Type]

_ORDERING = (ast.Lt, ast.LtE, ast.Gt, ast.GtE)


def known(node: ast.expr, scope: Scope, holds: bool, type_of: TypeOf) -> Scope:
    """The scope where a condition holds, or does not: which paths are not null there."""
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
        return known(node.operand, scope, not holds, type_of)
    if isinstance(node, ast.BoolOp):
        # `a and b` holds when both do; where it does not, neither is known to be the reason. `or` is its mirror image
        if isinstance(node.op, ast.And) is holds:
            for value in node.values:
                scope = known(value, scope, holds, type_of)
        return scope
    if isinstance(node, ast.Compare) and len(node.ops) == 1:
        return _compared(node, scope, holds, type_of)
    if (tested := _argument_of("exists", node)) is not None:
        return not_null(tested, scope, type_of) if holds else scope
    return not_null(node, scope, type_of) if holds else scope


def _compared(node: ast.Compare, scope: Scope, holds: bool, type_of: TypeOf) -> Scope:
    operator, left, right = node.ops[0], node.left, node.comparators[0]
    equality = isinstance(operator, ast.Eq | ast.NotEq)
    if equality:
        equal = isinstance(operator, ast.Eq) is holds
        for one, other in ((left, right), (right, left)):
            if _is_null(one):
                return scope if equal else not_null(other, scope, type_of)
            # what equals something that is not null is not null
            if equal and isinstance(one, ast.Constant):
                return not_null(other, scope, type_of)
        return scope
    if isinstance(operator, _ORDERING):
        # a null would have been an error, whatever the outcome
        scope = not_null(right, not_null(left, scope, type_of), type_of)
        measured = _argument_of("len", left)
        # the length of null is 0
        some = (
            holds and isinstance(operator, ast.Gt) and isinstance(right, ast.Constant) and isinstance(right.value, int)
        )
        return not_null(measured, scope, type_of) if measured is not None and some else scope
    if isinstance(operator, ast.In) and isinstance(right, ast.List):
        written = all(isinstance(item, ast.Constant) for item in right.elts)
        return not_null(left, scope, type_of) if holds and written else scope
    return scope


def _argument_of(function: str, node: ast.expr) -> ast.expr | None:
    """The first argument, when the expression is a call of this function."""
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == function and node.args:
        return node.args[0]
    return None


def not_null(node: ast.expr, scope: Scope, type_of: TypeOf) -> Scope:
    """The scope where a path is not null, and so nothing on the way to it."""
    facts: dict[str, Type] = {}
    here = node
    while (path := path_of(here)) is not None:
        type_ = type_of(here, scope)
        if type_.nullable:
            facts[path] = type_.not_null()
        if isinstance(here, ast.Name):
            break
        assert isinstance(here, ast.Attribute | ast.Subscript)
        here = here.value
    # the fields of what is not null any more are read anew
    return scope.with_facts(facts)


def _is_null(node: ast.expr) -> bool:
    return isinstance(node, ast.Name) and node.id == "null"


def is_constant(node: ast.expr) -> bool:
    """Whether a condition reads nothing, so that it is always the same; or compares a path with itself."""
    if isinstance(node, ast.Compare) and len(node.comparators) == 1 and path_of(node.left) is not None:
        return path_of(node.left) == path_of(node.comparators[0])
    called = {id(each.func) for each in ast.walk(node) if isinstance(each, ast.Call)}
    return not any(
        isinstance(each, ast.Name) and each.id not in WORDS and id(each) not in called for each in ast.walk(node)
    )
