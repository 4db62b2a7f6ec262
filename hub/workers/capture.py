"""`hub capture`: makes a test of what a hub really did, with pseudonyms in place of people, and runs it before it is kept."""

from __future__ import annotations

import json
import re
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sqlalchemy import Connection

from hub.connect import payload
from hub.connect.registry import Registry
from hub.connect.vault import Vault
from hub.db.types import instant_text, instant_us
from hub.flows.active import flow_files
from hub.inbox.tables import READ_KINDS
from hub.workers.admin.errors import AdminError
from hub.workers.captured import Captured, capture, content_of
from hub.workers.expectation import accounts_of
from hub.workers.flowtest import Benches, FileResult, run_file
from hub.workers.orderrefs import refs_in
from hub.workers.outcome import Item, Outcome
from hub.workers.personal import Pseudonyms
from hub.workers.testfile import read_test
from hub.workers.yamltext import rendered

#: what a captured test says of each kind; numbers and keys of documents are those of the hub, and begin anew in a test
_TOLD: Mapping[str, tuple[str, ...]] = {
    "invoices": ("order", "date", "total", "tax", "lines"),
    "credit_notes": ("order", "date", "total", "tax", "lines"),
    "moves": ("sku", "quantity", "source", "destination"),
    "reservations": ("order", "sku", "quantity", "state"),
    "questions": ("kind",),
    "orders": ("name", "state", "financial_status", "total", "invoiced"),
}
_LINE = ("sku", "quantity", "net", "tax")
#: what is only known where nothing came later for the orders
_AS_LEFT = ("orders", "reservations")
#: what a sandbox is told to answer so that a delivery ends as it did
_ENDS: Mapping[str, dict[str, Any]] = {
    "rejected": {"status": 400, "times": 1},
    "uncertain": {"kind": "drop_after", "times": 1},
}


@dataclass
class Made:
    """A test that was captured. `left_out`: why parts of what came of it are not in it."""

    file: Path
    payloads: list[Path]
    events: int
    left_out: list[str] = field(default_factory=list)


class NotTheSame(AdminError):
    """The test that was made does not pass: what is otherwise in it than in the hub. Nothing is kept."""


def capture_test(
    connection: Connection, vault: Vault, registry: Registry, seq: int, *, home: Path, name: str, merchant_id: int = 1
) -> Made:
    """Writes `flows/NAME.test.yaml` and its payloads into a folder whose flows, mappings and connectors are the hub's.

    Raises: NotThere; AdminError when a body was erased or the file is there; NotTheSame; OSError."""
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9-]*", name):
        raise AdminError(f"{name!r} cannot be the name of a test: letters, digits and hyphens")
    target = home / "flows" / f"{name}.test.yaml"
    if target.exists():
        raise AdminError(f"{target} is there already: give another --name")
    found = capture(connection, registry, merchant_id, seq)
    people = Pseudonyms(vault.data_key(connection, merchant_id, "chain").key)
    writer = _Writer(found, people, name)
    with tempfile.TemporaryDirectory(prefix="hub-capture-") as folder:
        trial = Path(folder)
        for kind in ("flows", "mappings", "connectors"):
            if (home / kind).is_dir():
                shutil.copytree(home / kind, trial / kind, ignore=shutil.ignore_patterns("*.test.yaml", "payloads"))
        _try(writer, trial, {file.name for file in flow_files([home / "flows"])})
        gone = [f"event {each} found nothing in its system, and its question is left out" for each in found.gone]
        made = Made(target, [], len(found.events), gone + writer.left_out)
        files = writer.files()
        for path, text in files.items():
            if leaks := people.leaks(text):
                raise AdminError(f"{path} would still hold {', '.join(leaks)}: it is not written")
        for path, text in sorted(files.items(), key=lambda each: each[0].endswith(".test.yaml")):
            place = home / path
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_text(text, "utf-8")
            made.payloads += [place] if place != target else []
    return made


