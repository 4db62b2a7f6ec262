"""What the names of an expression are, and what is known of them where it stands."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from hub.mapping.syntax import Refusal, parse
from hub.records.schema import ANY, Type

WORDS = frozenset({"null", "true", "false"})


@dataclass(frozen=True, slots=True)
class Scope:
    """Names with their types. `fields_of` names a record whose fields are names too; other names are not known, `any`."""

    names: Mapping[str, Type]
    fields_of: str | None = None
    #: what conditions told of paths (`shippingAddress.city`): their types where the expression stands
    facts: Mapping[str, Type] = field(default_factory=dict)

    def with_name(self, name: str, type_: Type) -> Scope:
        """The same and one name more, which hides what had the name before."""
        facts = self.facts
        if facts:
            facts = {path: known for path, known in facts.items() if path.replace("[", ".").partition(".")[0] != name}
        return replace(self, names={**self.names, name: type_}, facts=facts)

    def with_facts(self, facts: Mapping[str, Type]) -> Scope:
        """The same, and what is known of paths."""
        return replace(self, facts={**self.facts, **facts}) if facts else self

    def where(self, condition: str, *, holds: bool = True) -> Scope:
        """What is known where a condition holds, or where it does not. A text that is no expression tells nothing."""
        from hub.mapping.check.inference import Inference  # it needs scopes itself

        try:
            return Inference(condition).known(parse(condition), self, holds)
        except (Refusal, RecursionError):
            return self

    def type_of(self, name: str) -> Type | None:
        """The type of a name; None when it is no name and the record whose fields are names has none of it either."""
        found = self.facts.get(name) or self.names.get(name)
        if found is not None or self.fields_of is None:
            return found or ANY
        return self.names[self.fields_of].get(name)

    def seen(self) -> Iterable[str]:
        """Names that there are, for hints."""
        return [*self.names, *(self.names[self.fields_of].fields if self.fields_of else ())]


def path_of(node: ast.expr) -> str | None:
    """The path that an expression is, as the same text wherever it stands; None when it is more than a path."""
    if isinstance(node, ast.Name):
        return None if node.id in WORDS else node.id
    if isinstance(node, ast.Attribute):
        base = path_of(node.value)
        return f"{base}.{node.attr}" if base else None
    if isinstance(node, ast.Subscript) and isinstance(node.slice, ast.Constant):
        base, key = path_of(node.value), node.slice.value
        if base is None or not isinstance(key, str | int):
            return None
        return f"{base}.{key}" if isinstance(key, str) else f"{base}[{key}]"
    return None
