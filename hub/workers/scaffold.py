"""New files for a hub's folder: an example to start from, and flows, mappings and connectors that lint and pass their tests.

The files are those of `hub/templates/`, with names put in; a flow or mapping that is shipped is copied, to be changed. A caller
sees the whole before anything is written.
"""

from __future__ import annotations

import difflib
import keyword
import re
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from string import Template
from typing import Any

import hub
from hub.connect.manifest import Manifest, ManifestError
from hub.connect.registry import Registry, UnknownConnector, shipped
from hub.mapping import load_document
from hub.records.schema import Kind, Type
from hub.workers.testfile import read_test

#: the files of a scaffold by their paths in the hub's folder, with `/`
Files = dict[str, bytes]
_FLOW_NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
_NAME = re.compile(r"[a-z][a-z0-9_]*")
#: what is written, with places for names
TEMPLATES = Path(hub.__file__).with_name("templates")
#: how the connector in `hub/templates/connector` is called, and the shipped connector with the words of every sandbox
_ACME, _CONTROL = "acme", ("shipbob", "sandbox_control.py")
#: an expression of each kind of single value
_NEUTRAL: Mapping[Kind, str] = {
    Kind.TEXT: "\"''\"",
    Kind.WHOLE: "0",
    Kind.NUMBER: "0",
    Kind.BOOL: "false",
    Kind.LIST: "[]",
}
#: stands where a flow runs for all that starts it
_NO_WHEN = "# when: an expression             # where it does not hold, nothing runs and nothing is kept"


class ScaffoldRefused(Exception):
    """Files that cannot be made: why, and in `problems` what it is about."""

    def __init__(self, message: str, problems: Collection[str] = ()) -> None:
        super().__init__(message)
        self.problems = list(problems)


def write(folder: Path, files: Files) -> list[Path]:
    """Writes the files that are not there yet. Nothing is written when one is there with other content. Returns what was
    written. Raises: ScaffoldRefused, OSError."""
    there = {name: (folder / name).read_bytes() for name in files if (folder / name).is_file()}
    differing = sorted(name for name, content in there.items() if content != files[name])
    if differing or not files.keys() - there.keys():
        raise ScaffoldRefused("nothing was written: these files are there already", differing or sorted(there))
    made = [folder / name for name in sorted(files) if name not in there]
    for file in made:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(files[file.relative_to(folder).as_posix()])
    return made


def example() -> Files:
    """A folder that an integrator starts from: flows with their tests, a mapping, connections, and the checks of a CI."""
    root = TEMPLATES / "example"
    files = {file.relative_to(root).as_posix(): file.read_bytes() for file in _files_below(root)}
    for test in sorted(root.glob("flows/*.test.yaml")):
        files |= _payloads(test)
    return files


def flow(home: Path, name: str, on: str | None) -> Files:
    """A flow with its test: a copy of the shipped one of this name, else one that answers `on`: `role.record`, an event of
    the core, `manual:NAME` or `schedule`. Raises: ScaffoldRefused."""
    if not _FLOW_NAME.fullmatch(name):
        raise ScaffoldRefused(f"{name!r} is no name of a flow: small letters and digits, with single hyphens between")
    ready = shipped("flows") / f"{name}.yaml"
    if ready.is_file():
        if on is not None:
            raise ScaffoldRefused(
                f"{name} is a shipped flow: without --on you get a copy to change, or choose another name"
            )
        test = ready.with_name(f"{name}.test.yaml")
        return {f"flows/{ready.name}": _copied(ready), f"flows/{test.name}": test.read_bytes(), **_payloads(test)}
    values = _answering(name, on or "invoice.issued", Registry.discover(home))
    return _filled("flow", {"flow.yaml": f"flows/{name}.yaml", "flow.test.yaml": f"flows/{name}.test.yaml"}, values)


