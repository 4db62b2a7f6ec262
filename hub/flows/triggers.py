"""What starts a flow: a record of a role, an event of the core, a command, a schedule, or the call of another flow."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from zoneinfo import available_timezones

from cronsim import CronSim, CronSimError

#: events of the core that flows may answer
CORE_EVENTS = {
    "alert.raised",
    "invoice.issued",
    "credit_note.issued",
    "payment.received",
    "payment.refunded",
    "order.ready",
    "order.cancelled",
    "shipment.recorded",
    "stock.changed",
    "delivery.confirmed",
}
#: the forms of a trigger: the keys of each, and what they say
FORMS: tuple[Mapping[str, str], ...] = (
    {
        "role": "A role: `shop`, `books`, `warehouse`, `mail`, or one of yours.",
        "record": "A kind of record of the connections that play the role, by webhook, poll, backfill or read.",
    },
    {"event": "An event of the core, or one that a flow emits."},
    {"manual": "The name by which a command or the API starts it."},
    {"schedule": "Minute, hour, day of the month, month, day of the week: `0 7 * * 1-5`."},
    {"schedule": "Minute, hour, day of the month, month, day of the week: `0 7 * * 1-5`.", "zone": "`Europe/Paris`."},
    {"call": "The names that it takes: it runs where another flow calls it."},
)
#: the one that is told by the outbox, after the transaction of what was sent
AFTER_SENDING = "delivery.confirmed"
#: names that a sub-flow sees without taking them
GIVEN_TO_CALLED = ("event", "connection", "settings")
#: called with rule, message, hint and the path of what is wrong
Complain = Callable[..., None]


@dataclass(frozen=True)
class On:
    """The trigger of a flow. `call`: the names that a sub-flow takes."""

    role: str | None = None
    record: str | None = None
    event: str | None = None
    manual: str | None = None
    schedule: str | None = None
    #: of the schedule; none: the merchant's
    zone: str | None = None
    call: tuple[str, ...] | None = None

    @property
    def name(self) -> str:
        return self.event or self.manual or self.schedule or f"{self.role}.{self.record}"


def read_trigger(value: Any, events: Collection[str], problem: Complain) -> On:
    """The trigger that stands under `on`. What is wrong with it is told to `problem`."""
    keys = set(value) if isinstance(value, dict) else set()
    for key in keys & {"role", "record", "event", "manual", "schedule", "zone"}:
        if not isinstance(value[key], str):
            problem("trigger", f"`{key}` is a text", "", "on", key)
            return On()
    if keys == {"role", "record"}:
        return On(role=str(value["role"]), record=str(value["record"]))
    if keys == {"event"}:
        event = str(value["event"])
        if event not in events:
            message = f"there is no core event {event!r}, and no flow emits it"
            problem("unknown-event", message, near(event, events), "on", "event")
        return On(event=event)
    if keys == {"manual"}:
        return On(manual=str(value["manual"]))
    if keys in ({"schedule"}, {"schedule", "zone"}):
        return _scheduled(value["schedule"], value.get("zone"), problem)
    if keys == {"call"}:
        return On(call=_taken(value["call"], problem))
    problem(
        "trigger",
        "a trigger is {role, record}, {event}, {manual}, {schedule, zone} or {call}",
        "for example on: {role: shop, record: order}",
        "on",
    )
    return On()


def _scheduled(schedule: str, zone: str | None, problem: Complain) -> On:
    wrong = problem_of(schedule)
    if wrong is not None:
        problem("schedule", wrong, "`0 7 * * 1-5` is at seven from Monday to Friday", "on", "schedule")
    if zone is not None and zone not in available_timezones():
        problem(
            "zone",
            f"there is no zone {zone!r}",
            near(zone, available_timezones(), "for example Europe/Paris"),
            "on",
            "zone",
        )
    return On(schedule=schedule, zone=zone)


def problem_of(schedule: str) -> str | None:
    """What is wrong with a schedule."""
    if len(schedule.split()) != 5:
        return "a schedule has five fields: minute, hour, day of the month, month, day of the week"
    try:
        CronSim(schedule, datetime(2026, 1, 1))
    except CronSimError as error:
        return f"{schedule!r} is no schedule: {error}"
    return None


def _taken(value: Any, problem: Complain) -> tuple[str, ...]:
    """The names that a sub-flow takes."""
    if not isinstance(value, list):
        problem(
            "call", "`call` is a list of the names that the flow takes", "for example on: {call: [order]}", "on", "call"
        )
        return ()
    for index, name in enumerate(value):
        if not isinstance(name, str) or not name.isidentifier():
            hint = "letters, digits and _, not starting with a digit"
            problem("name", f"{name!r} is not a name", hint, "on", "call", index)
        elif name in GIVEN_TO_CALLED or name in value[:index]:
            why = "is there anyway" if name in GIVEN_TO_CALLED else "is taken twice"
            problem("name", f"{name!r} {why}", "leave it out", "on", "call", index)
    return tuple(str(name) for name in value)


def near(word: str, known: Collection[str], otherwise: str | None = None) -> str:
    """A hint: the name that was meant, else all there are, or what to say `otherwise`."""
    close = difflib.get_close_matches(word, sorted(known), n=1, cutoff=0.5)
    return f"did you mean {close[0]!r}?" if close else otherwise or f"one of: {', '.join(sorted(known))}"
