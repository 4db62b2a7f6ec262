"""Flows as they are written: files, and a walk over the steps in them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from hub.mapping import Document, SourceError, load_document

if TYPE_CHECKING:
    from hub.flows.compiling import StepKind

#: the keys of a flow's file and what each says; a sub-flow's
KEYS = {
    "flow": "Its name: letters, digits and hyphens.",
    "description": "What it is for, in a line.",
    "on": "What starts it.",
    "when": "An expression; where it does not hold, nothing runs and nothing is kept.",
    "order": "`latest`: a parked event lets later ones of its key pass; `strict`: it holds them.",
    "steps": "What is done, one step after the other.",
    "allow": "Findings of `hub lint` that are right here: each rule with its reason.",
}
KEYS_OF_CALLED = {
    **{key: KEYS[key] for key in ("flow", "description", "on", "steps", "allow")},
    "returns": "An expression: what the flow that calls it gets.",
}
NEEDED = ("flow", "on", "steps")
ORDERS = ("latest", "strict")


@dataclass(frozen=True)
class FlowFile:
    """A flow as it is written. `name` is the file's, without its ending."""

    name: str
    file: str
    text: str

    @cached_property
    def document(self) -> Document:
        """Raises: SourceError."""
        return load_document(self.text, self.file)

    @property
    def value(self) -> Any:
        """What the file says; None when it cannot be read."""
        try:
            return self.document.value
        except SourceError:
            return None

    @property
    def called(self) -> str | None:
        """The name by which others call it, where it is a sub-flow."""
        value = self.value
        on = value.get("on") if isinstance(value, dict) else None
        return str(value.get("flow")) if isinstance(on, dict) and "call" in on else None


def sub_flows(files: Iterable[FlowFile]) -> dict[str, FlowFile]:
    """The flows that others may call, by name."""
    return {file.called: file for file in files if file.called is not None}


def written_steps(steps: Any, kinds: Mapping[str, StepKind]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """The names and settings of the steps of a list as they are written, those inside other steps included, in order."""
    for step in steps if isinstance(steps, list) else ():
        for name, settings in step.items() if isinstance(step, dict) else ():
            if not isinstance(settings, dict):
                continue
            yield name, settings
            for part in kinds[name].parts if name in kinds else ():
                inner = settings.get(part)
                for each in inner.values() if isinstance(inner, dict) else (inner,):
                    yield from written_steps(each, kinds)


def emitted(file: FlowFile, kinds: Mapping[str, StepKind]) -> set[str]:
    """The events that a flow announces with `emit`; none when it cannot be read."""
    value = file.value
    steps = value.get("steps") if isinstance(value, dict) else None
    events = (settings.get("event") for name, settings in written_steps(steps, kinds) if name == "emit")
    return {event for event in events if isinstance(event, str)}
