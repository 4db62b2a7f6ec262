"""Cost of a GraphQL operation and the bucket it is taken from, by the vendor's published rules."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable
from typing import Any

from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLCompositeType,
    GraphQLSchema,
    InlineFragmentNode,
    IntValueNode,
    OperationDefinitionNode,
    SelectionSetNode,
    VariableNode,
    get_named_type,
    is_composite_type,
)

MOST = 1000
MUTATION = 10


class Cost:
    """Scalars cost 0, objects 1, a list or connection with `first` that many times its node, a mutation 10, and of the
    type conditions of an interface or union the dearest one counts."""

    def __init__(self, schema: GraphQLSchema, document: DocumentNode, variables: dict[str, Any]) -> None:
        self.schema = schema
        self.variables = variables
        self.fragments = {d.name.value: d for d in document.definitions if isinstance(d, FragmentDefinitionNode)}

    def of(self, operation: OperationDefinitionNode) -> int:
        root = self.schema.get_root_type(operation.operation)
        if root is None:
            return 0
        mutation = operation.operation.value == "mutation"
        return self._selections(operation.selection_set, root, 1, MUTATION if mutation else None)

    def _selections(
        self, selections: SelectionSetNode | None, parent: GraphQLCompositeType, times: int, base: int | None = None
    ) -> int:
        total, branches = 0, [0]
        for node in selections.selections if selections else ():
            if isinstance(node, FieldNode):
                total += self._field(node, parent, times, base)
                continue
            if isinstance(node, FragmentSpreadNode):
                fragment: FragmentDefinitionNode | InlineFragmentNode = self.fragments[node.name.value]
            else:
                assert isinstance(node, InlineFragmentNode)
                fragment = node
            condition = fragment.type_condition
            kind = self.schema.type_map[condition.name.value] if condition else parent
            cost = self._selections(fragment.selection_set, kind, times, base)  # type: ignore[arg-type]
            if kind is parent:
                total += cost
            else:
                branches.append(cost)
        return total + max(branches)

    def _field(self, node: FieldNode, parent: Any, times: int, base: int | None) -> int:
        field = getattr(parent, "fields", {}).get(node.name.value)
        if field is None:
            return 0
        kind = get_named_type(field.type)
        if not is_composite_type(kind):
            return 0
        first = self._first(node)
        if base is not None:
            return base + self._selections(node.selection_set, kind, 1)
        if kind.name.endswith("Connection"):
            return 1 + self._selections(node.selection_set, kind, first or 1)
        if node.name.value == "nodes" and parent.name.endswith("Connection"):
            return times * (1 + self._selections(node.selection_set, kind, 1))
        return (first or 1) * (1 + self._selections(node.selection_set, kind, 1))

    def _first(self, node: FieldNode) -> int | None:
        for argument in node.arguments or ():
            if argument.name.value in ("first", "last"):
                if isinstance(argument.value, IntValueNode):
                    return int(argument.value.value)
                if isinstance(argument.value, VariableNode):
                    value = self.variables.get(argument.value.name.value)
                    return value if isinstance(value, int) else None
        return None


def objects_in(data: Any) -> int:
    """Objects of an answer: about what it really cost."""
    if isinstance(data, dict):
        return 1 + sum(objects_in(value) for value in data.values())
    if isinstance(data, Iterable) and not isinstance(data, (str, bytes)):
        return sum(objects_in(value) for value in data)
    return 0


class Bucket:
    """Leaky bucket of cost points; it fills in real time, whatever the shop's clock says."""

    def __init__(self, size: float, restore: float) -> None:
        self.size, self.restore = float(size), float(restore)
        self._level, self._at = self.size, time.monotonic()
        self._lock = threading.Lock()

    def _fill(self) -> None:
        now = time.monotonic()
        self._level = min(self.size, self._level + (now - self._at) * self.restore)
        self._at = now

    def take(self, cost: int) -> bool:
        with self._lock:
            self._fill()
            if cost > self._level:
                return False
            self._level -= cost
            return True

    def give_back(self, cost: int) -> None:
        with self._lock:
            self._level = min(self.size, self._level + max(0, cost))

    def empty(self) -> None:
        with self._lock:
            self._level, self._at = 0.0, time.monotonic()

    def status(self) -> dict[str, float]:
        with self._lock:
            self._fill()
            return {
                "maximumAvailable": self.size,
                "currentlyAvailable": int(self._level),
                "restoreRate": self.restore,
            }