def mapping(home: Path, name: str) -> Files:
    """A mapping `connector/record`: a copy of the shipped one of this name, else a new one with a flow that uses it and a
    test. It reads the record if the connector has one of that name, else it makes what the connector is sent.

    Raises: ScaffoldRefused."""
    connector, _, record = name.partition("/")
    if not _NAME.fullmatch(connector) or not _NAME.fullmatch(record):
        raise ScaffoldRefused(f"{name!r} is no name of a mapping: it is CONNECTOR/RECORD, for example shopify/order")
    ready = shipped("mappings") / f"{name}.yaml"
    if ready.is_file():
        return {f"mappings/{name}.yaml": _copied(ready)}
    registry = Registry.discover(home)
    manifest = _manifest(registry, connector)
    flow_name = f"{connector}-{record}".replace("_", "-")
    kind = "incoming" if record in _records(manifest) else "outgoing"
    described = registry.get(connector).schema(record)
    values = {
        "connector": connector,
        "record": record,
        "leaves": _read_leaves(described) if kind == "incoming" else _made_leaves(described),
        "flow": flow_name,
        "role": manifest.roles[0] if manifest.roles else connector,
        "operations": ", ".join(sorted(manifest.operations)) or "it has none",
    }
    places = {
        f"{kind}.yaml": f"mappings/{name}.yaml",
        f"{kind}.flow.yaml": f"flows/{flow_name}.yaml",
        f"{kind}.test.yaml": f"flows/{flow_name}.test.yaml",
    }
    return _filled("mapping", places, values)


def connector(home: Path, name: str) -> Files:
    """A connector with its sandbox, a mapping, two flows and their tests. Raises: ScaffoldRefused."""
    if not _NAME.fullmatch(name):
        raise ScaffoldRefused(f"{name!r} is no name of a connector: small letters, digits and _, a letter first")
    if name in Registry.discover(home).names():
        raise ScaffoldRefused(f"there is a connector {name!r} already: choose another name")
    root = TEMPLATES / "connector"
    files = {
        _called(file.relative_to(root).as_posix(), name): _called(file.read_text("utf-8"), name).encode()
        for file in _files_below(root)
    }
    from_, control = _CONTROL
    files[f"connectors/{name}/{control}"] = (shipped("connectors") / from_ / control).read_bytes()
    return files


def _read_leaves(record: Type | None) -> str:
    """Leaves that take over the single values of a record, where it is described."""
    single = [
        name
        for name, each in (record.fields if record else {}).items()
        if each.kind in _NEUTRAL and each.kind is not Kind.LIST
    ]
    names = [name for name in single if name.isidentifier() and not keyword.iskeyword(name)]
    return "\n".join(f"  {name}: {name}" for name in names) or "  whole: record"


def _made_leaves(record: Type | None) -> str:
    """Leaves for what has to be there, each with a value that says nothing yet; of an unknown record some that are usual."""
    if record is None:
        return "  number: number\n  date: effective_date\n  total: amount(total)"
    return "\n".join(f"  {name}: {_neutral(record.fields[name])}" for name in record.required()) or "  {}"


def _neutral(type_: Type) -> str:
    if type_.choices:
        return f"\"'{type_.choices[0]}'\""
    if type_.kind is Kind.OBJECT:
        return "{" + ", ".join(f"{name}: {_neutral(type_.fields[name])}" for name in type_.required()) + "}"
    return _NEUTRAL.get(type_.kind, "null")


def _called(text: str, name: str) -> str:
    """The text of a template about another connector than Acme. Flows and headers have hyphens where names have `_`."""
    hyphened = text.replace(f"{_ACME}-", f"{name.replace('_', '-')}-")
    return hyphened.replace(_ACME, name).replace(_ACME.title(), name.replace("_", " ").title())


