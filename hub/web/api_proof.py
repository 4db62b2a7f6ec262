"""Routes of the API that prove the hub and sign where it stands."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field

from hub.web.site import Site
from hub.workers.admin import prove, prove_remote


class CheckpointFile(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid")
    #: what messages call it
    name: str = Field(max_length=300)
    text: str = Field(max_length=10_000)


class ProveBody(BaseModel):
    """`strict`: what is open is a fault; `checkpoints`: what the logs must begin with."""

    model_config = ConfigDict(strict=True, extra="forbid")
    strict: bool = False
    checkpoints: list[CheckpointFile] = Field(default=[], max_length=1000)


class RemoteBody(BaseModel):
    """`connection`: one only; `since`: effects from this date or instant on."""

    model_config = ConfigDict(strict=True, extra="forbid")
    connection: str | None = None
    since: str | None = None


def add(routes: APIRouter, site: Site) -> None:
    """Adds the routes."""
    hub = site.hub

    @routes.post("/prove")
    def proven(body: ProveBody) -> dict[str, Any]:
        """Proves events, effects, deliveries, books, stock and documents from their rows."""
        return prove.prove(hub, strict=body.strict, checkpoints=[each.model_dump() for each in body.checkpoints])

    @routes.post("/prove/checkpoint")
    def checkpoint() -> dict[str, Any]:
        """Signs where the logs stand."""
        return prove.checkpoint(hub)

    @routes.post("/prove/remote")
    def remote(body: RemoteBody) -> dict[str, Any]:
        """Compares effects with what the connected systems list. Changes nothing there."""
        return prove_remote.prove_remote(hub, connection=body.connection, since=body.since)
