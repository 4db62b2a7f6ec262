"""Routes of a hub that came out of a backup."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict

from hub.web.site import Site
from hub.workers.admin import release


class ReleaseBody(BaseModel):
    """`connection`: one only. Without `yes` nothing is released. `force`: although not everything was read since."""

    model_config = ConfigDict(strict=True, extra="forbid")

    connection: str | None = None
    yes: bool = False
    force: bool = False


def add(routes: APIRouter, site: Site) -> None:
    """Adds them."""

    @routes.post("/outbox/release")
    def released(body: ReleaseBody) -> dict[str, Any]:
        """Lets connections that came out of a backup send again; says what waits."""
        return release.release(site.hub, **body.model_dump())
