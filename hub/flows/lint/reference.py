"""The reference of `docs/lint.md`, made from the rules: each with its example and what lint says of it."""

from __future__ import annotations

from types import ModuleType

from hub.connect.registry import Registry
from hub.flows.lint import allow, branches, loops, names, roles, secrets, tested, typed, writes
from hub.flows.lint.findings import Finding, lint
from hub.flows.lint.refusals import REFUSALS
from hub.flows.lint.rule import Rule
from hub.flows.lint.sources import sort_files

SUBJECTS: dict[str, ModuleType] = {
    "Writes": writes,
    "Loops": loops,
    "Roles and records": roles,
    "Names": names,
    "Ways through a flow": branches,
    "Fields, kinds and money": typed,
    "Secrets": secrets,
    "Tests": tested,
    "Allows": allow,
}


def rules_of(module: ModuleType) -> list[Rule]:
    """The rules of a module, in its order."""
    return [value for value in vars(module).values() if isinstance(value, Rule)]


def findings_of(rule: Rule, registry: Registry) -> list[Finding]:
    """What lint says of the example of a rule."""
    sources = sort_files(rule.files())
    return lint(sources.project(registry), strict=rule.strict)


def rules_markdown() -> str:
    """All rules, by subject."""
    registry = Registry.discover()
    parts: list[str] = []
    for title, module in SUBJECTS.items():
        parts += [f"### {title}", ""]
        for rule in rules_of(module):
            parts += [_rule(rule, findings_of(rule, registry)), ""]
    return "\n".join(parts)


def refusals_markdown() -> str:
    """What keeps a file from being loaded, in a table."""
    rows = [f"| `{name}` | {what} | {place} |" for name, (what, place) in REFUSALS.items()]
    return "\n".join(["| found | what is wrong | place |", "| --- | --- | --- |", *rows, ""])


def _rule(rule: Rule, findings: list[Finding]) -> str:
    [(_, text), *_] = rule.files().items()
    lines = [
        f"#### `{rule.id}`",
        "",
        rule.finds,
        "",
        f"- Place: {rule.place}.",
        f"- Why: {rule.why}",
        f"- Mend: {rule.mend}",
        "",
        "```yaml",
        text.rstrip(),
        "```",
        "",
        "```text",
        *(str(finding) for finding in findings if finding.rule == rule.id),
        "```",
    ]
    return "\n".join(lines)
