"""Versions of flows as they are stored: found by a part of their hash, compared, and compiled again from their texts."""

from __future__ import annotations

import difflib
import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection

from hub.flows.active import load_flows
from hub.flows.context import MappingFolder, Roles
from hub.flows.definition import LANGUAGE_VERSION, Flow
from hub.flows.source import FlowFile
from hub.flows.tables import FlowVersion
from hub.mapping import MappingErrors, SourceError, load_document

VERSION = FlowVersion.__table__  # type: ignore[attr-defined]
#: characters of a hash that people are shown
SHORT = 8
#: characters of a hash that people have to give at least
_LEAST = 4


class VersionRefused(Exception):
    """A version that cannot run with this release and these connections: which, and why."""


@dataclass(frozen=True)
class Stored:
    """A row of `flow_version`. `text` is JSON: the texts of the flow and of all that it is made of."""

    hash: str
    name: str
    text: str
    language_version: int
    created_at: int


def stored(connection: Connection, hashes: Collection[str]) -> dict[str, Stored]:
    """The versions of these hashes."""
    rows = connection.execute(sa.select(VERSION).where(VERSION.c.hash.in_(sorted(set(hashes)))))
    return {row.hash: Stored(*row) for row in rows}


def of_flow(connection: Connection, name: str) -> list[Stored]:
    """All versions of a flow, the newest first."""
    rows = connection.execute(
        sa.select(VERSION).where(VERSION.c.name == name).order_by(VERSION.c.created_at.desc(), VERSION.c.hash)
    )
    return [Stored(*row) for row in rows]


def named(known: Iterable[str], part: str, flow: str) -> str:
    """The hash that starts with `part`. Raises: LookupError that says what there is."""
    known = list(dict.fromkeys(known))
    found = [each for each in known if each.startswith(part.lower())]
    if len(part) < _LEAST:
        raise LookupError(f"{part!r} is too short: give {_LEAST} characters of the version's hash or more")
    if not found:
        there = ", ".join(short(each) for each in known[:10]) or "none"
        raise LookupError(f"flow {flow} has no version {part!r}: there are {there}")
    if len(found) > 1:
        raise LookupError(f"{part!r} may be {' or '.join(found)}: give more of it")
    return found[0]


def short(version: str) -> str:
    """A hash as people are shown it."""
    return version[:SHORT]


_NEW = sa.text(
    "INSERT INTO flow_version (hash, name, text, language_version, created_at) "
    "VALUES (:hash, :name, :text, :language_version, :created_at) ON CONFLICT DO NOTHING"
)


def keep(connection: Connection, flows: Sequence[Flow], now: int) -> None:
    """Stores the versions of flows that are not stored yet."""
    known = stored(connection, [flow.version_hash for flow in flows])
    new = sorted({flow.version_hash: flow for flow in flows if flow.version_hash not in known}.items())
    if new:
        connection.execute(
            _NEW,
            [
                {
                    "hash": version,
                    "name": flow.name,
                    "text": flow.version_text,
                    "language_version": LANGUAGE_VERSION,
                    "created_at": now,
                }
                for version, flow in new
            ],
        )


# -- running an earlier version ---------------------------------------------------------------------------------


def compiled(version: Stored, roles: Roles, beside: Sequence[FlowFile]) -> Flow:
    """A version, from the texts that it was stored with. Raises: VersionRefused when it does not lint any more."""
    if version.language_version != LANGUAGE_VERSION:
        raise VersionRefused(
            f"version {short(version.hash)} of flow {version.name} was written for language "
            f"{version.language_version}, this release runs {LANGUAGE_VERSION}"
        )
    kept = json.loads(version.text)
    file = FlowFile(version.name, kept["file"], kept["flow"])
    called = [FlowFile(name, each["file"], each["text"]) for name, each in kept.get("calls", {}).items()]
    try:
        mappings = MappingFolder.frozen(kept["mappings"])
        loaded = load_flows([file], roles, mappings, beside=beside, called=called)
        problems = loaded.problems
    except MappingErrors as error:
        loaded, problems = None, error.problems
    if loaded is None or not loaded.flows:
        told = "; ".join(str(problem) for problem in problems)
        raise VersionRefused(f"version {short(version.hash)} of flow {version.name} does not run here any more: {told}")
    # with other connections it may need fewer mappings: it is the same version still
    return replace(loaded.flows[0], version_hash=version.hash, version_text=version.text)


def stand_in(version: Stored, reason: str, roles: Roles, beside: Sequence[FlowFile]) -> Flow | None:
    """What runs in the place of a version that does not run: it parks each event that the version is for, so that nothing
    is lost. None when nobody can tell what it is for."""
    kept = json.loads(version.text)
    try:
        value = load_document(kept["flow"], kept["file"]).value
    except SourceError:
        return None
    for keys in (("flow", "on", "order", "when"), ("flow", "on", "order")):
        written = {key: value[key] for key in keys if key in value}
        written["steps"] = [{"validate": {"that": "false", "else": reason}}]
        file = FlowFile(version.name, kept["file"], json.dumps(written, ensure_ascii=False))
        found = load_flows([file], roles, MappingFolder([]), beside=beside).flows
        if found:
            return replace(found[0], version_hash=version.hash, version_text=version.text)
    return None


# -- comparing --------------------------------------------------------------------------------------------------


def texts(version_text: str) -> dict[str, str]:
    """The files that a version is made of, by their names: the flow, its mappings, and whatever else it uses."""
    kept = json.loads(version_text)
    found = {str(kept["file"]): str(kept["flow"])}
    for kind, parts in kept.items():
        for name, part in parts.items() if isinstance(parts, Mapping) else ():
            file, text = _part(kind, name, part)
            found[file] = text
    return found


def _part(kind: str, name: str, part: Any) -> tuple[str, str]:
    if isinstance(part, Mapping) and isinstance(part.get("text"), str):
        return str(part.get("file", f"{kind}/{name}")), part["text"]
    text = part if isinstance(part, str) else json.dumps(part, ensure_ascii=False, indent=1, sort_keys=True)
    return f"{kind}/{name}.yaml" if kind == "mappings" else f"{kind}/{name}", text


def difference(one: str, other: str, *, names: tuple[str, str]) -> str:
    """A unified diff of all files of two versions, given as their `text`; empty when nothing differs."""
    before, after = texts(one), texts(other)
    parts: list[str] = []
    for file in sorted({*before, *after}):
        old, new = before.get(file, ""), after.get(file, "")
        lines = difflib.unified_diff(
            old.splitlines(),
            new.splitlines(),
            f"{file} ({names[0]})" if file in before else "/dev/null",
            f"{file} ({names[1]})" if file in after else "/dev/null",
            lineterm="",
        )
        parts += lines
    return "\n".join(parts)
