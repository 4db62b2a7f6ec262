"""`hub lint`: what is wrong with flows, mappings and connections, by rules that know commerce. See `docs/lint.md`."""

from hub.flows.lint import allow, branches, loops, names, roles, secrets, tested, typed, writes
from hub.flows.lint.findings import Finding, as_rows, lint
from hub.flows.lint.project import Project
from hub.flows.lint.rule import RULES, Rule

#: the modules with rules, in the order of the reference
SUBJECTS = (writes, loops, roles, names, typed, branches, secrets, tested, allow)

__all__ = ["RULES", "SUBJECTS", "Finding", "Project", "Rule", "as_rows", "lint"]
