"""Lints a project: everything that is wrong with its files, each finding with its place, what was found and what to do."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from hub.flows.lint.allow import allowed
from hub.flows.lint.project import Project, in_each
from hub.flows.lint.rule import RULES
from hub.flows.lint.typed import flow_problems, mapping_problems
from hub.mapping import Document, Problem

Finding = Problem


def lint(project: Project, *, strict: bool = False) -> list[Finding]:
    """All findings in the files that a project speaks of, by place."""
    flows = [document for document in project.documents.values() if project.speaks_of(document.file)]
    documents = {document.file: document for document in (*flows, *project.other_documents)}
    kept = allowed(_found(project, documents.values()), documents)
    if not strict:
        kept = [each for each in kept if each.rule not in RULES.by_id or not RULES.by_id[each.rule].strict]
    kept = [each for each in kept if project.speaks_of(each.file)]
    return sorted(set(kept), key=lambda each: (each.file, each.line, each.column, each.rule, each.message))


def _found(project: Project, documents: Iterable[Document]) -> list[Finding]:
    found: list[Finding] = []
    for name in project.mappings.names():
        if project.speaks_of(project.mappings.file(name)) and (mapping := project.mappings.get(name)) is not None:
            found += mapping_problems(project, mapping)
    for view in project.views:
        if project.speaks_of(view.document.file):
            found += in_each(read.problems for read in view.reads)
            found += flow_problems(view)
            for _, flow_check in RULES.of_flows:
                found += flow_check(view)
    found += _same_names(project)
    for _, project_check in RULES.of_projects:
        found += project_check(project)
    for document in documents:
        for _, document_check in RULES.of_documents:
            found += document_check(project, document)
    return found + project.mappings.problems + project.problems


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
