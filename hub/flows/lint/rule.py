"""What a rule of lint is: what it finds, where it points, why it matters, how to mend it, and an example."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from hub.mapping import Document, Position, Problem

if TYPE_CHECKING:
    from hub.flows.lint.project import Project
    from hub.flows.lint.view import FlowView


@dataclass(frozen=True)
class Rule:
    """One rule. Its texts are the reference in `docs/lint.md`; its example is linted for that page and in a test."""

    id: str
    #: what it finds, in a sentence or two
    finds: str
    #: the exact place of the finding
    place: str
    #: what it costs a merchant
    why: str
    mend: str
    #: a faulty file, or several by their paths
    example: str | dict[str, str]
    #: only with `--strict`
    strict: bool = False

    def at(self, position: Position, message: str, hint: str = "") -> Problem:
        """A finding of this rule."""
        return Problem(position.file, position.line, position.column, self.id, message, hint)

    def files(self) -> dict[str, str]:
        """The example, by path."""
        return {"flows/example.yaml": self.example} if isinstance(self.example, str) else self.example


FlowCheck = Callable[["FlowView"], Iterator[Problem]]
ProjectCheck = Callable[["Project"], Iterator[Problem]]
DocumentCheck = Callable[["Project", Document], Iterator[Problem]]


@dataclass
class Rules:
    """All rules, and what looks for them: in one flow, in all flows together, or in any file."""

    by_id: dict[str, Rule] = field(default_factory=dict)
    of_flows: list[tuple[Rule, FlowCheck]] = field(default_factory=list)
    of_projects: list[tuple[Rule, ProjectCheck]] = field(default_factory=list)
    of_documents: list[tuple[Rule, DocumentCheck]] = field(default_factory=list)

    def declare(self, rule: Rule) -> Rule:
        """Adds a rule that is looked for elsewhere: as a file is read, or by the types of its expressions."""
        if rule.id in self.by_id:
            raise ValueError(f"there are two rules {rule.id}")
        self.by_id[rule.id] = rule
        return rule

    def in_flow(self, **texts: Any) -> Callable[[Callable[[Rule, FlowView], Iterator[Problem]]], Rule]:
        """Decorates the check of a rule that looks at one flow."""

        def declared(check: Callable[[Rule, FlowView], Iterator[Problem]]) -> Rule:
            rule = self.declare(Rule(**texts))
            self.of_flows.append((rule, lambda view: check(rule, view)))
            return rule

        return declared

    def in_project(self, **texts: Any) -> Callable[[Callable[[Rule, Project], Iterator[Problem]]], Rule]:
        """Decorates the check of a rule that looks at all flows together."""

        def declared(check: Callable[[Rule, Project], Iterator[Problem]]) -> Rule:
            rule = self.declare(Rule(**texts))
            self.of_projects.append((rule, lambda project: check(rule, project)))
            return rule

        return declared

    def in_document(self, **texts: Any) -> Callable[[Callable[[Rule, Project, Document], Iterator[Problem]]], Rule]:
        """Decorates the check of a rule that looks at any file: flows, mappings, tests, connections."""

        def declared(check: Callable[[Rule, Project, Document], Iterator[Problem]]) -> Rule:
            rule = self.declare(Rule(**texts))
            self.of_documents.append((rule, lambda project, document: check(rule, project, document)))
            return rule

        return declared


RULES = Rules()