def _try(writer: _Writer, trial: Path, known: set[str]) -> None:
    """Runs the test, and again where the sandboxes do not know what the vendors knew: roles whose deliveries end otherwise
    plan them and do not send. Raises: NotTheSame."""
    writer.flows = [name for name in writer.found.flows if name in known]
    if not writer.flows:
        raise AdminError(
            f"no flow of event {writer.found.events[-1].seq} is there: it ran {', '.join(writer.found.flows) or 'none'}"
        )
    for _ in range(1 + len(writer.found.roles)):
        file = writer.write(trial)
        outcome = _outcome(file)
        unlike = writer.compare_deliveries(outcome)
        if not unlike:
            break
        writer.pause(unlike)
    file = writer.write(trial)
    result: FileResult = run_file(file)
    problems = result.problems + [
        f"{each['what']}: the hub had {each['expected']}, the test has {each['found']}"
        for case in result.cases
        for each in case.failures
    ]
    if problems:
        why = "the test that was made does not pass, so that nothing is kept"
        if writer.found.fetched:
            why += " (its flows read from systems, and a sandbox may not know what these answered)"
        raise NotTheSame(why, [writer.people.again(p) for p in problems])


def _outcome(file: Path) -> Outcome:
    tests = read_test(file, file.name)
    benches = Benches()
    try:
        bench = benches.of(tests)
        failures = bench.run(tests.cases[0]).failures
        if failures and failures[0]["what"] == "given":
            raise NotTheSame("what the hub was given cannot be given to a test", [failures[0]["found"]])
        return bench.found()
    finally:
        benches.close()


