"""What functions take and give, in a notation that stands beside each: `text?, text -> text~`.

A parameter is a type or alternatives (`text|whole`); `?` takes null too; `[T]` is a list, and `T` any type, the same wherever
it stands; `...` takes more of the same. What is given may be null after `?`, and after `~` when the first argument may be.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from hub.records.joins import join_all
from hub.records.notation import NAMED
from hub.records.schema import ANY, Kind, Type, list_of

#: types of the arguments by parameter, several for `values...`; a parameter that was left out is not there
Given = Mapping[str, Sequence[Type]]
Result = Callable[[Given], Type]

#: `T` in types: stands for what the arguments are
_VARIABLE = Type(Kind.ANY, form="T")


@dataclass(frozen=True)
class Takes:
    """What one parameter takes."""

    alternatives: tuple[Type, ...]
    nullable: bool

    @property
    def kinds(self) -> frozenset[Kind]:
        """The kinds it takes; with `any` among them it takes everything."""
        found = {each.kind for each in self.alternatives}
        return frozenset(found | {Kind.WHOLE} if Kind.NUMBER in found else found)

    def __str__(self) -> str:
        return " or ".join(map(str, self.alternatives))


@dataclass(frozen=True)
class Types:
    """The types of a function."""

    takes: Mapping[str, Takes]  # by parameter
    gives: Result


def read_types(notation: str, parameters: Sequence[str], result: Result | None = None) -> Types:
    """Reads the notation of a function with these parameters. `result` is for what the notation cannot say."""
    left, _, right = notation.partition("->")
    written = [part.strip().removesuffix("...") for part in left.split(",")] if left.strip() else []
    if len(written) != len(parameters):
        raise ValueError(f"{notation!r} is not for the parameters {', '.join(parameters)}")
    takes = dict(zip(parameters, map(_takes, written), strict=True))
    return Types(takes, result or _result(right.strip(), takes))


def _takes(written: str) -> Takes:
    bare = written.removesuffix("?")
    return Takes(tuple(map(_type, bare.split("|"))), bare != written or bare == "any")


def _type(written: str) -> Type:
    if written.endswith("?"):
        return _type(written[:-1]).or_null()
    if written.startswith("["):
        return list_of(_type(written[1:-1]))
    return _VARIABLE if written == "T" else NAMED[written]


def _result(written: str, takes: Mapping[str, Takes]) -> Result:
    follows, made = written.endswith("~"), _type(written.rstrip("~?"))
    always = written.endswith("?")
    first = next(iter(takes), "")

    def result(given: Given) -> Type:
        type_ = _filled(made, given, takes)
        if always or (follows and any(each.maybe_null for each in given.get(first, ()))):
            return type_.or_null()
        return type_

    return result


def _filled(made: Type, given: Given, takes: Mapping[str, Takes]) -> Type:
    """A type with what `T` stands for in the place of `T`."""
    if made is _VARIABLE:
        found = [type_ for name, types in given.items() for each in types for type_ in _stands_for(takes[name], each)]
        return join_all(found)  # null when there is nothing but empty lists
    if made.item is None:
        return made
    item = _filled(made.item, given, takes)
    return replace(made, item=None if item.kind is Kind.NULL else item)


def _stands_for(takes: Takes, given: Type) -> list[Type]:
    """What `T` is in one argument."""
    [pattern] = takes.alternatives
    while pattern is not _VARIABLE:
        if pattern.kind is not Kind.LIST or pattern.item is None:
            return []
        if given.kind is Kind.NULL or (given.kind is Kind.LIST and given.item is None):
            return []
        pattern, given = pattern.item, (given.item if given.kind is Kind.LIST else None) or ANY
    return [given]
