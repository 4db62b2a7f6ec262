"""`alerts.yaml`: when somebody is to be told, how, and how often."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from hub.connect.json_schema import DIALECT, Documented, Schema
from hub.mapping import Document, Problem, SourceError, load_document

FILE = "alerts.yaml"
WEBHOOK = "webhook"
_SHIPPED = Path(__file__).with_name("default.yaml")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
Duration = Annotated[str, Field(pattern=r"^[1-9][0-9]{0,5}[smhd]$", description="`90s`, `30m`, `6h`, `2d`.")]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class When(_Part):
    """What is told of: one of these."""

    questions: list[str] | None = Field(
        default=None,
        min_length=1,
        description="Questions of these kinds were raised; a `*` at the end stands for any rest.",
    )
    failing: Duration | None = Field(default=None, description="What goes to a connection has failed for so long.")
    queue: Duration | None = Field(default=None, description="An event waits to be worked for so long.")
    stock: dict[str, int] | None = Field(
        default=None, min_length=1, description="SKU: units left to sell at which it is told; `default` for all others."
    )

    @model_validator(mode="after")
    def _one(self) -> When:
        if len(self.model_fields_set) != 1:
            raise ValueError("give one of `questions`, `failing`, `queue`, `stock`")
        return self


class Rule(_Part):
    """One rule."""

    alert: str = Field(pattern=r"^[a-z][a-z0-9-]{0,39}$", description="Its name.")
    when: When
    to: list[Annotated[str, Field(pattern=r"^(webhook|[^@\s]+@[^@\s]+)$")]] = Field(
        min_length=1,
        description="Mail addresses, through the connection that plays the role `mail`; `webhook`, to those of the role `alerts`.",
    )
    throttle: Duration = Field(
        default="15m", description="At most one alert of this rule in that time; it tells of all since."
    )
    quiet: str | None = Field(
        default=None,
        pattern=r"^([01][0-9]|2[0-3]):[0-5][0-9]-([01][0-9]|2[0-3]):[0-5][0-9]$",
        description="Hours of the merchant in which nothing is told: `22:00-07:00`.",
    )

    @property
    def kind(self) -> str:
        return next(iter(self.when.model_fields_set))

    @property
    def mails(self) -> list[str]:
        return [each for each in self.to if each != WEBHOOK]

    def is_quiet(self, minute: int) -> bool:
        """Whether a minute of the day lies in its quiet hours; they may go over midnight."""
        if self.quiet is None:
            return False
        first, last = (int(text[:2]) * 60 + int(text[3:]) for text in self.quiet.split("-"))
        return first <= minute < last if first <= last else minute >= first or minute < last


class _File(_Part):
    alerts: list[Rule]


@dataclass(frozen=True)
class Rules:
    """The rules of a file, in its order; none when something is wrong with it. `advice`: what `hub lint` says besides."""

    rules: Sequence[Rule]
    problems: Sequence[Problem] = ()
    advice: Sequence[Problem] = ()

    @property
    def mails(self) -> list[str]:
        """All addresses, for what cannot go any other way."""
        return list(dict.fromkeys(address for rule in self.rules for address in rule.mails))


def us(duration: str) -> int:
    """A duration in microseconds."""
    return int(duration[:-1]) * _SECONDS[duration[-1]] * 1_000_000


def load(home: Path) -> Rules:
    """The rules of a home, else the shipped ones."""
    own = home / FILE
    file = own if own.is_file() else _SHIPPED
    try:
        text = file.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        return Rules((), [Problem(FILE, 1, 1, "alerts", f"it cannot be read: {error}")])
    return read(text, FILE)


@lru_cache(maxsize=16)
def read(text: str, file: str = FILE) -> Rules:
    """The rules of a text, or what is wrong with it."""
    try:
        document = load_document(text, file)
    except SourceError as error:
        return Rules((), [error.problem])
    try:
        found = _File.model_validate(document.value)
    except ValidationError as error:
        return Rules((), [_problem(document, each) for each in error.errors()])
    twice = _twice(document, found.alerts)
    return Rules((), twice) if twice else Rules(found.alerts, (), _one_way(document, found.alerts))


def _problem(document: Document, error: Any) -> Problem:
    path = tuple(part for part in error["loc"] if isinstance(part, str | int))
    extra = error["type"] == "extra_forbidden"
    place = document.key_position(path) if extra else document.position(path)
    message = f"{path[-1]!r} is not known" if extra else error["msg"].removeprefix("Value error, ")
    return Problem(place.file, place.line, place.column, "alerts", message)


def _twice(document: Document, rules: Sequence[Rule]) -> list[Problem]:
    names = [rule.alert for rule in rules]
    return [
        _at(document, index, "alert", "alerts", f"{name} is there twice")
        for index, name in enumerate(names)
        if name in names[:index]
    ]


def _one_way(document: Document, rules: Sequence[Rule]) -> list[Problem]:
    """Rules that may have to tell of the only way that they go."""
    hint = "give it a mail address and `webhook`; or another rule the other way, which is taken then"
    return [
        _at(document, index, "to", "alert-one-way", f"{rule.alert} could not tell that its only way is broken", hint)
        for index, rule in enumerate(rules)
        if _tells_of_connections(rule)
        and not (rule.mails and WEBHOOK in rule.to)
        and not any(_other_way(rule, each) for each in rules)
    ]


def _at(document: Document, index: int, key: str, rule: str, message: str, hint: str = "") -> Problem:
    place = document.position(("alerts", index, key))
    return Problem(place.file, place.line, place.column, rule, message, hint)


def _tells_of_connections(rule: Rule) -> bool:
    kinds = ("connection.reconnect", "connection.down")
    return rule.kind == "failing" or any(fits(kind, each) for kind in kinds for each in rule.when.questions or ())


def _other_way(rule: Rule, other: Rule) -> bool:
    return bool(other.mails) if not rule.mails else WEBHOOK in other.to


def fits(kind: str, pattern: str) -> bool:
    """Whether a kind of question is one of a pattern's."""
    return kind.startswith(pattern[:-1]) if pattern.endswith("*") else kind == pattern


def schema() -> Schema:
    """JSON Schema of the file."""
    made = _File.model_json_schema(schema_generator=Documented)
    return {"$schema": DIALECT, **made, "title": "Alerts of the hub"}
