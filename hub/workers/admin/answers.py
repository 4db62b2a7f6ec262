"""What answers do. Each plans its change and says whether the question is closed by it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from sqlalchemy import Connection

from hub.connect.tables import Connection as ConnectionTable
from hub.core.ledger.book import book_of
from hub.core.plan import CoreEvent, Row
from hub.core.sales.aliases import set_alias
from hub.core.sales.restock import replenish_orders
from hub.core.sales.tables import SALES_ORDER
from hub.core.stock.channels import CHANNEL_LEVELS
from hub.core.stock.items import add_location, change_level, item_by_sku, upsert_item
from hub.core.stock.items import level as stock_level
from hub.core.stock.moves import move
from hub.core.stock.tables import CHANNEL_LEVEL
from hub.core.time import local_date
from hub.flows import readback
from hub.flows.activation import load_earlier
from hub.flows.stored import stored_record
from hub.flows.tables import Run
from hub.inbox.questions import QUESTION
from hub.inbox.tables import Inbox
from hub.outbox import drifts
from hub.workers.admin import core, delivery_answers
from hub.workers.admin.core import Change
from hub.workers.admin.errors import AdminError
from hub.workers.admin.events import reopen

if TYPE_CHECKING:
    from hub.workers.hub import Hub

_INBOX = Inbox.__table__  # type: ignore[attr-defined]
_RUN = Run.__table__  # type: ignore[attr-defined]
_CONNECTION = ConnectionTable.__table__  # type: ignore[attr-defined]
#: where a shop's own number is taken from
_WAREHOUSE = "main"
Values = Mapping[str, Any]


# -- events and runs --------------------------------------------------------------------------------------------


def replay(hub: Hub, changing: Change, question: Row, _values: Values) -> bool:
    """The event is worked again; of a flow that answered core events only its runs are."""
    if not is_about_runs(hub, question):
        _reopen(changing, question)
        return True
    return run_again(hub, changing, question)


def is_about_runs(hub: Hub, question: Row) -> bool:
    """Whether a question is of runs that answered core events, while their inbox events are done."""
    run = _run(hub, question)
    return run is not None and run["trigger"] is not None and not _is_own_event(hub, run)


def run_again(hub: Hub, changing: Change, question: Row, *, same_version: bool = False) -> bool:
    """The runs that a question is of, in order, with the flow as it is now or with the versions that they were of. Returns
    whether none of them was parked again."""
    first = _run(hub, question)
    assert first is not None
    with hub.database.read() as connection:
        found = connection.execute(_PARKED_WITH, {**first, "since": question["created_at"]}).mappings()
        runs = [dict(row) for row in found]
    return all([_run_again(hub, changing, run, same_version=same_version) for run in runs])


def retry(hub: Hub, changing: Change, question: Row, values: Values) -> bool:
    """The order is read from its shop as it is now; where it cannot be read, its event is worked again."""
    order = _order(hub, changing, question)
    if order is None:
        return replay(hub, changing, question, values)
    info = changing.active.settings.roles.connections.get(order["connection_id"])
    spec = None if info is None else changing.active.settings.roles.connector(info).manifest.records.get("order")
    if spec is None or not spec.read:
        return replay(hub, changing, question, values)
    event = core.event_of(changing, connection_id=order["connection_id"], seq=question["event_seq"])
    readback.schedule(changing.plan, event, "order", order["external_id"], changing.active.lanes)
    return True


def drop(hub: Hub, changing: Change, question: Row, _values: Values) -> bool:
    """A delivery is not sent; an event is let be."""
    if question["delivery_id"] is not None:
        return delivery_answers.drop(changing, question["delivery_id"])
    changing.then(
        lambda connection: connection.execute(
            _INBOX.update()
            .where(_INBOX.c.seq.in_(_parked_by(connection, question)), _INBOX.c.state == "parked")
            .values(state="done", error_class=None, outcome="dropped by a person")
        )
    )
    return True


def accept(_hub: Hub, _changing: Change, _question: Row, _values: Values) -> bool:
    """A person has seen to it."""
    return True


def wait(_hub: Hub, _changing: Change, _question: Row, _values: Values) -> bool:
    """It stays open until what it waits for happens."""
    return False


def _reopen(changing: Change, question: Row) -> None:
    seq = question["event_seq"]
    if not seq:
        raise AdminError(f"question {question['id']} has no event that could be worked again")
    merchant_id, now = changing.plan.merchant_id, changing.plan.now
    changing.then(lambda connection: reopen(connection, merchant_id, _parked_by(connection, question), now, ""))


def _parked_by(connection: Connection, question: Row) -> list[int]:
    """The event of a question, and the later ones of its key that were parked for the same reason."""
    also = connection.execute(
        sa.select(_INBOX.c.seq).where(
            sa.text("inbox.state = 'parked'"),
            _INBOX.c.merchant_id == question["merchant_id"],
            _INBOX.c.ordering_key == question["subject"],
            _INBOX.c.outcome.startswith(f"question {question['id']}:", autoescape=True),
        )
    ).scalars()
    return sorted({*also, *([question["event_seq"]] if question["event_seq"] else [])})


def _run(hub: Hub, question: Row) -> Row | None:
    if question["run_id"] is None:
        return None
    with hub.database.read() as connection:
        row = connection.execute(sa.select(_RUN).where(_RUN.c.id == question["run_id"])).mappings().one_or_none()
    return None if row is None else dict(row)


def replay_withdrawn(hub: Hub, changing: Change, question: Row, _values: Values) -> bool:
    """What a withdrawn version parked and nobody answered is worked again with the version that runs now: events as a whole,
    of core events the runs. Their own questions are closed by it, but for those of runs that are parked again."""
    details = json.loads(question["details"])
    merchant_id, now = changing.plan.merchant_id, changing.plan.now
    with hub.database.read() as connection:
        runs = [dict(row) for row in connection.execute(_parked_runs(merchant_id, details)).mappings()]
        about = {_subject(run) for run in runs if run["trigger"] is not None}
        asked = [dict(row) for row in connection.execute(_open_about(merchant_id, about)).mappings()]
        seqs = {run["event_seq"] for run in runs if run["trigger"] is None}
        parked = _INBOX.c.seq.in_(sorted(seqs)), _INBOX.c.state == "parked"
        events = list(connection.execute(sa.select(_INBOX.c.seq).where(*parked)).scalars())
    still_open = {each["subject"] for each in asked}
    again: set[str] = set()
    for run in runs:
        if run["trigger"] is not None and _subject(run) in still_open and not _run_again(hub, changing, run):
            again.add(_subject(run))
    for each in asked:
        if each["subject"] not in again:
            changing.close(each, "replay")
    if events:
        changing.then(lambda connection: reopen(connection, merchant_id, events, now, ""))
    return True


def _parked_runs(merchant_id: int, details: Mapping[str, Any]) -> sa.Select[Any]:
    """Runs that a version parked, in order."""
    wanted = {
        "merchant_id": merchant_id,
        "flow": details["flow"],
        "version_hash": details["version"],
        "state": "parked",
    }
    return (
        sa.select(_RUN)
        .where(*(_RUN.c[name] == value for name, value in wanted.items()))
        .order_by(_RUN.c.started_at, _RUN.c.event_seq, _RUN.c.id)
    )


def _open_about(merchant_id: int, subjects: set[str]) -> sa.Select[Any]:
    return sa.select(QUESTION).where(
        QUESTION.c.merchant_id == merchant_id,
        # the condition of the partial index, word for word
        sa.text("question.state = 'open'"),
        QUESTION.c.subject.in_(sorted(subjects)),
        QUESTION.c.run_id.is_not(None),
    )


def _subject(run: Row) -> str:
    """What the question of a run that answered a core event is about."""
    return f"{run['subject']}:{run['flow']}"


_PARKED_WITH = (
    sa.select(_RUN)
    .where(
        _RUN.c.merchant_id == sa.bindparam("merchant_id", type_=sa.BigInteger),
        # the condition of the partial index, word for word
        sa.text("run.state = 'parked'"),
        _RUN.c.subject == sa.bindparam("subject"),
        _RUN.c.flow == sa.bindparam("flow"),
        _RUN.c.started_at >= sa.bindparam("since", type_=sa.BigInteger),
    )
    .order_by(_RUN.c.started_at, _RUN.c.event_seq, _RUN.c.id)
)


def _run_again(hub: Hub, changing: Change, run: Row, *, same_version: bool = False) -> bool:
    """A parked run of a core event: with the record as it was, and the flow as it is now or was."""
    flow = next((flow for flow in changing.active.flows if flow.name == run["flow"]), None)
    if flow is None:
        raise AdminError(f"flow {run['flow']} is not there any more: drop the question")
    if run["scope"] is None:
        raise AdminError(f"run {run['id']} of flow {run['flow']} kept no record to run with again")
    happened = CoreEvent(run["trigger"], run["subject"], stored_record(run["scope"]))
    event = replace(core.event_of(changing, seq=run["event_seq"]), received_at=_came_in(hub, run))
    if same_version:
        load_earlier(hub.database, changing.active, {run["version_hash"]})
        event = replace(event, versions=json.dumps({run["flow"]: run["version_hash"]}))
    return hub.batch.answer(flow, happened, changing.plan, event, changing.active)


def _is_own_event(hub: Hub, run: Row) -> bool:
    """Whether a run of a core event was started by an event of the inbox of its own, which is then worked again."""
    with hub.database.read() as connection:
        event = connection.execute(
            sa.select(_INBOX.c.kind, _INBOX.c.record).where(_INBOX.c.seq == run["event_seq"])
        ).one_or_none()
    return event is not None and (event.kind, event.record) == ("core", run["flow"])


def _came_in(hub: Hub, run: Row) -> int:
    """When the event of a run came in: what it names after that day keeps its name."""
    with hub.database.read() as connection:
        came_in = connection.execute(
            sa.select(_INBOX.c.received_at).where(_INBOX.c.seq == run["event_seq"])
        ).scalar_one_or_none()
    return int(run["started_at"] if came_in is None else came_in)  # what the hub found by itself has no event


def _order(hub: Hub, changing: Change, question: Row) -> Row | None:
    kind, _, order_id = str(question["subject"]).partition(":")
    if kind != "order" or not order_id.isdigit():
        return None
    with hub.database.read() as connection:
        row = connection.execute(
            sa.select(SALES_ORDER.c.connection_id, SALES_ORDER.c.external_id)
            .join(_CONNECTION, _CONNECTION.c.id == SALES_ORDER.c.connection_id)
            .where(
                SALES_ORDER.c.merchant_id == changing.plan.merchant_id,
                SALES_ORDER.c.id == int(order_id),
                _CONNECTION.c.status == "connected",
            )
        ).mappings()
        found = row.one_or_none()
    return None if found is None else dict(found)


# -- stock ------------------------------------------------------------------------------------------------------


def adopt_drift(hub: Hub, changing: Change, question: Row, _values: Values) -> bool:
    """The shop is right: the difference is booked as an inventory move, and the shop's number is what we expect."""
    details = json.loads(question["details"])
    difference = int(details["found"]) - int(details["expected"])
    plan = changing.plan
    if difference:
        day = local_date(plan.now, book_of(plan)["zone"])
        source, destination = ("loss", _WAREHOUSE) if difference > 0 else (_WAREHOUSE, "loss")
        ref = f"drift:{question['id']}"
        move(plan, details["item_id"], source, destination, abs(difference), "inventory", ref, day)
        if difference > 0:
            replenish_orders(plan, details["item_id"], _WAREHOUSE)
    return push_drift(hub, changing, question, _values)


