"""Routes for what is parked: looked at, edited, settled, and worked again in bulk."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Path
from pydantic import Field

from hub.web import exact
from hub.web.asked import Body, By
from hub.web.site import Site
from hub.workers.admin import deliveries, edits, replays

Id = Annotated[int, Path(ge=0)]


class ResolveBody(Body):
    """`external_id`: for `confirmed`, its id at the other system."""

    answer: Literal["confirmed", "resend", "drop"]
    external_id: str | None = None


class EditBody(Body):
    """`body`: all of it as text; or `values` by their path in it (`lines.0.sku`). `of`: the `sha256` of the body that was
    looked at, so that nobody's edit is lost."""

    body: str | None = None
    values: dict[str, Any] | None = None
    of: str | None = None
    why: str | None = None


class ReplaysBody(Body):
    """All that is parked (`state` done: all that was worked) of a class, connection, flow or time. `most`: at most so many;
    `dry_run`: only counted."""

    state: Literal["parked", "done"] = "parked"
    error_class: str | None = None
    connection: str | None = None
    flow: str | None = None
    since: str | None = None
    until: str | None = None
    same_version: bool = False
    most: int | None = Field(default=None, ge=1)
    dry_run: bool = False


def add(routes: APIRouter, site: Site) -> None:
    """Adds them."""
    hub = site.hub

    @routes.get("/inbox/{seq}")
    def event(seq: Id) -> dict[str, Any]:
        """One event with its body, and the bodies that people replaced."""
        return edits.event(hub, seq)

    @routes.post("/inbox/{seq}/edit", openapi_extra=exact.described(EditBody))
    def edit_event(seq: Id, raw: exact.Raw, by: By) -> dict[str, Any]:
        """Gives a parked event another body and works it; the one that it had is kept."""
        return edits.edit_event(hub, seq, **exact.read(EditBody, raw).model_dump(), by=by)

    @routes.get("/outbox/{delivery_id}")
    def delivery(delivery_id: Id) -> dict[str, Any]:
        """One delivery with its body, the bodies that people replaced, and who settled it."""
        return deliveries.shown(hub, delivery_id)

    @routes.post("/outbox/{delivery_id}/edit", openapi_extra=exact.described(EditBody))
    def edit_delivery(delivery_id: Id, raw: exact.Raw, by: By) -> dict[str, Any]:
        """Gives a refused delivery another body and sends it; the one that it had is kept."""
        return deliveries.edit(hub, delivery_id, **exact.read(EditBody, raw).model_dump(), by=by)

    @routes.post("/outbox/{delivery_id}/resolve")
    def resolve(delivery_id: Id, body: ResolveBody, by: By) -> dict[str, Any]:
        """Settles a delivery that was refused or is uncertain: it is there, it is sent again, or it is not sent."""
        return deliveries.resolve(hub, delivery_id, body.answer, external_id=body.external_id, by=by)

    @routes.get("/replays")
    def listed() -> dict[str, Any]:
        """Bulk replays, the newest first."""
        return replays.listed(hub)

    @routes.post("/replays")
    def begin(body: ReplaysBody, by: By) -> dict[str, Any]:
        """Begins to work all of a class again."""
        return replays.begin(hub, **body.model_dump(), by=by)

    @routes.get("/replays/{replay_id}")
    def one(replay_id: Id) -> dict[str, Any]:
        """How far a bulk replay has come."""
        return replays.one(hub, replay_id)

    @routes.post("/replays/{replay_id}/{state}")
    def set_state(replay_id: Id, state: Literal["running", "paused"]) -> dict[str, Any]:
        """Pauses a bulk replay, or lets it run on from where it was."""
        return replays.set_state(hub, replay_id, state)
