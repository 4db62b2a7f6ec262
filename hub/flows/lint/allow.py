"""`allow: {RULE: "reason"}` at the top of a flow or mapping: findings of the file that are meant to be so."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from hub.flows.lint.rule import RULES, Rule
from hub.mapping import Document, Problem
from hub.records.notation import nearest

UNUSED = RULES.declare(
    Rule(
        id="allow-unused",
        finds="An `allow` of a rule that finds nothing in this file, or of something that is no rule.",
        place="the rule's name under `allow`",
        why="It would hide the next fault of that kind, and readers believe that there is one.",
        mend="Take it out. What stops a flow from loading cannot be allowed.",
        example="""\
flow: example
on: {event: invoice.issued}
allow:
  ladder-none: mails are sent at most once
steps:
  - map: invoice
  - deliver: {role: books, operation: invoice.create, key: invoice.number}
""",
    )
)
REASON = RULES.declare(
    Rule(
        id="allow-reason",
        finds="An `allow` without a reason: it is a rule, and a text that says why the finding is right here.",
        place="the value that should be the reason, or that of `allow`",
        why="Whoever reads the flow next has to know what was thought of.",
        mend="Write the reason as a text.",
        example="""\
flow: example
on: {event: invoice.issued}
allow: {ladder-none: true}
steps:
  - map: invoice
  - deliver: {role: mail, operation: message.send, key: invoice.number}
""",
    )
)


def allowed(findings: Iterable[Problem], documents: Mapping[str, Document]) -> list[Problem]:
    """The findings that no `allow` of their file silences, and what is wrong with the allows themselves."""
    kept: list[Problem] = []
    silenced: set[tuple[str, str]] = set()
    allows = {file: _allows(document) for file, document in documents.items()}
    for finding in findings:
        if finding.rule in RULES.by_id and finding.rule in allows.get(finding.file, ()):
            silenced.add((finding.file, finding.rule))
        else:
            kept.append(finding)
    for file, rules in allows.items():
        document = documents[file]
        for rule, reason in rules.items():
            if not isinstance(reason, str) or not reason.strip():
                kept.append(
                    REASON.at(document.position(("allow", rule)), f"why is {rule} right here?", "write the reason")
                )
            if (file, rule) not in silenced:
                kept.append(_unused(document, rule))
        if not isinstance(_top(document).get("allow", {}), dict):
            kept.append(
                REASON.at(document.position(("allow",)), "`allow` has a rule and a reason", 'allow: {RULE: "reason"}')
            )
    return kept


def _unused(document: Document, rule: str) -> Problem:
    place = document.key_position(("allow", rule))
    if rule not in RULES.by_id:
        return UNUSED.at(place, f"{rule} is no rule that can be allowed", nearest(rule, RULES.by_id))
    return UNUSED.at(place, f"{rule} finds nothing here", "take it out")


def _top(document: Document) -> Mapping[str, object]:
    return document.value if isinstance(document.value, dict) else {}


def _allows(document: Document) -> Mapping[str, object]:
    found = _top(document).get("allow")
    return found if isinstance(found, dict) else {}
