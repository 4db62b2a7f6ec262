"""The root keys of a hub: listed, changed while it works, and dropped."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from hub.connect.rootkeys import VaultError
from hub.connect.rotation import Known, NoSuchKey, Rotation
from hub.db.types import instant_text
from hub.workers.admin.errors import AdminError, NotThere
from hub.workers.hub import Hub

T = TypeVar("T")


def listed(hub: Hub) -> dict[str, Any]:
    """Root keys by their fingerprints: `{place, items: [{id, state, made_at, retired_at, dropped_at, data_keys}]}`."""
    return {"place": hub.vault.roots.place, "items": [_shown(each) for each in _rotation(hub).known()]}


def rotate(hub: Hub) -> dict[str, Any]:
    """A new root key takes over, or one whose rotation was interrupted. `refused`: what does not open. Raises: AdminError."""
    done = _told(_rotation(hub).rotate)
    return {
        "id": done.root,
        "made": done.made,
        "data_keys": done.data_keys,
        "values": done.values,
        "refused": done.refused,
        "place": hub.vault.roots.place,
        "old": [each.id for each in _rotation(hub).known() if each.place and not each.data_keys],
    }


def drop(hub: Hub, key_id: str) -> dict[str, Any]:
    """Takes out a root key that seals nothing. Raises: AdminError when it still seals something."""
    return _shown(_told(lambda: _rotation(hub).drop(key_id)))


def _told(do: Callable[[], T]) -> T:
    try:
        return do()
    except NoSuchKey as error:
        raise NotThere(str(error)) from None
    except VaultError as error:
        raise AdminError(str(error)) from None


def _rotation(hub: Hub) -> Rotation:
    return Rotation(hub.database, hub.vault, hub.clock)


def _shown(known: Known) -> dict[str, Any]:
    return {
        "id": known.id,
        "state": known.state,
        "data_keys": known.data_keys,
        "made_at": _text(known.created_at),
        "retired_at": _text(known.retired_at),
        "dropped_at": _text(known.dropped_at),
    }


def _text(instant: int | None) -> str | None:
    return None if instant is None else instant_text(instant)
