"""`hub lint`: what is wrong with flows, mappings and connections, by rules that know commerce. See `docs/lint.md`."""

from hub.flows.lint import branches, loops, names, roles, secrets, tested, writes  # noqa: F401 - they declare their rules
from hub.flows.lint.findings import Finding, as_rows, lint
from hub.flows.lint.project import Project
from hub.flows.lint.rule import RULES, Rule

__all__ = ["RULES", "Finding", "Project", "Rule", "as_rows", "lint"]