def push_drift(_hub: Hub, changing: Change, question: Row, _values: Values) -> bool:
    """Ours goes to the shop, from the number that it shows. What it sold since the number was read stays counted."""
    details = json.loads(question["details"])
    plan = changing.plan
    level = plan.get(CHANNEL_LEVELS, (details["connection_id"], details["item_id"]))
    if level is None or level["expected"] is None:
        raise AdminError("the shop's quantity of this item was never adopted: `hub connections adopt-stock` first")
    plan.increment(CHANNEL_LEVEL, level, expected=int(details["found"]) - int(details["expected"]))
    # told as a change, because what a check found has no push that waits
    change_level(plan, stock_level(plan, level["item_id"], add_location(plan, _WAREHOUSE, "warehouse")["id"]))
    changing.then(lambda connection: drifts.wake(connection, level["connection_id"], f"item:{level['item_id']}"))
    return True


# -- unknown SKUs -----------------------------------------------------------------------------------------------


def map_sku(_hub: Hub, changing: Change, question: Row, values: Values) -> bool:
    """What the shop sold is an item of ours."""
    item = item_by_sku(changing.plan, str(values["sku"]).strip())
    if item is None:
        raise AdminError(f"there is no item {values['sku']!r}: import it, or answer `create`")
    return _alias(changing, question, item["id"])


def create_sku(_hub: Hub, changing: Change, question: Row, values: Values) -> bool:
    """An item is made with the SKU that the shop uses (or the one given)."""
    details = json.loads(question["details"])
    sku = str(values.get("sku") or details.get("sku") or "").strip()
    if not sku:
        raise AdminError("the shop gives no SKU: the answer 'create' needs sku")
    item = upsert_item(changing.plan, sku, str(values.get("title") or details.get("title") or sku))
    if sku == details.get("sku"):
        _reopen(changing, question)
        return True
    return _alias(changing, question, item["id"])


def ignore_sku(_hub: Hub, changing: Change, question: Row, _values: Values) -> bool:
    """What the shop sold is not kept in stock."""
    return _alias(changing, question, None)


def _alias(changing: Change, question: Row, item_id: int | None) -> bool:
    details = json.loads(question["details"])
    if details.get("connection_id") is None:
        raise AdminError("this SKU came from no shop: import the item, then answer `replay`")
    set_alias(
        changing.plan,
        int(details["connection_id"]),
        variant_id=details.get("variant_id"),
        sku=details.get("sku"),
        item_id=item_id,
    )
    _reopen(changing, question)
    return True
