"""Lints a project: everything that is wrong with its files, each finding with its place, what was found and what to do."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any

from hub.flows.lint.allow import allowed
from hub.flows.lint.project import Project, in_each
from hub.flows.lint.rule import RULES
from hub.flows.lint.typed import flow_problems, mapping_problems
from hub.mapping import Problem

Finding = Problem


def lint(project: Project, *, only: Collection[str] | None = None, strict: bool = False) -> list[Finding]:
    """All findings, by place. `only` names the files to speak of: the others are what they are read with."""
    documents = {document.file: document for document in (*project.documents.values(), *project.other_documents)}
    kept = allowed(_found(project, only), documents)
    if not strict:
        kept = [each for each in kept if each.rule not in RULES.by_id or not RULES.by_id[each.rule].strict]
    if only is not None:
        kept = [each for each in kept if each.file in only]
    return sorted(set(kept), key=lambda each: (each.file, each.line, each.column, each.rule, each.message))


def _found(project: Project, only: Collection[str] | None) -> list[Finding]:
    found: list[Finding] = []
    for name in project.mappings.names():
        mapping = project.mappings.get(name)
        if mapping is not None and (only is None or mapping.document.file in only):
            found += mapping_problems(project, mapping)
    found += project.mappings.problems
    for view in project.views:
        found += in_each(read.problems for read in view.reads)
        if isinstance(view.document.value, dict):
            found += flow_problems(view)
            for _, flow_check in RULES.of_flows:
                found += flow_check(view)
    found += _same_names(project)
    for _, project_check in RULES.of_projects:
        found += project_check(project)
    for document in (*project.documents.values(), *project.other_documents):
        for _, document_check in RULES.of_documents:
            found += document_check(project, document)
    return found + project.problems


def _same_names(project: Project) -> Iterator[Finding]:
    """Flows of one name, of which only the first would be loaded."""
    first: dict[str, str] = {}
    for view in project.views:
        file = view.document.file
        if first.setdefault(view.flow_name, file) != file:
            place = view.document.position(("flow",))
            message = f"{view.flow_name!r} is the name of {first[view.flow_name]} too"
            yield Problem(place.file, place.line, place.column, "flow-name", message, "give it a name of its own")


def as_rows(findings: Iterable[Finding]) -> list[Mapping[str, Any]]:
    """Findings for programs: editors, CI."""
    return [
        {
            "file": each.file,
            "line": each.line,
            "column": each.column,
            "rule": each.rule,
            "message": each.message,
            "hint": each.hint,
        }
        for each in findings
    ]
