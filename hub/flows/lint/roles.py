"""Rules about roles: those that nothing can play, and records that nothing brings."""

from __future__ import annotations

import difflib
from collections.abc import Iterator

from hub.connect.manifest import Manifest
from hub.connect.paths import fill_settings
from hub.flows.context import ConnectionInfo
from hub.flows.lint.rule import RULES, Rule
from hub.flows.lint.view import FlowView
from hub.mapping import Problem


@RULES.in_flow(
    id="unserved-role",
    finds="A role that no connection plays and that no connector can play.",
    place="the value of `role` (of `connections` in a `for_each`)",
    why="The flow never does anything, and nothing says so: a role that nobody plays is waited for, not an error.",
    mend="Write the role as the hint says, or add the connector that plays it.",
    example="""\
flow: example
on: {event: invoice.issued}
steps:
  - map: {name: invoice, connector: quickbooks}
  - deliver: {role: boks, operation: invoice.create, key: invoice.number}
""",
)
def unserved_role(rule: Rule, view: FlowView) -> Iterator[Problem]:
    known = view.project.known_roles
    for role, place in view.roles:
        if role not in known:
            yield rule.at(place, f"no connector can play the role {role}", _near(role, known))


@RULES.in_flow(
    id="unknown-record",
    finds="A trigger on a record that no connector of the role brings.",
    place="the value of `record`",
    why="The flow never starts.",
    mend="Write the record as the hint says, or take an event of the core.",
    example="""\
flow: example
on: {role: shop, record: orders}
steps:
  - map: order
  - order.sync: {}
""",
)
def unknown_record(rule: Rule, view: FlowView) -> Iterator[Problem]:
    role, record = view.on.role, view.on.record
    if role is None or record is None:
        return
    players = view.project.players(role)
    brought = [_brings(info, manifest) for info in players if (manifest := view.project.manifest(info)) is not None]
    if brought and not any(records is None or record in records for records in brought):
        known = set[str]().union(*(records for records in brought if records is not None))
        names = sorted({info.connector for info in players})
        hint = _near(record, known) if known else "only what it is told, it brings nothing"
        yield rule.at(view.document.position(("on", "record")), f"{', '.join(names)}: no record {record}", hint)


def _brings(info: ConnectionInfo, manifest: Manifest) -> set[str] | None:
    """The records that come from a connection; None when its settings are not known, and they say which."""
    found = set(manifest.records)
    topics = manifest.webhooks.topics.values() if manifest.webhooks else ()
    for topic in topics:
        if "{" in topic.record and info.id < 0:
            return None
        settings = {name: setting.default for name, setting in manifest.settings.items()} | dict(info.settings)
        found.add(fill_settings(topic.record, settings))
    return found


def _near(word: str, known: set[str] | frozenset[str]) -> str:
    close = difflib.get_close_matches(word, sorted(known), 1, 0.5)
    return f"did you mean {close[0]!r}?" if close else f"one of: {', '.join(sorted(known))}"