def _answering(name: str, on: str, registry: Registry) -> dict[str, str]:
    """What a flow's template is filled with, by what starts it."""
    events: Mapping[str, Any] = load_document(
        (TEMPLATES / "flow" / "events.yaml").read_text("utf-8"), "events.yaml"
    ).value
    more: Mapping[str, Any]
    kind, colon, manual = on.partition(":")
    if on in events:
        more, trigger = events[on], f"{{event: {on}}}"
    elif colon and kind == "manual" and _FLOW_NAME.fullmatch(manual):
        given = [f"{{manual: {manual}, record: {{id: 1}}}}"]
        more = {"key": "text(record.id)", "text": "'For ' + text(record.id)", "given": given}
        trigger = f"{{manual: {manual}}}"
    elif on == "schedule":
        more = {"key": "record.day", "text": "'For ' + record.day", "given": [f"{{schedule: {name}}}"]}
        trigger = '{schedule: "0 7 * * 1-5"}'
    else:
        role, _, record = on.partition(".")
        connector = _player(registry, role, record, on, events)
        more = {
            "key": "event.subject",
            "text": f"'A {record} of ' + connection.name + ' came in'",
            "roles": {role: connector},
            "given": [f"{{read: {record}, role: {role}, body: {{id: 1}}}}"],
        }
        trigger = f"{{role: {role}, record: {record}}}"
    roles = {**more.get("roles", {}), "mail": "smtp"}
    mail = "{role: mail, operation: message.send, state: confirmed}"
    return {
        "name": name,
        "title": name.replace("-", " "),
        "on": trigger,
        "when": f"when: {more['when']}" if "when" in more else _NO_WHEN,
        # flows that write the same operation must not name two writes alike
        "key": f"'{name}:' + {more['key']}",
        "text": more["text"],
        "flows": ", ".join([*more.get("flows", ()), name]),
        "roles": ", ".join(f"{role}: {connector}" for role, connector in roles.items()),
        "given": "\n".join(f"      - {each}" for each in more["given"]),
        "deliveries": "\n".join(f"        - {each}" for each in [*more.get("also", ()), mail]),
        "questions": more.get("questions", "[]"),
    }


def _player(registry: Registry, role: str, record: str, on: str, events: Collection[str]) -> str:
    """The first connector with a sandbox that can play a role and has the record. Raises: ScaffoldRefused."""
    known: set[str] = set()
    for each in registry:
        try:
            manifest = each.manifest
        except ManifestError:
            continue  # `hub lint` says what is wrong with it
        if (each.folder / "sandbox.py").is_file():
            known |= {f"{played}.{name}" for played in manifest.roles for name in _records(manifest)}
            if role in manifest.roles and record in _records(manifest):
                return str(each.name)
    choices = sorted({*known, *events, "manual:NAME", "schedule"})
    near = difflib.get_close_matches(on, choices, n=1)
    hint = f"did you mean {near[0]}?" if near else f"one of: {', '.join(choices)}"
    raise ScaffoldRefused(f"nothing starts a flow by {on!r}", [hint])


def _records(manifest: Manifest) -> set[str]:
    """Kinds of records that a connector brings; those that a setting names are not known here."""
    topics = manifest.webhooks.topics.values() if manifest.webhooks else ()
    return {*manifest.records, *(topic.record for topic in topics if "{" not in topic.record)}


def _manifest(registry: Registry, name: str) -> Manifest:
    try:
        return registry.get(name).manifest
    except UnknownConnector as error:
        raise ScaffoldRefused(str(error)) from None
    except ManifestError as error:
        raise ScaffoldRefused(f"the connector {name} does not lint", [str(each) for each in error.problems]) from None


def _filled(kind: str, places: Mapping[str, str], values: Mapping[str, str]) -> Files:
    root = TEMPLATES / kind
    return {
        place: Template((root / name).read_text("utf-8")).substitute(values).encode() for name, place in places.items()
    }


def _copied(file: Path) -> bytes:
    said = f"# A copy of the shipped {file.stem}: as it has the same name, it takes its place. Change it.\n"
    return said.encode() + file.read_bytes()


def _payloads(test: Path) -> Files:
    """The files that a test gives, from beside the shipped flows, where they are."""
    return {
        f"flows/{name}": (shipped("flows") / name).read_bytes()
        for case in read_test(test, test.name).cases
        for given in case.given
        if "file" in given
        for name in _names(given["file"])
    }


def _names(value: Any) -> list[str]:
    return [str(each) for each in value] if isinstance(value, list) else [str(value)]


def _files_below(folder: Path) -> Iterator[Path]:
    for file in sorted(folder.rglob("*")):
        if file.is_file() and "__pycache__" not in file.parts:
            yield file
