"""Mappings: YAML that turns one record into another, compiled into one function."""

from __future__ import annotations

import ast
from collections.abc import Callable, Collection
from collections.abc import Mapping as AnyMapping
from typing import Any

from hub.mapping.compiler import Bound, Compiled, Names, compile_source, weight
from hub.mapping.coverage import Kind
from hub.mapping.document import Document, Path, load_document
from hub.mapping.program import Assembly, Program, Source
from hub.mapping.source import Problem, SourceError
from hub.records.notation import nearest

__all__ = ["Mapping", "MappingErrors", "load_mapping"]

TOP = ("mapping", "from", "to", "tables", "let", "map", "allow")
EACH = ("each", "as", "when", "let", "map")
BLOCK = ("when", "let", "map")
RESERVED = frozenset({"each", "as", "when", "let", "map", "concat"})
_LANGUAGE = frozenset({"null", "true", "false", "None", "True", "False"})


class MappingErrors(Exception):
    """All that is wrong in one mapping file."""

    def __init__(self, problems: list[Problem]) -> None:
        super().__init__(problems)
        self.problems = problems

    def __str__(self) -> str:
        return "\n".join(map(str, self.problems))


class Mapping:
    """A compiled mapping; safe to share between threads."""

    def __init__(
        self, name: str, source: str, target: str, document: Document, paths: frozenset[str], program: Program
    ) -> None:
        self.name = name  # "shopify/order"
        self.source = source  # kind of record it reads: "shopify.order"
        self.target = target  # kind of record it makes: "order"
        self.document = document  # as it was written, for checks
        self.paths = paths  # dotted paths of the record it reads, "lineItems[].sku"; for lint
        self._program = program

    def apply(self, record: dict[str, Any], scope: AnyMapping[str, Any] | None = None) -> dict[str, Any]:
        """The target record; `scope` holds the extra names the mapping was loaded with. Raises `EvaluationError`."""
        result: dict[str, Any] = self._program.run(record, scope or {})
        return result

    def __repr__(self) -> str:
        return f"Mapping({self.name!r})"


def load_mapping(
    text: str, file: str, *, extra_names: Collection[str] = (), fields: Collection[str] | None = None
) -> Mapping:
    """Compiles a mapping. `extra_names` are names the caller gives besides the record's fields (`settings`, `clock`).

    `fields` are the record's top-level fields, where they are known: any other name is then a problem, and not null.
    Raises `MappingErrors` with all problems of the file.
    """
    try:
        document = load_document(text, file)
    except SourceError as error:
        raise MappingErrors([error.problem]) from None
    builder = _Builder(document, extra_names, fields)
    mapping = builder.build()
    if mapping is None:
        raise MappingErrors(sorted(builder.problems, key=lambda problem: (problem.line, problem.column)))
    return mapping


#: the words that make a block of an object; the other reserved words only stand beside them
_BLOCKS = frozenset({"each", "map", "concat"})


