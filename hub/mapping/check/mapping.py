"""Checks a mapping against what its record and its target look like."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hub.mapping.check.expression import check_expression
from hub.mapping.check.kinds import Finding, missing_field, unfit, unknown_field
from hub.mapping.check.scope import Scope
from hub.mapping.document import Document, Path, load_document
from hub.mapping.source import Problem
from hub.mapping.tables import tables_of
from hub.records.joins import join_all
from hub.records.schema import ANY, BOOL, NULL, NUMBER, TEXT, WHOLE, Kind, Type, list_of


def check_mapping(
    mapping: Document | str,
    source: Type | None,
    target: Type | None,
    names: Mapping[str, Type] | None = None,
    *,
    file: str = "",
) -> list[Problem]:
    """What is wrong with a mapping that compiles. `source` is the record it reads and `target` what it makes (None: not
    described); `names` are those the caller gives (`settings`)."""
    document = load_document(mapping, file) if isinstance(mapping, str) else mapping
    value = document.value
    if not isinstance(value, dict) or not isinstance(value.get("map"), dict):
        return []
    checker = _Checker(document)
    known = {"record": source or ANY, **tables_of(value.get("tables")), **(names or {})}
    scope = checker.let(value.get("let"), ("let",), Scope(known, "record" if source is not None else None))
    checker.node(value["map"], ("map",), scope, target or ANY, "the target")
    return sorted(set(checker.problems), key=lambda each: (each.line, each.column))


class _Checker:
    """Walks the tree under `map:` beside the type of the target."""

    def __init__(self, document: Document) -> None:
        self.document = document
        self.problems: list[Problem] = []

    def node(self, value: Any, path: Path, scope: Scope, wanted: Type, what: str) -> Type:
        """The type of a node of the tree, which goes where `wanted` is."""
        if isinstance(value, str):
            return self.expression(value, path, scope, wanted, what)
        if isinstance(value, list):
            item = (wanted.item or ANY) if wanted.kind is Kind.LIST else ANY
            made = [self.node(each, (*path, at), scope, item, f"an item of {what}") for at, each in enumerate(value)]
            return self.fitting(Type(Kind.LIST, item=join_all(made) if made else None), path, wanted, what)
        if not isinstance(value, dict):
            return self.fitting(_LITERALS.get(type(value), NUMBER), path, wanted, what)
        if "each" in value:
            return self.each(value, path, scope, wanted, what)
        if "concat" in value:
            return self.concat(value, path, scope, wanted, what)
        if "map" in value:
            return self.block(value, path, scope, wanted, what)
        return self.object(value, path, scope, wanted, what)

    def object(self, value: dict[str, Any], path: Path, scope: Scope, wanted: Type, what: str) -> Type:
        described = wanted.kind is Kind.OBJECT
        fields: dict[str, Type] = {}
        for key, item in value.items():
            here = (*path, key)
            inner = wanted.fields.get(key, wanted.rest) if described else ANY
            if inner is None:
                self.report(here, unknown_field(key, wanted, what), key=True)
            fields[key] = self.node(item, here, scope, inner or ANY, key)
        made = Type(Kind.OBJECT, fields=fields)
        if described:
            for name in wanted.required():
                if name not in fields:
                    self.report(path, missing_field(name, wanted, what), key=True)
            return made
        return self.fitting(made, path, wanted, what)

    def block(self, value: dict[str, Any], path: Path, scope: Scope, wanted: Type, what: str) -> Type:
        scope = self.when(value, path, scope)
        made = self.node(value["map"], (*path, "map"), self.let(value.get("let"), (*path, "let"), scope), wanted, what)
        return made.or_null() if "when" in value else made

    def each(self, value: dict[str, Any], path: Path, scope: Scope, wanted: Type, what: str) -> Type:
        over = self.text(value["each"], (*path, "each"), scope)
        if over.kind not in (Kind.LIST, Kind.ANY, Kind.NULL):
            hint = "keys(x) lists the keys of an object" if over.kind is Kind.OBJECT else ""
            self.report((*path, "each"), ("type-mismatch", f"each: goes over a list, and this is {over}", hint))
        item = (over.item or ANY) if over.kind is Kind.LIST else ANY
        scope = scope.with_name(str(value.get("as", "item")), item)
        scope = self.let(value.get("let"), (*path, "let"), self.when(value, path, scope))
        inner = (wanted.item or ANY) if wanted.kind is Kind.LIST else ANY
        made = list_of(self.node(value.get("map"), (*path, "map"), scope, inner, f"an item of {what}"))
        return made if wanted.kind is Kind.LIST else self.fitting(made, path, wanted, what)

    def concat(self, value: dict[str, Any], path: Path, scope: Scope, wanted: Type, what: str) -> Type:
        parts = value["concat"] if isinstance(value["concat"], list) else []
        inner = wanted.or_null() if wanted.kind is Kind.LIST else ANY
        made = [self.node(part, (*path, "concat", at), scope, inner, what) for at, part in enumerate(parts)]
        item = join_all((type_.item or ANY) if type_.kind is Kind.LIST else ANY for type_ in made)
        type_ = list_of(item)
        return type_ if wanted.kind is Kind.LIST else self.fitting(type_, path, wanted, what)

    def when(self, value: dict[str, Any], path: Path, scope: Scope) -> Scope:
        """The scope where the condition of a block holds."""
        test = value.get("when")
        if not isinstance(test, str):
            return scope
        here = (*path, "when")
        self.problems += check_expression(test, self.document.position(here), scope, condition=True).problems
        return scope.where(test)

    def let(self, value: Any, path: Path, scope: Scope) -> Scope:
        for name, item in value.items() if isinstance(value, dict) else ():
            scope = scope.with_name(name, self.text(item, (*path, name), scope))
        return scope

    def text(self, value: Any, path: Path, scope: Scope) -> Type:
        return (
            self.expression(value, path, scope, ANY, "")
            if isinstance(value, str)
            else _LITERALS.get(type(value), NUMBER)
        )

    def expression(self, text: str, path: Path, scope: Scope, wanted: Type, what: str) -> Type:
        checked = check_expression(text, self.document.position(path), scope, wanted=wanted, what=what)
        self.problems += checked.problems
        return checked.type

    def fitting(self, type_: Type, path: Path, wanted: Type, what: str) -> Type:
        finding = unfit(type_, wanted, what)
        if finding is not None:
            self.report(path, finding)
        return type_

    def report(self, path: Path, finding: Finding, *, key: bool = False) -> None:
        place = self.document.key_position(path) if key else self.document.position(path)
        self.problems.append(Problem(place.file, place.line, place.column, *finding))


_LITERALS: dict[type, Type] = {bool: BOOL, int: WHOLE, str: TEXT, type(None): NULL}