class _Writer:
    """The text of a test file and of its payloads."""

    def __init__(self, found: Captured, people: Pseudonyms, name: str) -> None:
        self.found = found
        self.people = people
        self.name = name
        self.flows: list[str] = found.flows
        self.left_out: list[str] = []
        self._paused: set[str] = set()
        self._bodies: dict[int, dict[str, Any]] = {}
        self._payloads: dict[str, str] = {}
        self._given = [each for place, event in enumerate(found.events) for each in self._give(place, event)]

    def files(self) -> dict[str, str]:
        """Paths in the home and the texts of the files."""
        return {**self._payloads, f"flows/{self.name}.test.yaml": self.text()}

    def write(self, home: Path) -> Path:
        for path, text in self.files().items():
            (home / path).parent.mkdir(parents=True, exist_ok=True)
            (home / path).write_text(text, "utf-8")
        return home / "flows" / f"{self.name}.test.yaml"

    def text(self) -> str:
        """The test file."""
        events = self.found.events
        lines = [
            f"description: Captured from {len(events)} events; names, addresses and notes are pseudonyms.",
            f"flows: {rendered(self.flows)}",
            f"roles: {rendered(self._roles())}",
            f"clock: {instant_text(_clock(events[0]))}",
            *([f"stock: {rendered(self.found.stock)}"] if self.found.stock else []),
            "tests:",
            f"  - name: {rendered(self._title())}",
            "    given:",
            *(f"      - {rendered(each)}" for each in self._given),
        ]
        if answers := self._answers():
            lines += ["    answers:", *(f"      - {rendered(each)}" for each in answers)]
        lines.append("    expect:")
        for kind, items in self._expect().items():
            lines += (
                [f"      {kind}:", *(f"        - {rendered(item)}" for item in items)]
                if items
                else [f"      {kind}: []"]
            )
        return "\n".join(lines) + "\n"

    def _title(self) -> str:
        last = self.found.events[-1]
        return f"{last.topic or last.record} of {instant_text(last.received_at)[:10]}"

    def _roles(self) -> dict[str, Any]:
        used = {self.found.role_of.get(event.connection_id or 0) for event in self.found.events}
        used |= {each["role"] for each in self.found.outcome["deliveries"]}
        made: dict[str, Any] = {}
        more: dict[str, Any]
        for role, (connector, mode, settings) in self.found.roles.items():
            if role in used:
                mode = "paused" if role in self._paused else mode
                more = {"settings": settings} if settings else {}
                made[role] = {"connector": connector, "mode": mode, **more} if more or mode != "live" else connector
        return made

    def _give(self, place: int, event: Any) -> list[dict[str, Any]]:
        """What is given for one event, after the time that passed since the one before it."""
        given: list[dict[str, Any]] = []
        if place:
            seconds = (event.received_at - self.found.events[place - 1].received_at) // 1_000_000
            given += [{"wait": seconds}] if seconds > 0 else []
        if event.kind == "schedule":
            return [*given, {"schedule": event.topic}]
        content = content_of(event)
        if content is None:
            raise AdminError(f"event {event.seq} holds no JSON, so that it cannot be captured without the people in it")
        file = f"payloads/{self.name}-{place + 1}.json"
        data = payload.encode(self.people.record(content))
        self._payloads[f"flows/{file}"] = _indented(data)
        role = self.found.role_of.get(event.connection_id or 0)
        if event.kind == "manual":
            return [*given, {"manual": event.topic, "file": file}]
        named = {ref: self.found.refs[ref] for ref in refs_in([data]) if ref in self.found.refs}
        refs = {"refs": named} if named else {}
        if event.kind in READ_KINDS:
            return [*given, {"read": event.record, "role": role, "file": file, **refs}]
        return [*given, {"webhook": event.topic, "role": role, "file": file, **refs}]

    def _answers(self) -> list[dict[str, Any]]:
        """What made deliveries end as they did, as far as that is known: how often they failed, and how they ended."""
        made = []
        for each in self.found.outcome["deliveries"]:
            end = _ENDS.get(each["state"])
            if end and each["role"] not in self._paused:
                made.append({"role": each["role"], "operation": each["operation"], **end})
        return made

    def _expect(self) -> dict[str, list[dict[str, Any]]]:
        found = self.found.outcome
        made: dict[str, list[dict[str, Any]]] = {}
        for kind, keys in _TOLD.items():
            if kind not in _AS_LEFT or self.found.last:
                made[kind] = [self._told(each, keys) for each in found[kind]]
        made["entries"] = [
            {
                "kind": each["kind"],
                "date": each["date"],
                **{code: sum_.decimal() for code, sum_ in accounts_of(each).items()},
            }
            for each in found["entries"]
        ]
        made["deliveries"] = [self._delivery(place, each) for place, each in enumerate(found["deliveries"])]
        if self._paused:  # questions about deliveries that are not sent
            made["questions"] = [each for each in made["questions"] if not str(each["kind"]).startswith("delivery.")]
        return made

    def _told(self, item: Item, keys: Sequence[str]) -> dict[str, Any]:
        told = {key: item[key] for key in keys if item.get(key) is not None}
        if "lines" in told:
            told["lines"] = [{key: line[key] for key in _LINE if line.get(key) is not None} for line in told["lines"]]
        made: dict[str, Any] = self.people.again(told)
        return made

    def _delivery(self, place: int, delivery: Item) -> dict[str, Any]:
        state = "planned" if delivery["role"] in self._paused else delivery["state"]
        body = self._bodies.get(place)
        told: dict[str, Any] = {"role": delivery["role"], "operation": delivery["operation"], "state": state}
        return {**told, "body": body} if body else told

    def compare_deliveries(self, outcome: Outcome) -> set[str]:
        """Takes from the hub's bodies what the test has equal: the rest are ids that a vendor gave, and numbers that begin anew.
        Returns the roles whose deliveries end otherwise."""
        unlike: set[str] = set()
        self.left_out = []
        left = list(outcome["deliveries"])
        for place, real in enumerate(self.found.outcome["deliveries"]):
            same = [each for each in left if (each["role"], each["operation"]) == (real["role"], real["operation"])]
            if not same:
                continue  # the test says so when it runs
            left.remove(same[0])
            if real["role"] not in self._paused and same[0]["state"] != real["state"]:
                unlike.add(real["role"])
            whole, there = self.people.again(self.people.record(real["body"] or {})), same[0]["body"] or {}
            if isinstance(whole, dict) and isinstance(there, dict):
                self._bodies[place] = {
                    key: value for key, value in whole.items() if key in there and _plain(there[key]) == _plain(value)
                }
                if other := sorted(set(whole) - set(self._bodies[place])):
                    self.left_out.append(
                        f"{real['operation']}: {', '.join(other)}: ids of the vendor or numbers of the hub"
                    )
        return unlike

    def pause(self, roles: set[str]) -> None:
        """Deliveries of these roles are planned and not sent."""
        self._paused |= roles
        self._bodies.clear()


def _clock(first: Any) -> int:
    """When a test begins: as its first event comes in; before the tick of a schedule, which then is the next."""
    if first.kind != "schedule":
        return int(first.received_at)
    return instant_us(first.record_id) - 60_000_000


def _plain(value: Any) -> str:
    return payload.canonical(value)


def _indented(data: bytes) -> str:
    """JSON that people read; numbers digit for digit."""
    return json.dumps(json.loads(data, parse_float=_Digits), ensure_ascii=False, indent=1) + "\n"


class _Digits(float):
    """A fraction that is written as it was read."""

    def __new__(cls, text: str) -> _Digits:
        made = super().__new__(cls, text)
        made.text = text  # type: ignore[attr-defined]
        return made

    def __repr__(self) -> str:
        return str(self.text)  # type: ignore[attr-defined]
