"""Reads that flows ask for, kept with their event: asked for in a run, answered by the fetch worker, the same for ever.

What an event keeps is a JSON list of entries `{key, connection, record, id}` or `{key, connection, operation, body}`, each
with `required` and, once it is known, `answer` (null: there is none) or `refused`, the reason.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from hub.connect import payload


@dataclass(frozen=True)
class Fetch:
    """One read. `key` names the flow, the step and the arguments; `record` and `id`, or `operation` and `body`."""

    key: str
    connection: int
    record: str | None = None
    id: str | None = None
    operation: str | None = None
    body: Any = None
    #: that there is none is a question
    required: bool = False


Entry = Mapping[str, Any]


def kept(text: bytes | None) -> dict[str, Entry]:
    """The entries of an event, by key."""
    return {entry["key"]: entry for entry in payload.decode(text)} if text else {}


def asked(text: bytes | None, fetches: Iterable[Fetch]) -> bytes:
    """The entries with reads that a run asks for now."""
    entries = dict(kept(text))
    for fetch in fetches:
        entries.setdefault(fetch.key, asdict(fetch))
    return payload.encode(list(entries.values()))


def pending(text: bytes | None) -> list[Fetch]:
    """The reads that are not answered yet."""
    return [Fetch(**entry) for entry in kept(text).values() if not _is_known(entry)]


def answered(text: bytes | None, answers: Mapping[str, Entry]) -> bytes:
    """The entries with what is known now: `{answer}` or `{refused}` by key."""
    return payload.encode([{**entry, **answers.get(key, {})} for key, entry in kept(text).items()])


def again(text: bytes | None) -> bytes | None:
    """The entries of an event that a person lets work again: what they were asked about is read anew, the rest stays."""
    left = [
        entry
        for entry in kept(text).values()
        if "answer" in entry and not (entry["required"] and entry["answer"] is None)
    ]
    return payload.encode(left) if left else None


def _is_known(entry: Entry) -> bool:
    return "answer" in entry or "refused" in entry
