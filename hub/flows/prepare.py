"""Before the books are touched: an event is decoded, its flows are found, and their steps up to the first that needs the plan
are run. No lock is held and nothing is written."""

from __future__ import annotations

from dataclasses import dataclass, field

import structlog

from hub.connect import payload, reads
from hub.connect.errors import Unreadable
from hub.connect.registry import Connector
from hub.flows.active import Active
from hub.flows.context import ConnectionInfo
from hub.flows.run import REFUSALS, FetchNeeded, Parked, Run, Stop, Trigger, prepare, start
from hub.flows.stored import stored_record
from hub.inbox import fetches
from hub.inbox.claim import Event
from hub.inbox.fetches import Fetch
from hub.inbox.tables import READ_KINDS
from hub.observe.personal import without_people

_log = structlog.get_logger("hub.flows")


@dataclass
class Prepared:
    """An event with its decoded record and the runs it starts."""

    event: Event
    runs: list[Run] = field(default_factory=list)
    refusal: Exception | None = None
    #: the run that met it, where one had begun
    refused: Run | None = None
    outcome: str | None = None
    #: the event only says that this record (kind, id) changed
    hint: tuple[str, str] | None = None
    #: the system ended the connection
    disconnect: bool = False
    #: reads that its runs need first: it leaves the batch, with the later events of its key
    needs: list[Fetch] = field(default_factory=list)


def prepare_event(event: Event, active: Active) -> Prepared:
    """Decodes an event and runs the steps of its flows that need no plan. What is wrong with it becomes its refusal."""
    made = Prepared(event)
    try:
        trigger = _trigger(event, active, made)
        flows = active.flows_for(event) if trigger is not None else []
        if trigger is None:
            return made
        if not flows:
            made.outcome = "no flow for it"
        answers = fetches.kept(event.fetched)
        for flow in flows:
            run = made.refused = start(flow, trigger, active.settings, answers)
            try:
                prepare(run)
            except FetchNeeded as needed:
                made.needs += needed.fetches
            except Stop as stop:
                run.next_step = -1
                run.scope["stopped"] = str(stop)
            made.runs.append(run)
            made.refused = None
    except (*REFUSALS, Unreadable) as error:
        made.refusal = error
    return made


def _trigger(event: Event, active: Active, made: Prepared) -> Trigger | None:
    """What starts the runs of an event; None for a hint, which only asks for a read, and for the end of a connection."""
    info = active.settings.roles.connections.get(event.connection_id or 0)
    if event.kind in ("manual", "schedule"):
        record = payload.decode(event.body or b"null")
        return Trigger(event.seq, event.topic, event.ordering_key, event.ordering_key, record, at=event.received_at)
    if event.kind == "core":
        happened = stored_record(event.body or b"null")
        if not isinstance(happened, dict):
            raise Unreadable("an event of the core without a record")
        subject = str(happened["subject"])
        return Trigger(event.seq, event.topic, subject, subject, happened["record"], core=True, at=event.received_at)
    if info is None:
        raise Parked("connection.unknown", f"connection {event.connection_id} is not there")
    if event.kind in READ_KINDS:
        record = payload.decode(event.reads or b"null")
        if record is None:
            raise Parked("record.gone", f"{event.record} {event.record_id} is no longer at {info.name}")
    else:
        connector = active.settings.roles.connector(info)
        found = _decoded(connector, event, info)
        if found.disconnect:
            made.disconnect, made.outcome = True, "the system ended the connection"
            return None
        if found.hint:
            made.hint, made.outcome = (
                (found.record, (found.ordering_key or ":").partition(":")[2]),
                "read asked for",
            )
            return None
        record = found.data
    name = f"{info.connector}.{event.record}"
    key = event.ordering_key
    return Trigger(event.seq, name, key, key, record, info, read=event.kind in READ_KINDS, at=event.received_at)


def _decoded(connector: Connector, event: Event, info: ConnectionInfo) -> reads.Decoded:
    """What a webhook says. Raises: Unreadable, also where a connector's code stumbles over a body it did not expect."""
    try:
        return reads.decode(connector, event.topic, {}, event.body or b"", info.settings)
    except Unreadable:
        raise
    except Exception as error:
        _log.exception(
            "decode failed",
            connector=connector.name,
            topic=event.topic,
            merchant_id=event.merchant_id,
            connection_id=event.connection_id,
            event_seq=event.seq,
        )
        said = without_people(f"{type(error).__name__}: {error}", payload.decode_or_none(event.body or b""))
        raise Unreadable(f"{connector.name} cannot read this {event.topic}: {said}") from error