class _Builder:
    """Walks the tree under `map:` and writes the statements that build it."""

    def __init__(self, document: Document, extra_names: Collection[str], fields: Collection[str] | None) -> None:
        self.document = document
        self.problems: list[Problem] = []
        self.assembly = Assembly()
        self.paths: set[str] = set()
        self.extra_names = frozenset(extra_names)
        known = None if fields is None else self.extra_names | set(fields)
        self.names = Names(self._free, known, {"record": Bound("record", "")})

    def build(self) -> Mapping | None:
        value = self.document.value
        if not isinstance(value, dict):
            self._problem((), "shape", "a mapping file holds an object", "start with mapping:, from:, to:, map:")
            return None
        self._known_keys(value, (), TOP)
        texts = {key: value.get(key) for key in ("mapping", "from", "to")}
        for key, text in texts.items():
            if not isinstance(text, str) or not text:
                self._problem((key,), "missing-key", f"{key}: is a text that has to be given")
        tree = value.get("map")
        if not isinstance(tree, dict) or _BLOCKS & tree.keys():
            self._problem(("map",), "shape", "map: holds the fields of the target record")
            return None
        body: list[ast.stmt] = []
        names = self._tables(value.get("tables"), self.names, body)
        names = self._let(value.get("let"), ("let",), names, body)
        made = self._object(tree, ("map",), names, body)
        if self.problems:
            return None
        load_field = ast.Attribute(ast.Name("record", ast.Load()), "get", ast.Load())
        body.insert(0, ast.Assign([ast.Name("_get", ast.Store())], load_field))
        body.append(ast.Return(made))
        program = self.assembly.build(["record", "scope"], body)
        fields = self.paths if not self.extra_names else {p for p in self.paths if not self._extra(p)}
        named = (str(texts["mapping"]), str(texts["from"]), str(texts["to"]))
        return Mapping(*named, self.document, frozenset(fields), program)

    def _extra(self, path: str) -> bool:
        return path.replace("[", ".").split(".")[0] in self.extra_names

    def _free(self, name: str) -> ast.expr:
        if name in self.extra_names:
            return ast.Call(_load("_name"), [_load("scope"), ast.Constant(name)], [])
        return ast.Call(_load("_get"), [ast.Constant(name)], [])

    # The tree

    def _node(self, value: Any, path: Path, names: Names, body: list[ast.stmt]) -> ast.expr:
        """Code of the value of one node of the tree; what has to run before it goes to `body`."""
        if isinstance(value, str):
            return self._expression(value, path, names).node
        if isinstance(value, list):
            return ast.List([self._node(item, (*path, at), names, body) for at, item in enumerate(value)], ast.Load())
        if not isinstance(value, dict):
            return self.assembly.constant(value)
        if "each" in value:
            return self._each(value, path, names, body)
        if "concat" in value:
            return self._concat(value, path, names, body)
        if "map" in value:
            return self._block(value, path, names, body)
        return self._object(value, path, names, body)

    def _object(self, value: dict[str, Any], path: Path, names: Names, body: list[ast.stmt]) -> ast.expr:
        for key in value.keys() & RESERVED:
            hint = f"a target field of this name is written in an expression: \"{{'{key}': x}}\""
            self._problem((*path, key), "reserved-key", f"{key}: stands only beside map: or each:", hint, key=True)
        made = [self._node(item, (*path, key), names, body) for key, item in value.items()]
        return ast.Dict([ast.Constant(key) for key in value], made)

    def _block(self, value: dict[str, Any], path: Path, names: Names, body: list[ast.stmt]) -> ast.expr:
        """`{when, let, map}`: null when the condition does not hold."""
        self._known_keys(value, path, BLOCK)
        result = self.assembly.fresh()
        inner = self._when(value, path, names, body)
        if inner is not body:
            body.insert(len(body) - 1, _assign(result, ast.Constant(None)))
        scope = self._let(value.get("let"), (*path, "let"), names, inner)
        inner.append(_assign(result, self._node(value["map"], (*path, "map"), scope, inner)))
        return _load(result)

    def _each(self, value: dict[str, Any], path: Path, names: Names, body: list[ast.stmt]) -> ast.expr:
        """`{each, as, when, let, map}`: a list with one value for each item."""
        self._known_keys(value, path, EACH)
        item = value.get("as", "item")
        if not self._good_name(item, (*path, "as")):
            item = "item"
        if "map" not in value:
            self._problem(path, "missing-key", "each: needs map:, what each item becomes")
            return _load("record")
        result, variable = self.assembly.fresh(), self.assembly.fresh()
        over = self._text(value["each"], (*path, "each"), names)
        loop_over = ast.Call(_load("_items"), [over.node, ast.Constant(1)], [])
        _copy_place(loop_over, over.node)
        body.append(_assign(result, ast.List([], ast.Load())))
        # an `each:` that is no text is a literal list or null, and has no branch
        line, text = len(self.assembly.sources), value["each"]
        passed = self.assembly.probe(loop_over, Kind.LOOPS, line, 0, len(text)) if isinstance(text, str) else loop_over
        loop = ast.For(ast.Name(variable, ast.Store()), passed, [], [])
        body.append(loop)
        each_path = f"{over.path}[]" if over.path else None
        inner_names = names.with_bound(item, Bound(variable, each_path))
        inner = self._when(value, path, inner_names, loop.body)
        inner_names = self._let(value.get("let"), (*path, "let"), inner_names, inner)
        made = self._node(value["map"], (*path, "map"), inner_names, inner)
        # `list += [x]` and not `append`: generated code reads no attribute of anything.
        inner.append(ast.AugAssign(ast.Name(result, ast.Store()), ast.Add(), ast.List([made], ast.Load())))
        loop_over.args[1] = ast.Constant(sum(map(weight, loop.body)))
        return _load(result)

    def _concat(self, value: dict[str, Any], path: Path, names: Names, body: list[ast.stmt]) -> ast.expr:
        """`{concat: [list, list...]}`: one list; a part that is null counts as empty."""
        self._known_keys(value, path, ("concat",))
        parts = value["concat"]
        if not isinstance(parts, list):
            self._problem((*path, "concat"), "shape", "concat: holds a list of lists")
            return _load("record")
        result = self.assembly.fresh()
        body.append(_assign(result, ast.List([], ast.Load())))
        for at, part in enumerate(parts):
            if not isinstance(part, str | list) and not (isinstance(part, dict) and RESERVED & part.keys()):
                self._problem(
                    (*path, "concat", at), "shape", "a part of concat: is a list", "each:, a [list] or an expression"
                )
                continue
            made = self._node(part, (*path, "concat", at), names, body)
            checked = ast.Call(_load("_items"), [made, ast.Constant(1)], [])
            _copy_place(checked, made)
            body.append(ast.AugAssign(ast.Name(result, ast.Store()), ast.Add(), checked))
        return _load(result)

    def _when(self, value: dict[str, Any], path: Path, names: Names, body: list[ast.stmt]) -> list[ast.stmt]:
        """The statements that run when a condition holds: those of an `if`, or `body` itself without a condition."""
        if "when" not in value:
            return body
        test = self._text(value["when"], (*path, "when"), names, decides=True)
        branch = ast.If(test.node, [], [])
        body.append(branch)
        return branch.body

    def _tables(self, value: Any, names: Names, body: list[ast.stmt]) -> Names:
        """Binds the names of `tables:`, which are data: nothing in them is an expression."""
        if value is None:
            return names
        if not isinstance(value, dict):
            self._problem(("tables",), "shape", "tables: holds names, each with a table")
            return names
        for name, table in value.items():
            here = ("tables", name)
            if not isinstance(table, dict):
                self._problem(
                    here, "shape", f"the table {name} holds keys and values", "tables: {carriers: {DPD: dpd}}"
                )
            elif self._good_name(name, here):
                variable = self.assembly.fresh()
                # built anew for each record: what a mapping makes of it may be changed by whoever takes it
                body.append(_assign(variable, self._data(table)))
                names = names.with_bound(name, Bound(variable))
        return names

    def _data(self, value: Any) -> ast.expr:
        """Code of plain data."""
        if isinstance(value, dict):
            return ast.Dict([ast.Constant(key) for key in value], [self._data(item) for item in value.values()])
        if isinstance(value, list):
            return ast.List([self._data(item) for item in value], ast.Load())
        return self.assembly.constant(value)

    def _let(self, value: Any, path: Path, names: Names, body: list[ast.stmt]) -> Names:
        """Binds the names of a `let:`, each of which sees those before it."""
        if value is None:
            return names
        if not isinstance(value, dict):
            self._problem(path, "shape", "let: holds names, each with an expression")
            return names
        for name, item in value.items():
            here = (*path, name)
            made = self._text(item, here, names)
            variable = self.assembly.fresh()
            body.append(_assign(variable, made.node))
            if self._good_name(name, here):
                names = names.with_bound(name, Bound(variable, made.path))
        return names

    # Leaves and problems

    def _text(self, value: Any, path: Path, names: Names, *, decides: bool = False) -> Compiled:
        """An expression, or a literal number, true, false or null."""
        if isinstance(value, str):
            return self._expression(value, path, names, decides=decides)
        if isinstance(value, dict | list):
            hint = "quote it if it is one: \"{'a': 1}\""
            self._problem(path, "shape", "this has to be an expression", hint)
            value = None
        return Compiled(self.assembly.constant(value), set(), set(), None)

    def _expression(self, text: str, path: Path, names: Names, *, decides: bool = False) -> Compiled:
        source = Source(text, self.document.position(path), _field_name(path))
        try:
            made = compile_source(self.assembly, source, names, decides=decides)
        except SourceError as error:
            self.problems.append(error.problem)
            return Compiled(ast.Constant(None), set(), set(), None)
        self.paths |= made.paths
        return made

    def _good_name(self, name: Any, path: Path) -> bool:
        if isinstance(name, str) and name.isidentifier() and not name.startswith("__") and name not in _LANGUAGE:
            return True
        self._problem(path, "name", f"{name!r} cannot be a name", "letters, digits and _", key=path[-1] != "as")
        return False

    def _known_keys(self, value: dict[str, Any], path: Path, known: tuple[str, ...]) -> None:
        for key in value:
            if key not in known:
                hint = nearest(key, known) or f"known are {', '.join(known)}"
                self._problem((*path, key), "unknown-key", f"{key}: is not known here", hint, key=True)

    def _problem(self, path: Path, rule: str, message: str, hint: str = "", *, key: bool = False) -> None:
        locate: Callable[[Path], Any] = self.document.key_position if key else self.document.position
        place = locate(path)
        self.problems.append(Problem(place.file, place.line, place.column, rule, message, hint))


def _field_name(path: Path) -> str:
    """The target field of a leaf, for people: `lines.items.sku`."""
    return ".".join(str(part) for part in path if part not in ("map", "concat"))


def _load(name: str) -> ast.expr:
    return ast.Name(name, ast.Load())


def _assign(name: str, value: ast.expr) -> ast.stmt:
    return ast.Assign([ast.Name(name, ast.Store())], value)


def _copy_place(node: ast.expr, like: ast.expr) -> None:
    """Errors of `node` are shown where `like` stands."""
    for key in ("lineno", "col_offset", "end_lineno", "end_col_offset"):
        if hasattr(like, key):
            setattr(node, key, getattr(like, key))
