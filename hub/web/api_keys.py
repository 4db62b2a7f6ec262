"""Routes of the API about root keys. No key goes in or out: they are told by their fingerprints."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Path

from hub.web.site import Site
from hub.workers.admin import keys


def add(routes: APIRouter, site: Site) -> None:
    """Adds them."""

    @routes.get("/keys")
    def listed() -> dict[str, Any]:
        """Root keys, the sealing one first."""
        return keys.listed(site.hub)

    @routes.post("/keys/rotate")
    def rotated() -> dict[str, Any]:
        """A new root key takes over while the hub goes on, or one whose rotation was interrupted."""
        return keys.rotate(site.hub)

    @routes.post("/keys/{key_id}/drop")
    def dropped(key_id: Annotated[str, Path(max_length=60)]) -> dict[str, Any]:
        """Takes out a root key that seals nothing any more."""
        return keys.drop(site.hub, key_id)
